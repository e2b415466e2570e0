//! Changing, moving and deleting bots, and deleting channels, also by several writers at once.

use portcullis_auth::{BotId, PoolId};
use portcullis_store::{
    Bot, BotReach, BotStatus, BotUpdate, Change, ChannelError, ConnectError, CreateBotError, DeleteBotError, NewBot,
    NewSlackChannel, PoolGuesses, PoolReach, SigningSource, Table, UpdateBotError,
};

use crate::support::{World, bot, channel, new_bot, new_channel, pool, report, revisions};

fn other_pool() -> PoolId {
    "pool-2".parse().unwrap()
}

fn move_to(pool: PoolId) -> BotUpdate {
    BotUpdate { pool: Change::Set(pool), ..BotUpdate::default() }
}

async fn with_two_pools() -> World {
    let world = World::with_bot().await;
    world.store.register(&other_pool(), report(), PoolReach::Any).await.unwrap();
    world
}

async fn bots_of(world: &World, pool: &PoolId) -> (Vec<BotId>, u64) {
    let pool = world.store.get_pool(pool).await.unwrap().unwrap();
    (pool.bots, pool.revision)
}

async fn get(world: &World, bot: &BotId) -> Bot {
    world.store.get_bot(bot).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_raises_the_pools_revision() {
    let world = World::with_bot().await;
    let before = get(&world, &bot()).await;
    let update = BotUpdate {
        name: Some("Another".to_owned()),
        system_prompt: Change::Set("Be brief.".to_owned()),
        paused: Some(true),
        ..BotUpdate::default()
    };
    let updated = world.store.update_bot(BotReach::Any, &bot(), &update).await.unwrap();
    assert_eq!(updated, get(&world, &bot()).await);
    assert_eq!((updated.name.as_str(), updated.system_prompt.as_deref()), ("Another", Some("Be brief.")));
    assert_eq!((updated.status, &updated.model_id, &updated.slug), (BotStatus::Paused, &before.model_id, &before.slug));
    assert_eq!(world.pool().await.revision, 2);
    let update = BotUpdate { system_prompt: Change::Remove, ..BotUpdate::default() };
    world.store.update_bot(BotReach::Any, &bot(), &update).await.unwrap();
    let kept = get(&world, &bot()).await;
    assert_eq!((kept.system_prompt, kept.name.as_str(), kept.status), (None, "Another", BotStatus::Paused));
    let unknown = world.store.update_bot(BotReach::Any, &"bot-9".parse().unwrap(), &update).await;
    assert_eq!(unknown, Err(UpdateBotError::NotFound));
}

#[tokio::test]
async fn a_move_takes_a_bot_from_one_pool_to_another_and_raises_both_revisions() {
    let world = with_two_pools().await;
    world.store.update_bot(BotReach::Any, &bot(), &move_to(other_pool())).await.unwrap();
    assert_eq!(bots_of(&world, &pool()).await, (vec![], 2));
    assert_eq!(bots_of(&world, &other_pool()).await, (vec![bot()], 1));
    assert_eq!(get(&world, &bot()).await.pool, Some(other_pool()));
    let out = BotUpdate { pool: Change::Remove, ..BotUpdate::default() };
    world.store.update_bot(BotReach::Any, &bot(), &out).await.unwrap();
    assert_eq!((bots_of(&world, &other_pool()).await, get(&world, &bot()).await.pool), ((vec![], 2), None));
}

#[tokio::test]
async fn a_bot_moves_into_no_pool_that_is_unknown_terminated_or_full() {
    let world = with_two_pools().await;
    let nowhere = world.store.update_bot(BotReach::Any, &bot(), &move_to("nowhere".parse().unwrap())).await;
    assert_eq!(nowhere, Err(UpdateBotError::PoolNotFound));
    for number in 0..50 {
        let pool = Some(other_pool());
        world.store.create_bot(NewBot { pool, user: None, ..new_bot(&format!("other-{number}")) }).await.unwrap();
    }
    assert_eq!(
        world.store.update_bot(BotReach::Any, &bot(), &move_to(other_pool())).await,
        Err(UpdateBotError::TooManyBots)
    );
    world.store.terminate(&other_pool()).await.unwrap();
    assert_eq!(
        world.store.update_bot(BotReach::Any, &bot(), &move_to(other_pool())).await,
        Err(UpdateBotError::PoolNotFound)
    );
    assert_eq!(bots_of(&world, &pool()).await, (vec![bot()], 1));
    // Setting a terminated pool fails, even for a bot that is in it.
    world.store.terminate(&pool()).await.unwrap();
    assert_eq!(
        world.store.update_bot(BotReach::Any, &bot(), &move_to(pool())).await,
        Err(UpdateBotError::PoolNotFound)
    );
    let rename = BotUpdate { name: Some("New".to_owned()), ..BotUpdate::default() };
    assert!(world.store.update_bot(BotReach::Any, &bot(), &rename).await.is_ok());
}

#[tokio::test]
async fn a_slug_is_one_bots_of_its_owner_and_is_freed_when_it_is_given_up() {
    let world = World::with_bot().await;
    let store = &world.store;
    let with_slug = |id: &str, user: Option<&str>| NewBot {
        slug: "bot-1".to_owned(),
        user: user.map(|user| user.parse().unwrap()),
        ..new_bot(id)
    };
    assert_eq!(store.create_bot(with_slug("bot-2", Some("user-1"))).await, Err(CreateBotError::SlugTaken));
    assert!(store.create_bot(with_slug("bot-2", Some("user-2"))).await.is_ok(), "another owner's");
    assert!(store.create_bot(with_slug("bot-3", None)).await.is_ok(), "nobody's");
    let to = |user: &str| BotUpdate { user: Change::Set(user.parse().unwrap()), ..BotUpdate::default() };
    let bot_3 = "bot-3".parse().unwrap();
    assert_eq!(store.update_bot(BotReach::Any, &bot_3, &to("user-1")).await, Err(UpdateBotError::SlugTaken));
    assert_eq!(get(&world, &bot_3).await.user, None, "nothing was written");
    let rename = |slug: &str| BotUpdate { slug: Some(slug.to_owned()), ..BotUpdate::default() };
    store.update_bot(BotReach::Any, &bot(), &rename("other")).await.unwrap();
    assert!(store.update_bot(BotReach::Any, &bot_3, &to("user-1")).await.is_ok());
    assert_eq!(store.update_bot(BotReach::Any, &bot(), &rename("bot-1")).await, Err(UpdateBotError::SlugTaken));
    store.delete_bot(BotReach::Any, &bot_3).await.unwrap();
    assert!(store.update_bot(BotReach::Any, &bot(), &rename("bot-1")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_eight_bots_that_race_for_a_slug_gets_it() {
    let world = World::with_pool().await;
    let racers: Vec<_> = (0..8)
        .map(|racer| {
            let new = NewBot { slug: "wanted".to_owned(), ..new_bot(&format!("racer-{racer}")) };
            let store = world.store.clone();
            tokio::spawn(async move { store.create_bot(new).await })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error, CreateBotError::SlugTaken),
        }
    }
    assert_eq!((made, world.pool().await.bots.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_eight_bots_that_race_for_the_last_place_of_a_pool_gets_it() {
    let world = World::with_pool().await;
    for number in 0..49 {
        world.store.create_bot(new_bot(&format!("bot-{number}"))).await.unwrap();
    }
    let racers: Vec<_> = (0..8)
        .map(|racer| {
            let (store, new) = (world.store.clone(), new_bot(&format!("racer-{racer}")));
            tokio::spawn(async move { store.create_bot(new).await })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert_eq!(error, CreateBotError::TooManyBots),
        }
    }
    assert_eq!((made, world.pool().await.bots.len()), (1, 50));
}

#[tokio::test]
async fn deleting_a_bot_leaves_nothing_of_its_channels_and_is_for_good() {
    let world = World::with_bot().await;
    for number in 0..20 {
        let new = new_channel(&format!("channel-{number}"), &format!("T{number}"));
        world.store.connect_channel(BotReach::Any, new).await.unwrap();
    }
    assert_eq!(world.count(Table::ChannelCredentials).await, 60);
    world.store.delete_bot(BotReach::Any, &bot()).await.unwrap();
    for table in [Table::Channels, Table::ChannelCredentials, Table::WebhookRoutes] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    let deleted = get(&world, &bot()).await;
    assert_eq!((deleted.status, deleted.pool, deleted.channels), (BotStatus::Deleted, None, vec![]));
    assert_eq!(world.pool().await.bots, []);
    assert_eq!(world.count(Table::Bots).await, 2, "beside the bot lies its owner's row: its slug is free");
    assert_eq!(world.store.delete_bot(BotReach::Any, &bot()).await, Err(DeleteBotError::NotFound));
    assert_eq!(
        world.store.update_bot(BotReach::Any, &bot(), &BotUpdate::default()).await,
        Err(UpdateBotError::Deleted)
    );
    assert_eq!(world.store.create_bot(new_bot("bot-1")).await, Err(CreateBotError::AlreadyExists));
    let connected = world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await;
    assert_eq!(connected, Err(ConnectError::BotNotFound));
}

#[tokio::test]
async fn a_channel_that_a_deleted_bot_left_behind_counts_as_gone() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let row = world.engine.rows(Table::Channels).await.remove(0);
    let of_bot = world.engine.rows(Table::Bots).await.into_iter().find(|row| row.contains_key("channels")).unwrap();
    world.store.delete_bot(BotReach::Any, &bot()).await.unwrap();
    // The state between the two transactions of a deletion.
    let left_behind = async || {
        let mut rows = world.engine.rows(Table::Bots).await.into_iter();
        let mut marked = rows.find(|row| row.contains_key("status")).unwrap();
        marked.insert("channels".to_owned(), of_bot["channels"].clone());
        world.engine.put(Table::Bots, marked).await;
        world.engine.put(Table::Channels, row.clone()).await;
    };
    left_behind().await;
    assert!(world.store.get_living_channel(&channel()).await.unwrap().is_none());
    assert!(world.store.list_channels(10, None).await.unwrap().items.is_empty());
    let target = world.store.delivery_target(&channel(), &bot(), &PoolGuesses::default()).await.unwrap();
    assert!(target.channel.is_none());
    assert!(world.store.slack_channel_for_verification(&channel()).await.unwrap().is_none());
    assert_eq!(world.store.delete_bot(BotReach::Any, &bot()).await, Err(DeleteBotError::NotFound));
    assert_eq!(world.count(Table::Channels).await, 0, "the second deletion finishes the first");

    left_behind().await;
    assert_eq!(world.store.delete_channel(BotReach::Any, &channel()).await, Err(ChannelError::NotFound));
    assert_eq!(world.count(Table::Channels).await, 0);

    left_behind().await;
    world.store.create_bot(new_bot("bot-2")).await.unwrap();
    let of_another = NewSlackChannel { bot: "bot-2".parse().unwrap(), ..new_channel("channel-1", "T1") };
    assert!(world.store.connect_channel(BotReach::Any, of_another).await.is_ok(), "its id is free");
}

#[tokio::test]
async fn deleting_a_channel_takes_its_credentials_its_route_and_its_place() {
    let world = World::with_bot().await;
    for (id, team) in [("channel-1", "T1"), ("channel-2", "T2")] {
        world.store.connect_channel(BotReach::Any, new_channel(id, team)).await.unwrap();
    }
    let before = world.pool().await.revision;
    world.store.delete_channel(BotReach::Any, &channel()).await.unwrap();
    let counts = [Table::Channels, Table::ChannelCredentials, Table::WebhookRoutes];
    let counts = [world.count(counts[0]).await, world.count(counts[1]).await, world.count(counts[2]).await];
    assert_eq!(counts, [1, 3, 1]);
    assert_eq!(get(&world, &bot()).await.channels, ["channel-2".parse().unwrap()]);
    assert_eq!(world.pool().await.revision, before + 1);
    assert_eq!(world.store.delete_channel(BotReach::Any, &channel()).await, Err(ChannelError::NotFound));
    assert!(
        world.store.connect_channel(BotReach::Any, new_channel("channel-9", "T1")).await.is_ok(),
        "its route is free"
    );
}

#[tokio::test]
async fn fields_that_a_repeated_put_of_a_channel_omits_stay_as_they_were() {
    let world = World::with_bot().await;
    let first = NewSlackChannel { delivery_secret: None, ..new_channel("channel-1", "T1") };
    world.store.connect_channel(BotReach::Any, first).await.unwrap();
    let secrets = async || {
        let mut rows = world.engine.rows(Table::ChannelCredentials).await;
        rows.sort_by_key(|row| row["kind"].as_s().unwrap().clone());
        rows
    };
    let before = secrets().await;
    assert_eq!(before.len(), 3, "a delivery secret was made");
    let bare = || NewSlackChannel {
        team_name: None,
        bot_token: None,
        signing: SigningSource::Stored,
        delivery_secret: None,
        ..new_channel("channel-1", "T1")
    };
    let again = world.store.connect_channel(BotReach::Any, bare()).await.unwrap();
    assert_eq!((again.team_name.as_deref(), again.platform_app), (Some("Team"), false));
    assert_eq!(secrets().await, before);
    let new = NewSlackChannel { id: "channel-2".parse().unwrap(), team_id: "T2".parse().unwrap(), ..bare() };
    assert_eq!(world.store.connect_channel(BotReach::Any, new).await, Err(ConnectError::NoSigningSecret));
    // A channel whose token Slack revoked works again with another token, not without.
    assert!(world.store.invalidate_channel(&channel(), revisions(&world).await[2]).await.unwrap());
    let kept = world.store.connect_channel(BotReach::Any, bare()).await.unwrap();
    assert_eq!(kept.status, portcullis_store::ChannelStatus::Error);
    let renewed = world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    assert_eq!(renewed.status, portcullis_store::ChannelStatus::Connected);
}

/// After a race of a deletion with `other`: in either order no pool lists the bot, and no credential or route is left.
async fn assert_gone(world: &World) {
    assert_eq!(get(world, &bot()).await.status, BotStatus::Deleted);
    for table in [Table::Channels, Table::ChannelCredentials, Table::WebhookRoutes] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    for pool in [pool(), other_pool()] {
        assert_eq!(bots_of(world, &pool).await.0, [], "{pool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_races_with_connections_leaves_no_credential() {
    for _ in 0..4 {
        let world = with_two_pools().await;
        let connections: Vec<_> = (0..4)
            .map(|number| {
                let new = new_channel(&format!("channel-{number}"), &format!("T{number}"));
                let store = world.store.clone();
                tokio::spawn(async move { store.connect_channel(BotReach::Any, new).await })
            })
            .collect();
        let store = world.store.clone();
        let deletion = tokio::spawn(async move { store.delete_bot(BotReach::Any, &bot()).await });
        for connection in connections {
            assert!(matches!(connection.await.unwrap(), Ok(_) | Err(ConnectError::BotNotFound)));
        }
        deletion.await.unwrap().unwrap();
        assert_gone(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_races_with_moves_leaves_the_bot_in_no_pool() {
    for _ in 0..4 {
        let world = with_two_pools().await;
        world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
        let moves: Vec<_> = [other_pool(), pool(), other_pool()]
            .into_iter()
            .map(|pool| {
                let store = world.store.clone();
                tokio::spawn(async move { store.update_bot(BotReach::Any, &bot(), &move_to(pool)).await })
            })
            .collect();
        let store = world.store.clone();
        let deletion = tokio::spawn(async move { store.delete_bot(BotReach::Any, &bot()).await });
        for moved in moves {
            assert!(matches!(moved.await.unwrap(), Ok(_) | Err(UpdateBotError::Deleted)));
        }
        deletion.await.unwrap().unwrap();
        assert_gone(&world).await;
    }
}

#[tokio::test]
async fn a_list_passes_over_deleted_bots_and_claims_and_ends() {
    let world = World::with_pool().await;
    for number in 0..9 {
        world.store.create_bot(new_bot(&format!("bot-{number}"))).await.unwrap();
    }
    world.store.delete_bot(BotReach::Any, &bot()).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list_bots(2, after).await.unwrap();
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|bot| bot.id.to_string()));
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, [0, 2, 3, 4, 5, 6, 7, 8].map(|number| format!("bot-{number}")));
}
