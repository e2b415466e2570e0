//! Accepted Slack events reach their bot's pool once, in order and signed anew, whatever fails on the way.

mod content;
mod destination;
mod invocations;
mod redrive;
mod refusals;
mod retries;
mod rows;
mod sessions;
mod waiting;

use std::time::Duration;

use portcullis_auth::{BotId, Clock};
use portcullis_crypto::Digest;
use portcullis_runtime::metrics::Metric;
use portcullis_store::{BotStatus, ChannelStatus, Lease, Table, session_id};
use portcullis_tests::{
    Behaviour, StandInPool, System,
    pool::Delivery,
    seed::{self, Connected},
    slack,
    system::{Settings, eventually, send},
};
use serde_json::{Value, json};

/// Sends an event through the front door and expects the 200 that confirms that it is queued.
async fn accept(system: &System, of: &Connected, body: &Value) {
    let request = slack::signed(system, "/api/slack/events", &of.signing_secret, body.to_string(), system.clock.now());
    let answer = send(request).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true })));
}

fn message(of: &Connected, slack_channel: &str, number: u32) -> Value {
    slack::message(&of.team, &of.app, slack_channel, number)
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(Delivery::text).collect()
}

/// Waits until this many deliveries have failed in all.
async fn failed(system: &System, times: usize) {
    let is_so = async || usize::try_from(system.counted(Metric::DeliveryFailed)) == Ok(times);
    eventually(&format!("{times} failures"), is_so).await;
}

/// Advances the clock until this many events, each of its own conversation, are delivered. Each step exceeds the
/// longest back-off and waits until every pending event has been tried, so that no lease expires during a delivery,
/// however slow the machine is.
async fn delivered(system: &System, times: u64) {
    let tries = || system.counted(Metric::DeliveryFailed) + system.counted(Metric::EventDelivered);
    while system.counted(Metric::EventDelivered) < times {
        let due = tries() + times - system.counted(Metric::EventDelivered);
        system.clock.advance(Duration::from_mins(2));
        eventually("each is tried", async || tries() >= due).await;
    }
}

/// Waits until the relay is idle, by sending an event of a conversation of its own through it.
async fn fence(system: &System, of: &Connected, pool: &StandInPool, number: u32) {
    accept(system, of, &message(of, &format!("C0FENCE{number}"), 900_000 + number)).await;
    let text = format!("message {}", 900_000 + number);
    eventually("the fence", async || texts(&pool.seen()).contains(&text)).await;
}

#[tokio::test]
async fn a_message_reaches_its_pool_once_signed_anew() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = message(&connected, "C0GENERAL", 1).to_string();
    // A format that no other serializer would produce.
    let body = format!("{{ \"unknown\" : [1.0e1, \"\\u00e9\\/ 🦀\"],\r\n\t{}", &body[1..]);
    let request =
        slack::signed(&system, "/api/slack/events", &connected.signing_secret, body.clone(), system.clock.now());
    let answer = send(request.header("x-request-id", "a-callers-id")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true })));

    let deliveries = pool.wait_for(1).await;
    let delivery = &deliveries[0];
    assert_eq!(delivery.path, connected.delivery_path());
    assert_eq!(delivery.body, body.as_bytes(), "the raw body, to the byte");
    assert!(delivery.is_signed_with(&connected.delivery_secret, system.clock.now().as_second()));
    assert_eq!(delivery.headers["x-request-id"], "a-callers-id");
    assert_eq!(delivery.headers["content-type"], "application/json");
    eventually("it is counted", async || system.counted(Metric::EventDelivered) == 1).await;
    let logged = system.logs.of_request("a-callers-id");
    assert!(logged.iter().any(|line| line["message"] == "request" && line["status"] == 200), "{logged:?}");
    assert!(logged.iter().any(|line| line["message"] == "delivered"), "{logged:?}");
    system.shutdown().await;
    assert_eq!(pool.seen().len(), 1);
}

#[tokio::test]
async fn the_same_event_is_delivered_once_however_often_and_under_whatever_id_it_comes() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let first = message(&connected, "C0GENERAL", 1);
    accept(&system, &connected, &first).await;
    pool.wait_for(1).await;

    let retry =
        slack::signed(&system, "/api/slack/events", &connected.signing_secret, first.to_string(), system.clock.now());
    let retry = retry.header("x-slack-retry-num", "1").header("x-slack-retry-reason", "http_timeout");
    assert_eq!(send(retry).await.status, 200);
    let mut other_id = first.clone();
    other_id["event_id"] = json!("Ev0OTHER");
    accept(&system, &connected, &other_id).await;
    // The queue's deduplication window has passed, and the event log still detects the duplicate.
    system.clock.advance(Duration::from_mins(6));
    accept(&system, &connected, &first).await;
    eventually("the duplicate is told", async || system.counted(Metric::EventDuplicate) >= 1).await;
    assert_eq!(system.counted(Metric::EventRepeated), 2, "within the queue's memory");
    assert!(system.logs.all().iter().any(|line| line.contains("deduplicated: the event was queued before")));

    let mut other_kind = first.clone();
    other_kind["event_id"] = json!("Ev0MENTION");
    other_kind["event"]["type"] = json!("app_mention");
    accept(&system, &connected, &other_kind).await;
    fence(&system, &connected, &pool, 1).await;
    system.shutdown().await;
    let seen = pool.seen();
    assert_eq!(seen.len(), 3, "the event, its mention, the fence: {:?}", texts(&seen));
}

#[tokio::test]
async fn the_same_event_from_twenty_connections_at_once_is_delivered_once() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = message(&connected, "C0GENERAL", 1);
    let sends = (0..20).map(|_| accept(&system, &connected, &body));
    futures_util::future::join_all(sends).await;
    fence(&system, &connected, &pool, 1).await;
    system.shutdown().await;
    assert_eq!(pool.seen().len(), 2, "the event and the fence");
}

#[tokio::test]
async fn two_of_our_channels_in_one_slack_channel_each_get_their_own() {
    let system = System::start().await;
    let (one, pool) = seed::connected(&system).await;
    let bot = seed::bot(&system, "bot-2", &one.pool).await;
    let two = seed::channel(&system, "channel-2", &bot, &one.pool, &one.team, "A0TWO").await;
    // Slack sends the one message to both apps, with the same id and time.
    for of in [&one, &two] {
        accept(&system, of, &message(of, "C0SHARED", 1)).await;
    }
    let mut paths: Vec<_> = pool.wait_for(2).await.into_iter().map(|delivery| delivery.path).collect();
    paths.sort();
    assert_eq!(paths, [one.delivery_path(), two.delivery_path()]);
    system.shutdown().await;
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_after_a_wait_that_doubles_in_order_and_holds_up_no_other_conversation() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let down = StandInPool::start().await;
    let other = seed::pool(&system, "pool-down", Some(&down.address().to_string())).await;
    let bot = seed::bot(&system, "bot-down", &other).await;
    let failing = seed::channel(&system, "channel-down", &bot, &other, "T0DOWN", "A0DOWN").await;
    down.behave(Behaviour::Answer(500));
    for number in 1..=3 {
        accept(&system, &failing, &message(&failing, "C0GENERAL", number)).await;
    }
    let mut tries = 1;
    down.wait_for(tries).await;
    let mut number = 0;
    for wait in [1, 2, 4, 8, 16] {
        failed(&system, tries).await;
        system.clock.advance(Duration::from_millis(wait * 1000 - 1));
        number += 1;
        fence(&system, &connected, &pool, number).await;
        assert_eq!(down.seen().len(), tries, "nothing goes before its time, and no other conversation waits");
        system.clock.advance(Duration::from_millis(1));
        tries += 1;
        down.wait_for(tries).await;
    }
    failed(&system, tries).await;
    down.behave(Behaviour::Answer(204));
    system.clock.advance(Duration::from_secs(32));
    let seen = texts(&down.wait_for(tries + 3).await);
    assert_eq!(seen[..tries], vec!["message 1"; tries], "the first is tried, those behind it wait");
    assert_eq!(seen[tries..], ["message 1", "message 2", "message 3"]);
    let last = down.seen().pop().expect("there are some");
    assert!(last.is_signed_with(&failing.delivery_secret, system.clock.now().as_second()), "signed when delivered");
    system.shutdown().await;
}

#[tokio::test]
async fn any_answer_of_a_pool_but_a_2xx_is_not_a_delivery() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let elsewhere = StandInPool::start().await;
    let redirect = Behaviour::Redirect(format!("http://{}/", elsewhere.address()));
    let failures = [Behaviour::Answer(404), Behaviour::Answer(301), redirect, Behaviour::Close];
    for (number, behaviour) in (1_u32..).zip(failures) {
        pool.behave(behaviour.clone());
        accept(&system, &connected, &message(&connected, &format!("C0{number}"), number)).await;
        let settled = async || system.counted(Metric::DeliveryFailed) == u64::from(number);
        eventually(&format!("{behaviour:?}"), settled).await;
    }
    assert!(elsewhere.seen().is_empty(), "a redirect is not followed");
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_secs(1));
    eventually("all four", async || system.counted(Metric::EventDelivered) == 4).await;
    assert_eq!(pool.seen().len(), 8);
    system.shutdown().await;
}

#[tokio::test]
async fn a_pool_that_hangs_is_given_up_and_tried_again() {
    let system = System::start_with(Settings::random().with_production_delivery_timeout()).await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Hang);
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("the time-out of 10 s", async || system.counted(Metric::DeliveryFailed) == 1).await;
    pool.behave(Behaviour::Answer(200));
    delivered(&system, 1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_pool_that_is_away_gets_what_was_accepted_when_it_is_back_where_it_is_then() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let connected = seed::channel(&system, "channel-1", &bot, &pool, "T0ONE", "A0ONE").await;
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("no address yet", async || system.counted(Metric::DeliveryFailed) == 1).await;

    let gone = StandInPool::start().await;
    let address = gone.address();
    drop(gone);
    seed::pool(&system, "pool-1", Some(&address.to_string())).await;
    system.clock.advance(Duration::from_secs(1));
    eventually("nobody there", async || system.counted(Metric::DeliveryFailed) == 2).await;

    let back = StandInPool::start().await;
    seed::pool(&system, "pool-1", Some(&back.address().to_string())).await;
    system.clock.advance(Duration::from_secs(2));
    back.wait_for(1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_delivered_for_a_day_lies_in_the_dead_letters_and_can_be_redriven() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(503));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("the first failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    system.clock.advance(Duration::from_hours(24));
    eventually("given up", async || system.counted(Metric::EventDeadLettered) == 1).await;
    assert_eq!(pool.seen().len(), 1, "a day later it is not even tried");
    let letters = system.stack.queue().dead_letters().expect("the dead letters are listed");
    assert_eq!(letters.len(), 1);

    pool.behave(Behaviour::Answer(200));
    assert_eq!(system.stack.queue().redrive().await.expect("they are queued again"), 1);
    eventually("it is delivered", async || system.counted(Metric::EventDelivered) == 1).await;
    assert!(system.stack.queue().dead_letters().expect("the dead letters are listed").is_empty());
    system.shutdown().await;
}

#[tokio::test]
async fn events_for_a_paused_bot_or_a_disconnected_channel_are_dropped_and_counted() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let store = system.store();
    store.set_bot_status(&connected.bot, BotStatus::Paused).await.expect("the bot is paused");
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("a paused bot's", async || system.counted(Metric::EventsDropped) == 1).await;
    store.set_bot_status(&connected.bot, BotStatus::Active).await.expect("the bot answers again");
    store.set_channel_status(&connected.channel, ChannelStatus::Disconnected).await.expect("it is disconnected");
    accept(&system, &connected, &message(&connected, "C0GENERAL", 2)).await;
    eventually("a disconnected channel's", async || system.counted(Metric::EventsDropped) == 2).await;
    store.set_channel_status(&connected.channel, ChannelStatus::Connected).await.expect("it is connected");
    store.set_bot_status(&connected.bot, BotStatus::Deleted).await.expect("the bot is deleted");
    accept(&system, &connected, &message(&connected, "C0GENERAL", 3)).await;
    eventually("a deleted bot's", async || system.counted(Metric::EventsDropped) == 3).await;
    let dropped = system.logs.all().into_iter().filter(|line| line.contains(r#""message":"dropped""#)).count();
    assert!(dropped >= 3, "each is logged");
    assert!(pool.seen().is_empty());
    system.shutdown().await;
}

/// Raw row of a chat session.
async fn session(system: &System, bot: &BotId, key: &str) -> (String, String, String) {
    use aws_sdk_dynamodb::{Client, types::AttributeValue};
    let client = Client::new(&system.stack.environment().aws);
    let row = client
        .get_item()
        .table_name(format!("portcullis-local-{}", Table::ChatSessions.name()))
        .key("id", AttributeValue::S(session_id(bot, key)))
        .consistent_read(true)
        .send()
        .await
        .expect("the row is read")
        .item
        .unwrap_or_else(|| panic!("no session {key}"));
    let text = |name: &str| match &row[name] {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => panic!("{name}: {other:?}"),
    };
    (text("title"), text("messageCount"), text("lastMessageAt"))
}

#[tokio::test]
async fn a_message_is_counted_once_in_the_conversation_that_it_belongs_to() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    let first_at = system.clock.now();
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_secs(1));
    eventually("the first", async || system.counted(Metric::EventDelivered) == 1).await;
    let key = "agent:bot-1:slack:channel:c0general";
    let (title, count, at) = session(&system, &connected.bot, key).await;
    assert_eq!((title.as_str(), count.as_str()), ("Slack #C0GENERAL", "1"), "a retry is not counted again");
    assert_eq!(at, format!("{first_at:.3}"));

    let mut threaded = message(&connected, "C0GENERAL", 2);
    threaded["event"]["thread_ts"] = json!("1800014400.000001");
    let mut direct = message(&connected, "D0DIRECT", 3);
    direct["event"]["channel_type"] = json!("im");
    for body in [&threaded, &direct, &message(&connected, "C0GENERAL", 4)] {
        accept(&system, &connected, body).await;
    }
    eventually("all", async || system.counted(Metric::EventDelivered) == 4).await;
    assert_eq!(session(&system, &connected.bot, key).await.1, "2");
    session(&system, &connected.bot, "agent:bot-1:slack:channel:c0general:thread:1800014400.000001").await;
    session(&system, &connected.bot, "agent:bot-1:slack:direct:u0person").await;
    system.shutdown().await;
}

#[tokio::test]
async fn an_address_that_left_the_pools_networks_is_not_posted_to() {
    let stand_in = StandInPool::start().await;
    let settings = Settings::random().with("POOL_CIDRS", "127.0.0.0/8");
    let data = tempfile::tempdir().expect("a folder");
    let settings = Settings { data: Some(data.path().to_owned()), ..settings };
    let clock = std::sync::Arc::new(portcullis_tests::TestClock::new());
    let system = System::try_start(settings.clone(), clock.clone()).await.expect("it starts");
    let pool = seed::pool(&system, "pool-1", Some(&stand_in.address().to_string())).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let connected = seed::channel(&system, "channel-1", &bot, &pool, "T0ONE", "A0ONE").await;
    system.shutdown().await;

    let system = System::try_start(settings.with("POOL_CIDRS", "10.0.0.0/8"), clock).await.expect("it starts");
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    eventually("it is refused", async || system.counted(Metric::DeliveryFailed) == 1).await;
    assert!(stand_in.seen().is_empty());
    system.shutdown().await;
}

#[tokio::test]
async fn an_event_that_another_delivery_holds_waits_for_it() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = message(&connected, "C0GENERAL", 1);
    // Identity in the event log: the channel and the fields of the occurrence, each prefixed by its length.
    let at = body["event"]["event_ts"].as_str().expect("an event has a time");
    let parts = ["occurrence", connected.channel.as_str(), "C0GENERAL", "U0PERSON", at, "message", "", ""];
    let identity = Digest::of_parts(&parts.map(str::as_bytes));
    let taken = system.store().lease(&identity, "another delivery", Duration::from_mins(1)).await;
    assert_eq!(taken.expect("the lease is asked for"), Lease::Taken { refusals: 0 });
    accept(&system, &connected, &body).await;
    eventually("it is held", async || system.counted(Metric::DeliveryFailed) == 1).await;
    assert!(pool.seen().is_empty());
    system.clock.advance(Duration::from_mins(1));
    pool.wait_for(1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn queued_events_survive_a_restart_in_their_order() {
    let data = tempfile::tempdir().expect("a folder");
    let settings = Settings { data: Some(data.path().to_owned()), ..Settings::random() };
    let clock = std::sync::Arc::new(portcullis_tests::TestClock::new());
    let system = System::try_start(settings.clone(), clock.clone()).await.expect("it starts");
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    for number in 1..=5 {
        accept(&system, &connected, &message(&connected, "C0GENERAL", number)).await;
    }
    eventually("a failure", async || system.counted(Metric::DeliveryFailed) == 1).await;
    system.shutdown().await;
    let before = pool.seen().len();

    pool.behave(Behaviour::Answer(200));
    let system = System::try_start(settings, clock).await.expect("it starts again");
    let seen = texts(&pool.wait_for(before + 5).await);
    assert_eq!(seen[before..], ["message 1", "message 2", "message 3", "message 4", "message 5"]);
    system.shutdown().await;
}
