//! Bots, their channels, and the revision of the pool that each change raises.

use portcullis_store::{
    BotReach, BotStatus, ChannelError, ChannelStatus, ConnectError, CreateBotError, NewSlackChannel, PoolGuesses,
    SetBotStatusError, SigningSource, Table, WebhookRoute, round_trips::counted,
};

use crate::support::{World, bot, channel, new_bot, new_channel, pool, revisions, text};

#[tokio::test]
async fn a_bot_is_made_once_and_becomes_its_pools() {
    let world = World::with_pool().await;
    let made = world.store.create_bot(new_bot("bot-1")).await.unwrap();
    assert_eq!(world.store.get_bot(&bot()).await.unwrap(), Some(made));
    assert_eq!(world.store.create_bot(new_bot("bot-1")).await, Err(CreateBotError::AlreadyExists));
    let pool = world.pool().await;
    assert_eq!((pool.bots, pool.revision), (vec![bot()], 1));
}

#[tokio::test]
async fn a_bot_needs_a_pool_that_lives_and_has_room() {
    let world = World::new().await;
    assert_eq!(world.store.create_bot(new_bot("bot-1")).await, Err(CreateBotError::PoolNotFound));
    world.register(portcullis_store::PoolStatus::Active).await;
    for number in 0..50 {
        world.store.create_bot(new_bot(&format!("bot-{number}"))).await.unwrap();
    }
    assert_eq!(world.store.create_bot(new_bot("bot-50")).await, Err(CreateBotError::TooManyBots));
    world.store.set_bot_status(&"bot-7".parse().unwrap(), BotStatus::Deleted).await.unwrap();
    assert!(world.store.create_bot(new_bot("bot-50")).await.is_ok());
    world.store.terminate(&pool()).await.unwrap();
    assert_eq!(world.store.create_bot(new_bot("bot-51")).await, Err(CreateBotError::PoolNotFound));
    // Rows: 51 bots, the deleted one among them, 50 slug claims of the others and their owner's row.
    assert_eq!(world.count(Table::Bots).await, 102);
}

#[tokio::test]
async fn a_deleted_bot_stays_deleted() {
    let world = World::with_bot().await;
    world.store.set_bot_status(&bot(), BotStatus::Paused).await.unwrap();
    assert_eq!(world.store.get_bot(&bot()).await.unwrap().unwrap().status, BotStatus::Paused);
    world.store.set_bot_status(&bot(), BotStatus::Deleted).await.unwrap();
    let revived = world.store.set_bot_status(&bot(), BotStatus::Active).await;
    assert_eq!(revived, Err(SetBotStatusError::NotFound));
    let pool = world.pool().await;
    assert_eq!((pool.bots, pool.revision), (vec![], 3));
}

#[tokio::test]
async fn a_connected_channel_is_found_by_its_route_and_verifies() {
    let world = World::with_bot().await;
    let connected = world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let (team, app) = ("T1".parse().unwrap(), "A1".parse().unwrap());
    let route = WebhookRoute { channel: channel(), bot: bot(), account_id: "slack-A1-T1".to_owned() };
    assert_eq!(world.store.slack_route(&team, &app).await.unwrap(), Some(route));
    assert_eq!(world.store.slack_route(&app, &team).await.unwrap(), None);

    let (read, calls) = counted(world.store.slack_channel_for_verification(&channel())).await;
    let (known, signing) = read.unwrap().unwrap();
    assert_eq!((known, calls), (connected, 1));
    let (target, calls) = counted(world.store.delivery_target(&channel(), &bot(), &PoolGuesses::default())).await;
    let target = target.unwrap();
    assert_eq!((target.bot.unwrap().id, calls), (bot(), 2));
    let (_, delivery) = target.channel.unwrap();
    let of = |secret: &str| portcullis_auth::SigningSecret::new(secret.into()).sign("1", b"body");
    assert_eq!(signing.unwrap().sign("1", b"body"), of("signing secret"));
    assert_eq!(delivery.sign("1", b"body"), of("delivery secret"));

    assert_eq!(world.store.get_bot(&bot()).await.unwrap().unwrap().channels, [channel()]);
    assert_eq!(world.pool().await.revision, 2);
}

#[tokio::test]
async fn an_unknown_channel_is_none_and_a_missing_delivery_secret_is_not() {
    let world = World::with_bot().await;
    assert!(world.store.slack_channel_for_verification(&channel()).await.unwrap().is_none());
    let target =
        world.store.delivery_target(&channel(), &"bot-9".parse().unwrap(), &PoolGuesses::default()).await.unwrap();
    assert!(target.channel.is_none() && target.bot.is_none());
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let mut lone = world.engine.rows(Table::Channels).await.remove(0);
    lone.insert("id".to_owned(), text("channel-2"));
    world.engine.put(Table::Channels, lone).await;
    let lone = "channel-2".parse().unwrap();
    assert!(world.store.slack_channel_for_verification(&lone).await.unwrap().is_none());
    assert!(world.store.delivery_target(&lone, &bot(), &PoolGuesses::default()).await.is_err());
}

#[tokio::test]
async fn a_route_belongs_to_one_channel_and_nothing_is_written_for_a_second() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let second = world.store.connect_channel(BotReach::Any, new_channel("channel-2", "T1")).await;
    assert_eq!(second, Err(ConnectError::RouteTaken));
    let moved = world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T2")).await;
    assert_eq!(moved, Err(ConnectError::ChannelTaken));
    world.store.create_bot(new_bot("bot-2")).await.unwrap();
    let mut of_other_bot = new_channel("channel-1", "T1");
    of_other_bot.bot = "bot-2".parse().unwrap();
    assert_eq!(world.store.connect_channel(BotReach::Any, of_other_bot).await, Err(ConnectError::ChannelTaken));
    assert_eq!(world.count(Table::Channels).await, 1);
    assert_eq!(world.count(Table::ChannelCredentials).await, 3);
    assert_eq!(world.count(Table::WebhookRoutes).await, 1);
}

#[tokio::test]
async fn connecting_again_raises_the_credentials_revisions_and_keeps_the_rest() {
    let world = World::with_bot().await;
    let first = world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let before = revisions(&world).await;
    world.clock.advance(crate::support::hours(1));
    let mut again = new_channel("channel-1", "T1");
    again.bot_token = None;
    let second = world.store.connect_channel(BotReach::Any, again).await.unwrap();
    assert_eq!(second.created_at, first.created_at);
    let after = revisions(&world).await;
    let raised: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(raised, [1, 1, 0]);
}

#[tokio::test]
async fn a_channel_that_is_connected_anew_under_its_id_has_no_revision_of_before() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let before = revisions(&world).await;
    world.store.delete_channel(BotReach::Any, &channel()).await.unwrap();
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let after = revisions(&world).await;
    assert!(before.iter().all(|revision| !after.contains(revision)), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_bot_has_at_most_twenty_channels_and_must_be_there() {
    let world = World::with_bot().await;
    for number in 0..20 {
        let new = new_channel(&format!("channel-{number}"), &format!("T{number}"));
        world.store.connect_channel(BotReach::Any, new).await.unwrap();
    }
    let one_more = world.store.connect_channel(BotReach::Any, new_channel("channel-20", "T20")).await;
    assert_eq!(one_more, Err(ConnectError::TooManyChannels));
    assert!(world.store.connect_channel(BotReach::Any, new_channel("channel-7", "T7")).await.is_ok());
    world.store.set_bot_status(&bot(), BotStatus::Deleted).await.unwrap();
    let of_deleted = world.store.connect_channel(BotReach::Any, new_channel("channel-7", "T7")).await;
    assert_eq!(of_deleted, Err(ConnectError::BotNotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_eight_channels_that_race_for_a_route_gets_it() {
    let world = World::with_bot().await;
    let racers: Vec<_> = (0..8)
        .map(|racer| {
            let (store, new) = (world.store.clone(), new_channel(&format!("channel-{racer}"), "T1"));
            tokio::spawn(async move { store.connect_channel(BotReach::Any, new).await })
        })
        .collect();
    let mut connected = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => connected += 1,
            Err(error) => assert_eq!(error, ConnectError::RouteTaken),
        }
    }
    assert_eq!((connected, world.count(Table::Channels).await), (1, 1));
}

#[tokio::test]
async fn a_channel_of_the_platforms_app_has_no_secret_in_any_row_and_a_copy_goes_when_it_is_connected_again() {
    let world = World::with_bot().await;
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let of_platform = || NewSlackChannel { signing: SigningSource::Platform, ..new_channel("channel-1", "T1") };
    let connected = world.store.connect_channel(BotReach::Any, of_platform()).await.unwrap();
    assert!(connected.platform_app);
    let (known, secret) = world.store.slack_channel_for_verification(&channel()).await.unwrap().unwrap();
    assert!(known.platform_app && secret.is_none());
    let rows = world.engine.rows(Table::ChannelCredentials).await;
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_s().unwrap().as_str()).collect();
    assert!(!kinds.contains(&"signing_secret") && kinds.len() == 2, "{kinds:?}");
}

#[tokio::test]
async fn a_channels_status_is_its_pools_configuration() {
    let world = World::with_bot().await;
    let unknown = world.store.set_channel_status(&channel(), ChannelStatus::Error).await;
    assert_eq!(unknown, Err(ChannelError::NotFound));
    world.store.connect_channel(BotReach::Any, new_channel("channel-1", "T1")).await.unwrap();
    let before = world.pool().await.revision;
    world.store.set_channel_status(&channel(), ChannelStatus::Error).await.unwrap();
    assert_eq!(world.store.get_channel(&channel()).await.unwrap().unwrap().status, ChannelStatus::Error);
    assert_eq!(world.pool().await.revision, before + 1);
}
