//! Slack's events while the store or the queue fails: an event answered 200 is stored, and one that Slack retries is
//! delivered once.

use std::time::Duration;

use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    Fault, Faulty,
    faults::Call,
    seed,
    system::{eventually, send},
};

use crate::{event, event_in, must_be_unavailable};

fn is_channel_lookup(call: &Call) -> bool {
    ["webhook_routes", "channels", "channel_credentials"].into_iter().any(|table| call.is_about(table))
}

/// Detail of a request's error that only the log has.
fn logged_detail(faulty: &Faulty, request_id: &str) -> String {
    let lines = faulty.system.logs.of_request(request_id);
    let line = lines.iter().find(|line| line.get("storeRounds").is_some()).expect("a request's line");
    line["detail"].as_str().unwrap().to_owned()
}

/// Event 1 is answered 503 while the queue has this fault. Slack retries it after the fault, and it and its successor
/// are delivered once each.
async fn is_delivered_once_when_slack_repeats_it(fault: Fault) {
    let faulty = Faulty::start().await;
    let (connected, pool) = seed::connected(&faulty.system).await;
    faulty.proxy.rule(move |call| if call.is_queue_write() { fault.clone() } else { Fault::None });
    must_be_unavailable(&send(event(&faulty.system, &connected, 1)).await);
    assert_eq!(faulty.system.counted(Metric::EventAccepted), 0);
    assert_eq!(faulty.system.counted(Metric::DependencyUnavailable), 1);

    faulty.proxy.heal();
    let retry = event(&faulty.system, &connected, 1).header("x-slack-retry-num", "1");
    assert_eq!(send(retry).await.status, 200);
    assert_eq!(send(event(&faulty.system, &connected, 2)).await.status, 200);
    let deliveries = pool.wait_for(2).await;
    faulty.system.shutdown().await;
    let texts: Vec<_> = deliveries.iter().map(portcullis_tests::pool::Delivery::text).collect();
    assert_eq!(texts, ["message 1", "message 2"]);
    assert_eq!(pool.seen().len(), 2);
}

#[tokio::test]
async fn an_event_that_the_throttled_queue_refused_is_delivered_once_when_slack_repeats_it() {
    is_delivered_once_when_slack_repeats_it(Fault::Code("ProvisionedThroughputExceededException")).await;
}

#[tokio::test]
async fn an_event_that_the_broken_queue_refused_is_delivered_once_when_slack_repeats_it() {
    is_delivered_once_when_slack_repeats_it(Fault::Code("InternalServerError")).await;
}

#[tokio::test]
async fn an_event_that_the_queue_will_never_take_as_it_is_now_is_a_503_too() {
    is_delivered_once_when_slack_repeats_it(Fault::Code("ResourceNotFoundException")).await;
}

#[tokio::test]
async fn an_event_that_the_queue_took_without_saying_so_is_delivered_once_when_slack_repeats_it() {
    is_delivered_once_when_slack_repeats_it(Fault::LoseAnswer).await;
}

#[tokio::test]
async fn an_event_that_the_queue_takes_too_late_is_delivered_once_when_slack_repeats_it() {
    // After the front door's deadline: the write succeeds when its caller has given up.
    is_delivered_once_when_slack_repeats_it(Fault::Delay(Duration::from_millis(2_400))).await;
}

#[tokio::test]
async fn an_event_that_the_queue_hangs_on_is_delivered_once_when_slack_repeats_it() {
    is_delivered_once_when_slack_repeats_it(Fault::Hang).await;
}

#[tokio::test]
async fn a_look_up_of_the_channel_that_hangs_ends_at_the_deadline() {
    let faulty = Faulty::start().await;
    let (connected, pool) = seed::connected(&faulty.system).await;
    for (number, table) in ["webhook_routes", "channels", "channel_credentials"].into_iter().enumerate() {
        faulty.proxy.rule(move |call| if call.is_about(table) { Fault::Hang } else { Fault::None });
        let id = format!("hanging-{table}-{:?}", connected.delivery_secret.get(..8));
        let id = id.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let number = u32::try_from(number).unwrap();
        let answer = send(event(&faulty.system, &connected, number).header("x-request-id", &id)).await;
        must_be_unavailable(&answer);
        assert_eq!(logged_detail(&faulty, &id), "the answer took longer than its deadline", "{table}");
    }
    assert_eq!(faulty.system.counted(Metric::DependencyUnavailable), 3);
    faulty.proxy.heal();
    assert_eq!(send(event(&faulty.system, &connected, 0)).await.status, 200, "what hung is not remembered");
    pool.wait_for(1).await;
}

#[tokio::test]
async fn a_slow_look_up_that_would_pass_the_deadline_ends_at_it() {
    let faulty = Faulty::start().await;
    let (connected, _pool) = seed::connected(&faulty.system).await;
    // Two lookups, each within the store's own time-out.
    faulty.proxy.rule(
        |call| {
            if is_channel_lookup(call) { Fault::Delay(Duration::from_millis(1_600)) } else { Fault::None }
        },
    );
    let id = format!("slow-{}", &connected.delivery_secret[..8]);
    must_be_unavailable(&send(event(&faulty.system, &connected, 1).header("x-request-id", &id)).await);
    assert_eq!(logged_detail(&faulty, &id), "the answer took longer than its deadline");
}

#[tokio::test]
async fn a_channel_that_is_known_needs_no_store_to_be_let_in() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    pool.wait_for(1).await;
    // Every call fails except the queue's writes.
    proxy.rule(|call| if call.is_queue_write() { Fault::None } else { Fault::Code("ThrottlingException") });
    for number in 2..6 {
        let conversation = format!("C0CONVERSATION{number}");
        assert_eq!(send(event_in(&system, &connected, &conversation, number)).await.status, 200);
    }
    proxy.heal();
    crate::in_time(&system, "all are delivered", async || pool.seen().len() >= 5).await;
}

#[tokio::test]
async fn a_throttled_look_up_of_the_channel_is_a_503_and_not_a_refusal() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    proxy.rule(|call| if is_channel_lookup(call) { Fault::Code("ThrottlingException") } else { Fault::None });
    must_be_unavailable(&send(event(&system, &connected, 1)).await);
    let stranger = seed::Connected { team: "T0OTHER".to_owned(), ..connected.clone() };
    must_be_unavailable(&send(event(&system, &stranger, 2)).await);
    proxy.heal();
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    assert_eq!(send(event(&system, &stranger, 2)).await.status, 401);
    eventually("the delivery", async || !pool.seen().is_empty()).await;
}
