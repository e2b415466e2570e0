//! Counting messages in their sessions.

use portcullis_auth::Clock as _;
use portcullis_contract::SafeInteger;
use portcullis_crypto::Digest;
use portcullis_store::{BotReach, MessageSeen, NewSession, SessionChange, Table, round_trips::counted, session_id};

use crate::support::{Item, World, bot, hours, item, text};

const KEY: &str = "agent:bot-1:slack:channel:c1";

/// Records a message of this event under this title.
async fn see(world: &World, event: &str, title: &str) {
    let bot = bot();
    let message = MessageSeen {
        bot: &bot,
        session_key: KEY,
        channel_type: "slack",
        channel_id: "C1",
        at: world.clock.now(),
        counted_as: Some(Digest::of(event.as_bytes())),
        title,
    };
    world.store.record_message(&message).await.unwrap();
}

async fn row(world: &World) -> Item {
    world.engine.row(Table::ChatSessions, item([("id", text(&session_id(&bot(), KEY)))])).await.unwrap()
}

#[tokio::test]
async fn a_first_message_makes_the_session_and_later_ones_count_in_it() {
    let world = World::new().await;
    let ((), calls) = counted(see(&world, "Ev1", "Slack #general")).await;
    assert_eq!(calls, 3);
    let first = row(&world).await;
    world.clock.advance(hours(1));
    let ((), calls) = counted(see(&world, "Ev2", "another title")).await;
    assert_eq!(calls, 1);
    let second = row(&world).await;
    assert_eq!(second["messageCount"].as_n().unwrap(), "2");
    assert_eq!(second["title"], text("Slack #general"));
    assert_eq!(second["sessionKey"], text(KEY));
    assert_eq!(second["createdAt"], first["createdAt"]);
    assert_eq!(second["lastMessageAt"], text("2026-02-03T05:05:06.789Z"));
    let expires = jiff::Timestamp::as_second("2026-05-04T05:05:06Z".parse().unwrap());
    assert_eq!(second["expiresAt"].as_n().unwrap(), &expires.to_string());
}

#[tokio::test]
async fn one_of_the_last_8_messages_is_not_counted_again() {
    let world = World::new().await;
    for number in 1..=9 {
        see(&world, &format!("message {number}"), "title").await;
    }
    let before = row(&world).await;
    assert_eq!(before["messageCount"].as_n().unwrap(), "9");
    world.clock.advance(hours(1));
    for number in 2..=9 {
        see(&world, &format!("message {number}"), "title").await;
        assert_eq!(row(&world).await, before, "{number}");
    }
    see(&world, "message 1", "title").await;
    assert_eq!(row(&world).await["messageCount"].as_n().unwrap(), "10", "it has been forgotten");
}

#[tokio::test]
async fn an_edit_touches_its_session_and_is_not_counted() {
    let world = World::new().await;
    let bot = bot();
    let edit = || MessageSeen {
        bot: &bot,
        session_key: KEY,
        channel_type: "slack",
        channel_id: "C1",
        at: world.clock.now(),
        counted_as: None,
        title: "title",
    };
    world.store.record_message(&edit()).await.unwrap();
    assert_eq!(row(&world).await["messageCount"].as_n().unwrap(), "0");
    see(&world, "message", "title").await;
    world.clock.advance(hours(1));
    let ((), calls) = counted(async { world.store.record_message(&edit()).await.unwrap() }).await;
    assert_eq!(calls, 1);
    let touched = row(&world).await;
    assert_eq!(touched["messageCount"].as_n().unwrap(), "1");
    assert_eq!(touched["lastMessageAt"], text("2026-02-03T05:05:06.789Z"));
    see(&world, "message", "title").await;
    assert_eq!(row(&world).await["messageCount"].as_n().unwrap(), "1", "the message before is remembered");
}

#[tokio::test]
async fn a_session_past_its_retention_is_made_anew_though_its_row_is_still_there() {
    let world = World::new().await;
    see(&world, "Ev1", "old title").await;
    see(&world, "Ev2", "old title").await;
    world.clock.advance(hours(90 * 24));
    see(&world, "Ev2", "new title").await;
    let anew = row(&world).await;
    assert_eq!((anew["messageCount"].as_n().unwrap().as_str(), &anew["title"]), ("1", &text("new title")));
}

#[test]
fn a_sessions_id_is_its_bots_and_its_keys() {
    let id = session_id(&bot(), KEY);
    assert_eq!(id.len(), 64);
    assert_ne!(id, session_id(&"bot-2".parse().unwrap(), KEY));
    assert_ne!(id, session_id(&bot(), "agent:bot-1:main"));
}

#[tokio::test]
async fn a_count_ends_at_the_largest_that_there_is_and_its_session_goes_on() {
    let world = World::with_bot().await;
    let new = NewSession {
        bot: bot(),
        session_key: KEY.parse().unwrap(),
        channel_type: Some("slack".parse().unwrap()),
        channel_id: Some("C1".parse().unwrap()),
        change: SessionChange {
            title: Some("A title".parse().unwrap()),
            message_count: Some((SafeInteger::MAXIMUM - 1).into()),
            ..SessionChange::default()
        },
    };
    world.store.put_session(BotReach::Any, &new).await.unwrap();
    for number in 1..=3 {
        world.clock.advance(hours(1));
        see(&world, &format!("message {number}"), "title").await;
        let row = row(&world).await;
        assert_eq!(row["messageCount"].as_n().unwrap(), &SafeInteger::MAXIMUM.to_string());
        assert_eq!(row["lastMessageAt"], text(&format!("{:.3}", world.clock.now())));
    }
}
