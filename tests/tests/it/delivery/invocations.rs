//! Interactions and slash commands, which a user waits for: delivered only while they can still be answered.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    Behaviour, System, seed, slack,
    system::{eventually, random_hex, send},
};
use relay::INVOCATION_LIFETIME;

use super::{accept, failed, message};

#[tokio::test]
async fn a_command_that_can_be_answered_no_more_is_dropped_counted_and_logged_and_a_message_is_not() {
    assert_eq!(INVOCATION_LIFETIME, Duration::from_mins(30));
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    let id = format!("late-{}", random_hex(4));
    let command = slack::command(&connected.team, &connected.app, "C0COMMAND", 1);
    let request =
        slack::signed_form(&system, "/api/slack/commands", &connected.signing_secret, &command, system.clock.now());
    assert_eq!(send(request.header("x-request-id", &id)).await.status, 200);
    failed(&system, 1).await;
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    failed(&system, 2).await;

    // One second before its lifetime ends, it is still tried.
    system.clock.advance(INVOCATION_LIFETIME.saturating_sub(Duration::from_secs(1)));
    failed(&system, 4).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_mins(2));
    eventually("the command is dropped", async || system.counted(Metric::EventsDropped) == 1).await;
    eventually("the message is delivered", async || system.counted(Metric::EventDelivered) == 1).await;
    let lines = system.logs.of_request(&id);
    let line = lines.iter().find(|line| line["message"] == "dropped").unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(line["channel"], connected.channel.as_str());
    assert!(system.stack.queue().dead_letters().expect("they are listed").is_empty());
    let commands = pool.seen().iter().filter(|delivery| delivery.body == command.as_bytes()).count();
    assert_eq!(commands, 2, "none after its end");
    system.shutdown().await;
}

#[tokio::test]
async fn a_click_waits_for_the_message_before_it_in_its_thread() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    let mut first = message(&connected, "C0GENERAL", 1);
    first["event"]["thread_ts"] = "1800014400.000001".into();
    accept(&system, &connected, &first).await;
    failed(&system, 1).await;
    let mut click = slack::click(&connected.team, &connected.app, "C0GENERAL", 2);
    click["container"]["thread_ts"] = "1800014400.000001".into();
    let in_thread = slack::payload_form(&click);
    click["container"]["thread_ts"] = "1800014400.000002".into();
    click["trigger_id"] = "3.1800014400.x".into();
    let elsewhere = slack::payload_form(&click);
    pool.behave(Behaviour::Answer(200));
    for form in [&in_thread, &elsewhere] {
        let (secret, now) = (&connected.signing_secret, system.clock.now());
        let request = slack::signed_form(&system, "/api/slack/interactions", secret, form, now);
        assert_eq!(send(request).await.status, 200);
    }
    eventually("the click in another thread", async || system.counted(Metric::EventDelivered) == 1).await;
    system.clock.advance(Duration::from_secs(1));
    eventually("the message and its click", async || system.counted(Metric::EventDelivered) == 3).await;
    let bodies: Vec<_> = pool.seen().into_iter().map(|delivery| delivery.body).collect();
    let first = first.to_string();
    let expected: [&[u8]; 4] = [first.as_bytes(), elsewhere.as_bytes(), first.as_bytes(), in_thread.as_bytes()];
    assert_eq!(bodies, expected);
    system.shutdown().await;
}
