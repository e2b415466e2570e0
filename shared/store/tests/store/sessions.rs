//! Sessions that a runtime reports, and the callers that may.

use portcullis_auth::{Clock as _, Generation};
use portcullis_contract::Metadata;
use portcullis_store::{
    BotAccessError, BotReach, BotStatus, MessageSeen, NewSession, PoolReach, Session, SessionChange, SessionError,
    SessionStatus, round_trips::counted,
};
use tokio::task::JoinSet;

use crate::support::{World, bot, fixed_keys, hours, new_bot, pool};

const KEY: &str = "agent:bot-1:slack:channel:c1";

fn titled(title: &str) -> SessionChange {
    SessionChange { title: Some(title.parse().unwrap()), ..SessionChange::default() }
}

fn new(key: &str, change: SessionChange) -> NewSession {
    NewSession {
        bot: bot(),
        session_key: key.parse().unwrap(),
        channel_type: None,
        channel_id: Some("C1".parse().unwrap()),
        change,
    }
}

async fn put(world: &World, key: &str, change: SessionChange) -> Session {
    world.store.put_session(BotReach::Any, &new(key, change)).await.expect("is written")
}

/// Metadata as a request brings it.
fn parsed(json: Option<&String>) -> Option<Metadata> {
    json.map(|json| json.parse().unwrap())
}

#[tokio::test]
async fn a_session_is_made_and_keeps_what_a_later_call_leaves_out() {
    let world = World::with_bot().await;
    let metadata = Some(r#"{"a":1}"#.to_owned());
    let change = SessionChange { metadata: parsed(metadata.as_ref()), message_count: Some(7.into()), ..titled("One") };
    let (made, calls) = counted(put(&world, KEY, change)).await;
    assert_eq!((made.title.as_str(), made.message_count, calls), ("One", 7, 2));
    world.clock.advance(hours(1));
    let ended = SessionChange { status: Some(SessionStatus::Ended), ..titled("Two") };
    let (changed, calls) = counted(put(&world, KEY, ended)).await;
    assert_eq!(calls, 2);
    assert_eq!((changed.id.as_str(), changed.created_at), (made.id.as_str(), made.created_at));
    assert_eq!((changed.title.as_str(), changed.status), ("Two", SessionStatus::Ended));
    assert_eq!((changed.metadata, changed.message_count), (metadata, 7));
    assert!(changed.updated_at > made.updated_at);
}

#[tokio::test]
async fn a_session_past_its_retention_is_made_anew_and_cannot_be_changed() {
    let world = World::with_bot().await;
    let made = put(&world, KEY, SessionChange { message_count: Some(7.into()), ..titled("One") }).await;
    world.clock.advance(hours(90 * 24));
    let late = world.store.change_session(BotReach::Any, &made.id, &titled("Late")).await;
    assert_eq!(late, Err(SessionError::NotFound));
    let anew = put(&world, KEY, titled("Two")).await;
    assert_eq!((anew.message_count, anew.id), (0, made.id));
    assert!(anew.created_at > made.created_at);
}

#[tokio::test]
async fn metadata_outlives_messages_and_lies_in_no_row_that_they_write() {
    let world = World::with_bot().await;
    let metadata = Some(format!("\"{}\"", "x".repeat(64 * 1024 - 2)));
    put(&world, KEY, SessionChange { metadata: parsed(metadata.as_ref()), ..titled("One") }).await;
    let bot = bot();
    // Past the 180 days after which the metadata's row would have expired, had messages not renewed it.
    for month in 1..=10_u8 {
        world.clock.advance(hours(30 * 24));
        let message = MessageSeen {
            bot: &bot,
            session_key: KEY,
            channel_type: "slack",
            channel_id: "C1",
            at: "2026-02-03T04:05:06Z".parse().unwrap(),
            counted_as: Some(portcullis_crypto::Digest::of(&[month])),
            title: "Slack #C1",
        };
        world.store.record_message(&message).await.unwrap();
    }
    let rows = world.engine.rows(portcullis_store::Table::ChatSessions).await;
    let (of_metadata, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.contains_key("metadata"));
    let now = world.clock.now().as_second();
    assert!(of_metadata[0]["expiresAt"].as_n().unwrap().parse::<i64>().unwrap() > now + 30 * 24 * 3600);
    assert!(!of_metadata[0].contains_key("bot"), "it is in no index");
    for row in &others {
        assert!(crate::support::size(row) <= 1024, "one write unit: {row:?}");
    }
    let session = put(&world, KEY, SessionChange::default()).await;
    assert_eq!((session.metadata, session.message_count), (metadata, 10));
}

#[tokio::test]
async fn a_title_of_its_own_takes_the_place_of_a_provisional_one() {
    let world = World::with_bot().await;
    let bot = bot();
    let message = MessageSeen {
        bot: &bot,
        session_key: KEY,
        channel_type: "slack",
        channel_id: "C1",
        at: "2026-02-03T04:05:06Z".parse().unwrap(),
        counted_as: Some(portcullis_crypto::Digest::of(b"Ev1")),
        title: "Slack #C1",
    };
    world.store.record_message(&message).await.unwrap();
    let counted_only = put(&world, KEY, SessionChange::default()).await;
    assert_eq!((counted_only.title.as_str(), counted_only.title_is_provisional), ("Slack #C1", true));
    assert_eq!(counted_only.message_count, 1);
    let named = world.store.change_session(BotReach::Any, &counted_only.id, &titled("#general")).await.unwrap();
    assert_eq!((named.title.as_str(), named.title_is_provisional), ("#general", false));
}

#[tokio::test]
async fn no_change_is_lost_of_writers_that_race() {
    let world = World::with_bot().await;
    put(&world, KEY, titled("0")).await;
    let mut tasks = JoinSet::new();
    for writer in 0..16_u64 {
        let store = world.with_keys(fixed_keys());
        tasks.spawn(async move {
            let message = MessageSeen {
                bot: &bot(),
                session_key: KEY,
                channel_type: "slack",
                channel_id: "C1",
                at: "2026-02-03T04:05:06Z".parse().unwrap(),
                counted_as: Some(portcullis_crypto::Digest::of(&writer.to_be_bytes())),
                title: "Slack #C1",
            };
            store.record_message(&message).await.expect("is counted");
            let renamed = new(KEY, titled(&format!("title {writer}")));
            store.put_session(BotReach::Any, &renamed).await.expect("is written");
        });
    }
    tasks.join_all().await;
    let session = put(&world, KEY, SessionChange::default()).await;
    assert_eq!(session.message_count, 16);
    assert!(session.title.starts_with("title "), "{}", session.title);
}

#[tokio::test]
async fn a_bound_caller_reaches_its_own_pools_bots_alone_while_its_token_counts() {
    let world = World::with_bot().await;
    let made = put(&world, KEY, titled("One")).await;
    let (own, other) = (pool(), "pool-2".parse().unwrap());
    let reach = BotReach::PoolMachine(&own, Generation(0));
    let (changed, calls) = counted(world.store.change_session(reach, &made.id, &titled("Two"))).await;
    assert_eq!((changed.unwrap().title.as_str(), calls), ("Two", 3));
    assert!(world.store.put_session(reach, &new(KEY, titled("Three"))).await.is_ok());

    world.store.register(&other, crate::support::report(), PoolReach::Any).await.unwrap();
    let foreign = BotReach::PoolMachine(&other, Generation(0));
    assert_eq!(world.store.put_session(foreign, &new(KEY, titled("x"))).await, Err(BotAccessError::NotOfPool));
    assert_eq!(world.store.change_session(foreign, &made.id, &titled("x")).await, Err(SessionError::NotFound));
    let unknown = NewSession { bot: "bot-9".parse().unwrap(), ..new(KEY, titled("x")) };
    assert_eq!(world.store.put_session(reach, &unknown).await, Err(BotAccessError::NotOfPool));
    assert_eq!(world.store.put_session(BotReach::Any, &unknown).await, Err(BotAccessError::NotFound));

    world.store.raise_runtime_generation(&own, PoolReach::Any).await.unwrap();
    assert_eq!(world.store.put_session(reach, &new(KEY, titled("x"))).await, Err(BotAccessError::Revoked));
    assert_eq!(world.store.change_session(reach, &made.id, &titled("x")).await, Err(SessionError::Revoked));
}

#[tokio::test]
async fn a_deleted_bots_sessions_are_not_written() {
    let world = World::with_bot().await;
    world.store.set_bot_status(&bot(), BotStatus::Deleted).await.unwrap();
    let refused = world.store.put_session(BotReach::Any, &new(KEY, titled("x"))).await;
    assert_eq!(refused, Err(BotAccessError::NotFound));
    world.store.create_bot(new_bot("bot-2")).await.unwrap();
}

#[tokio::test]
async fn the_rows_of_a_look_up_and_of_metadata_are_not_sessions() {
    let world = World::with_bot().await;
    put(&world, KEY, SessionChange { metadata: Some("{}".parse().unwrap()), ..titled("One") }).await;
    for row in world.engine.rows(portcullis_store::Table::ChatSessions).await {
        let id = row["id"].as_s().unwrap();
        let changed = world.store.change_session(BotReach::Any, id, &titled("x")).await;
        assert_eq!(changed.is_ok(), !id.contains('#'), "{id}");
    }
}
