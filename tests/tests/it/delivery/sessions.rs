//! Sessions that delivered messages create and update.

use std::{collections::HashMap, time::Duration};

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{Behaviour, System, seed, system::eventually};
use serde_json::json;

use super::{accept, message, rows};

/// All sessions by session key.
async fn sessions(system: &System) -> HashMap<String, HashMap<String, String>> {
    let rows = rows::all(system, Table::ChatSessions).await;
    // Lookup rows have no session key.
    rows.into_iter().filter_map(|row| Some((row.get("sessionKey")?.clone(), row))).collect()
}

async fn delivered(system: &System, count: u64) {
    eventually("they are delivered", async || system.counted(Metric::EventDelivered) == count).await;
}

#[tokio::test]
async fn each_conversation_has_one_session_under_the_key_that_openclaw_gives_it() {
    let system = System::start().await;
    let (one, pool) = seed::connected(&system).await;
    let bot = seed::bot(&system, "Bot-2", &one.pool).await;
    let two = seed::channel(&system, "channel-2", &bot, &one.pool, "T0TWO", "A0TWO").await;
    let mut bodies = vec![(&one, message(&one, "C0GENERAL", 1)), (&two, message(&two, "C0GENERAL", 1))];
    let mut with = |of, slack_channel: &str, number: u32, fields: &[(&str, &str)]| {
        let mut body = message(of, slack_channel, number);
        for (field, value) in fields {
            body["event"][*field] = json!(value);
        }
        bodies.push((of, body));
    };
    with(&one, "C0GENERAL", 2, &[("thread_ts", "1800014400.000001")]);
    with(&one, "D0DIRECT", 3, &[("channel_type", "im")]);
    with(&one, "D0DIRECT", 4, &[("channel_type", "im"), ("thread_ts", "1800014400.000003")]);
    with(&one, "G0GROUP", 5, &[("channel_type", "mpim")]);
    with(&one, "G0PRIVATE", 6, &[("channel_type", "group")]);
    with(&one, "C0MENTION", 7, &[("type", "app_mention")]);
    // Events that are not messages.
    with(&one, "C0REACTION", 8, &[("type", "reaction_added")]);
    with(&one, "C0RENAMED", 9, &[("type", "channel_rename")]);
    let count = bodies.len();
    for (of, body) in &bodies {
        accept(&system, of, body).await;
    }
    pool.wait_for(count).await;
    delivered(&system, count as u64).await;

    let long = "agent:bot-2:slack:channel:c0general".to_owned();
    let sessions = sessions(&system).await;
    let mut keys: Vec<_> = sessions.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut expected = [
        "agent:bot-1:slack:channel:c0general",
        "agent:bot-1:slack:channel:c0general:thread:1800014400.000001",
        "agent:bot-1:slack:channel:c0mention",
        "agent:bot-1:slack:channel:g0private",
        "agent:bot-1:slack:direct:u0person",
        "agent:bot-1:slack:group:g0group",
        long.as_str(),
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for (key, session) in &sessions {
        // The direct message and the one in its thread belong to one conversation.
        let messages = if key.contains(":direct:") { "2" } else { "1" };
        assert_eq!((session["messageCount"].as_str(), session["channelType"].as_str()), (messages, "slack"), "{key}");
    }
    let of = |key: &str, field: &str| sessions[key][field].clone();
    assert_eq!(of("agent:bot-1:slack:channel:c0general", "title"), "Slack #C0GENERAL");
    assert_eq!(of("agent:bot-1:slack:channel:c0general", "channelId"), "C0GENERAL");
    assert_eq!(of(&long, "bot"), "Bot-2");
    assert_eq!(of("agent:bot-1:slack:direct:u0person", "channelId"), "D0DIRECT");
    system.shutdown().await;
}

#[tokio::test]
async fn a_message_counts_once_however_often_it_is_tried_or_told_and_a_better_title_stays() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let key = "agent:bot-1:slack:channel:c0general";
    pool.behave(Behaviour::Answer(500));
    let first = message(&connected, "C0GENERAL", 1);
    accept(&system, &connected, &first).await;
    let sent_at = system.clock.now();
    for (failures, wait) in (1..).zip([1, 2, 4]) {
        eventually("a failure", async || system.counted(Metric::DeliveryFailed) == failures).await;
        system.clock.advance(Duration::from_secs(wait));
    }
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 4).await;
    let session = sessions(&system).await.remove(key).expect("it is there before the pool has it");
    assert_eq!((session["messageCount"].as_str(), &session["lastMessageAt"]), ("1", &format!("{sent_at:.3}")));

    seed::set(&system, Table::ChatSessions, &session["id"], "title", "#general").await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_secs(8));
    delivered(&system, 1).await;
    let mut again = first.clone();
    again["event_id"] = json!("Ev0AGAIN");
    system.clock.advance(Duration::from_mins(6));
    accept(&system, &connected, &again).await;
    eventually("a duplicate", async || system.counted(Metric::EventDuplicate) == 1).await;
    assert_eq!(sessions(&system).await[key]["messageCount"], "1");

    let second_at = system.clock.now();
    accept(&system, &connected, &message(&connected, "C0GENERAL", 2)).await;
    delivered(&system, 2).await;
    let session = sessions(&system).await.remove(key).expect("it is there");
    assert_eq!(session["messageCount"], "2");
    assert_eq!(session["lastMessageAt"], format!("{second_at:.3}"));
    assert_eq!(session["title"], "#general");
    system.shutdown().await;
}

#[tokio::test]
async fn an_edit_and_a_deletion_of_a_reply_stay_behind_it_in_its_session_and_are_not_counted() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let (thread, reply) = ("1800014400.000001", "1800014400.000002");
    let told = |number: u32, event: serde_json::Value| {
        let mut body = message(&connected, "C0GENERAL", number);
        body["event"] = event;
        body
    };
    let within =
        |text: &str| json!({ "type": "message", "user": "U0PERSON", "text": text, "ts": reply, "thread_ts": thread });
    let bodies = [
        told(
            1,
            json!({
                "type": "message", "channel": "C0GENERAL", "channel_type": "channel", "user": "U0PERSON", "text": "reply",
                "ts": reply, "event_ts": reply, "thread_ts": thread,
            }),
        ),
        told(
            2,
            json!({
                "type": "message", "subtype": "message_changed", "channel": "C0GENERAL", "channel_type": "channel",
                "text": "changed", "ts": "1800014400.000003", "event_ts": "1800014400.000003",
                "message": within("changed"), "previous_message": within("reply"),
            }),
        ),
        told(
            3,
            json!({
                "type": "message", "subtype": "message_deleted", "channel": "C0GENERAL", "channel_type": "channel",
                "text": "deleted", "ts": "1800014400.000004", "event_ts": "1800014400.000004",
                "previous_message": within("changed"),
            }),
        ),
    ];
    pool.behave(Behaviour::Answer(503));
    for body in &bodies {
        accept(&system, &connected, body).await;
    }
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_secs(1));
    delivered(&system, 3).await;
    let texts: Vec<_> = pool.seen().iter().map(portcullis_tests::pool::Delivery::text).collect();
    assert_eq!(
        texts,
        ["reply", "reply", "changed", "deleted"],
        "the first once more after its failure, and all in order"
    );
    let sessions = sessions(&system).await;
    let key = format!("agent:bot-1:slack:channel:c0general:thread:{thread}");
    assert_eq!(sessions.keys().collect::<Vec<_>>(), [&key]);
    assert_eq!(sessions[&key]["messageCount"], "1");
    system.shutdown().await;
}

#[tokio::test]
async fn a_mention_counts_once_though_slack_reports_it_twice() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    for number in 1..=2 {
        let message = message(&connected, "C0GENERAL", number);
        let mut mention = message.clone();
        mention["event_id"] = json!(format!("Ev0MENTION{number}"));
        mention["event"]["type"] = json!("app_mention");
        mention["event"].as_object_mut().expect("an object").remove("channel_type");
        for body in [&message, &mention] {
            accept(&system, &connected, body).await;
        }
    }
    pool.wait_for(4).await;
    delivered(&system, 4).await;
    assert_eq!(sessions(&system).await["agent:bot-1:slack:channel:c0general"]["messageCount"], "2");
    system.shutdown().await;
}
