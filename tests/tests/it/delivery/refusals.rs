//! Pools that answer 4xx: a refusal counts once the pool has been active for a minute, and the eighth is final.

use std::time::Duration;

use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{Behaviour, System, seed, system::eventually};

use super::{accept, failed, message, texts};

/// Waits for `failures` more failed tries, each after the longest back-off.
async fn fail(system: &System, from: usize, failures: usize) {
    for failure in from + 1..=from + failures {
        system.clock.advance(Duration::from_mins(2));
        failed(system, failure).await;
    }
}

#[tokio::test]
async fn the_eighth_refusal_is_final_and_what_stands_behind_it_goes_on() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    system.clock.advance(Duration::from_secs(61));
    pool.behave(Behaviour::Answer(404));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    accept(&system, &connected, &message(&connected, "C0GENERAL", 2)).await;
    failed(&system, 1).await;
    fail(&system, 1, 6).await;
    assert_eq!(system.counted(Metric::EventDeadLettered), 0, "seven are not");
    pool.behave(Behaviour::AnswerTo { text: "message 1\"".to_owned(), status: 410 });
    system.clock.advance(Duration::from_mins(2));
    eventually("the eighth is final", async || system.counted(Metric::EventDeadLettered) == 1).await;
    eventually("the next one goes on", async || system.counted(Metric::EventDelivered) == 1).await;
    assert_eq!(texts(&pool.seen()).iter().filter(|text| *text == "message 1").count(), 8);

    // A redrive resets its count of refusals.
    assert_eq!(system.stack.queue().redrive().await.expect("it is queued again"), 1);
    failed(&system, 8).await;
    assert_eq!(system.counted(Metric::EventDeadLettered), 1);
    system.shutdown().await;
}

#[tokio::test]
async fn statuses_that_ask_for_another_try_are_never_final() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    system.clock.advance(Duration::from_secs(61));
    accept(&system, &connected, &message(&connected, "C0FIRST", 1)).await;
    pool.wait_for(1).await;
    let mut failures = 0;
    for (number, status) in (2..).zip([408, 425, 429, 500, 503]) {
        pool.behave(Behaviour::Answer(status));
        accept(&system, &connected, &message(&connected, &format!("C0{status}"), number)).await;
        failed(&system, failures + 1).await;
        fail(&system, failures + 1, 8).await;
        failures += 9;
        pool.behave(Behaviour::Answer(200));
        system.clock.advance(Duration::from_mins(2));
        eventually("it is delivered", async || system.counted(Metric::EventDelivered) == u64::from(number)).await;
    }
    assert_eq!(system.counted(Metric::EventDeadLettered), 0);
    system.shutdown().await;
}

#[tokio::test]
async fn refusals_of_a_pool_that_has_just_started_do_not_count() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(404));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    failed(&system, 1).await;
    for failure in 2..=12 {
        // A crash-looping pool is never active for a minute, so its refusals do not count.
        let now = format!("{:.3}", portcullis_auth::Clock::now(&*system.clock) + Duration::from_mins(2));
        seed::set(&system, Table::Pools, "pool-1", "activeSince", &now).await;
        system.clock.advance(Duration::from_mins(2));
        failed(&system, failure).await;
    }
    assert_eq!(system.counted(Metric::EventDeadLettered), 0);
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_mins(2));
    eventually("it is delivered", async || system.counted(Metric::EventDelivered) == 1).await;
    system.shutdown().await;
}

#[tokio::test]
async fn an_event_without_a_slack_channel_holds_up_no_other() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let mut joined = message(&connected, "C0NONE", 1);
    joined["event"] = serde_json::json!({ "type": "team_join", "user": { "id": "U0NEW" }, "text": "refused" });
    pool.behave(Behaviour::Refuse("refused".to_owned()));
    accept(&system, &connected, &joined).await;
    failed(&system, 1).await;
    for (number, event) in (2..).zip([
        serde_json::json!({ "type": "team_join", "user": { "id": "U0OTHER" }, "text": "joined" }),
        serde_json::json!({ "type": "file_shared", "file_id": "F0", "channel_id": "C0FILES", "event_ts": "1.2" }),
        serde_json::json!({ "type": "reaction_added", "item": { "channel": "C0LIKES", "ts": "1.1" }, "event_ts": "1.3" }),
    ]) {
        let mut body = message(&connected, "C0NONE", number);
        body["event"] = event;
        accept(&system, &connected, &body).await;
    }
    eventually("the others", async || system.counted(Metric::EventDelivered) == 3).await;
    system.shutdown().await;
}
