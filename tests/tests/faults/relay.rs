//! Store faults while the relay delivers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use portcullis_runtime::{metrics::Metric, queue::VISIBILITY};
use portcullis_tests::{
    Behaviour, Fault, Faulty, StandInPool, System,
    faults::Call,
    pool::Delivery,
    seed,
    system::{eventually, send},
};

use crate::{event, event_in, in_time};

pub fn is_record(call: &Call) -> bool {
    // A lease only names the attribute in its condition; the record of a delivery gives it a value.
    call.is_about("event_log") && call.body.contains(r#""deliveredAt":{"#)
}

pub fn is_lease(call: &Call) -> bool {
    call.action == "UpdateItem" && call.is_about("event_log")
}

fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(Delivery::text).collect()
}

async fn failed(system: &System, times: u64) {
    in_time(system, "failed deliveries", async || system.counted(Metric::DeliveryFailed) >= times).await;
}

/// An accepted event meets `fault` more than once where `is_met` holds, and nothing reaches the pool meanwhile. After
/// the fault it is delivered once, before the events accepted after it.
async fn is_delivered_once_when_all_is_well_again(fault: Fault, is_met: fn(&Call) -> bool) {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    pool.wait_for(1).await;
    proxy.rule(move |call| if is_met(call) { fault.clone() } else { Fault::None });
    assert_eq!(send(event(&system, &connected, 2)).await.status, 200, "accepted all the same");
    assert_eq!(send(event(&system, &connected, 3)).await.status, 200);
    failed(&system, 2).await;
    assert_eq!(pool.seen().len(), 1);
    proxy.heal();
    in_time(&system, "the deliveries", async || pool.seen().len() >= 3).await;
    eventually("the record", async || system.counted(Metric::EventDelivered) >= 3).await;
    system.shutdown().await;
    assert_eq!(texts(&pool.seen()), ["message 1", "message 2", "message 3"]);
}

const THROTTLED: Fault = Fault::Code("ThrottlingException");

#[tokio::test]
async fn an_event_whose_lease_fails_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(THROTTLED, is_lease).await;
}

#[tokio::test]
async fn an_event_whose_lease_is_taken_without_an_answer_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(Fault::LoseAnswer, is_lease).await;
}

#[tokio::test]
async fn an_event_whose_session_is_not_recorded_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(THROTTLED, |call| call.is_about("chat_sessions")).await;
}

#[tokio::test]
async fn an_event_whose_bot_cannot_be_looked_up_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(THROTTLED, |call| call.is_about("bots")).await;
}

#[tokio::test]
async fn an_event_whose_pool_cannot_be_looked_up_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(THROTTLED, |call| call.is_about("pools")).await;
}

#[tokio::test]
async fn an_event_whose_delivery_secret_cannot_be_looked_up_is_delivered_once() {
    is_delivered_once_when_all_is_well_again(THROTTLED, |call| call.is_about("channel_credentials")).await;
}

#[tokio::test]
async fn writers_in_the_leases_way_are_waited_for() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let left = std::sync::atomic::AtomicU32::new(5);
    proxy.rule(move |call| {
        use std::sync::atomic::Ordering::SeqCst;
        let is_in_the_way = is_lease(call) && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_in_the_way { Fault::Code("TransactionConflictException") } else { Fault::None }
    });
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    pool.wait_for(1).await;
    eventually("the record", async || system.counted(Metric::EventDelivered) == 1).await;
    assert_eq!(system.counted(Metric::DeliveryFailed), 0, "within the one try");
}

/// The pool has the event but the delivery is not recorded: a later retry by Slack may be delivered a second time, but
/// not a third.
async fn is_delivered_twice_at_the_most(fault: Fault) {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    proxy.rule(move |call| if is_record(call) { fault.clone() } else { Fault::None });
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    eventually("the delivery", async || system.counted(Metric::EventDelivered) == 1).await;
    proxy.heal();
    for repeat in 1..=3 {
        // The lease has expired, and the queue's deduplication window has passed.
        system.clock.advance(Duration::from_mins(6));
        assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
        let settled = async || system.counted(Metric::EventDelivered) + system.counted(Metric::EventDuplicate) > repeat;
        in_time(&system, "the repeated event is settled", settled).await;
    }
    system.shutdown().await;
    assert!((1..=2).contains(&pool.seen().len()), "{} deliveries", pool.seen().len());
}

#[tokio::test]
async fn a_delivery_that_is_not_recorded_is_repeated_once_at_the_most() {
    is_delivered_twice_at_the_most(THROTTLED).await;
}

#[tokio::test]
async fn a_delivery_that_is_recorded_without_an_answer_is_repeated_once_at_the_most() {
    is_delivered_twice_at_the_most(Fault::LoseAnswer).await;
}

#[tokio::test]
async fn a_delivered_event_that_the_queue_does_not_let_go_of_is_not_delivered_again() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    // Counted at the proxy and not in the log, which other systems of this process share.
    let refused = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&refused);
    proxy.rule(move |call| {
        if !call.is_acknowledgement() {
            return Fault::None;
        }
        counter.fetch_add(1, SeqCst);
        THROTTLED
    });
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    eventually("the queue refuses", async || refused.load(SeqCst) >= 1).await;
    proxy.heal();
    system.clock.advance(VISIBILITY);
    in_time(&system, "it comes back", async || system.counted(Metric::EventDuplicate) == 1).await;
    assert_eq!(send(event(&system, &connected, 2)).await.status, 200, "its conversation goes on");
    pool.wait_for(2).await;
    system.shutdown().await;
    assert_eq!(texts(&pool.seen()), ["message 1", "message 2"]);
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_loses_no_event_and_no_order() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    assert_eq!(send(event(&system, &connected, 100)).await.status, 200, "the front door knows the channel");
    eventually("its delivery", async || system.counted(Metric::EventDelivered) == 1).await;
    // Every call fails except the queue's.
    proxy.rule(|call| if call.is_of_queue() { Fault::None } else { THROTTLED });
    for number in 1..=9 {
        // Three conversations with three events each.
        let conversation = format!("C0CONVERSATION{}", number % 3);
        assert_eq!(send(event_in(&system, &connected, &conversation, number)).await.status, 200);
    }
    failed(&system, 6).await;
    proxy.heal();
    in_time(&system, "the deliveries", async || pool.seen().len() >= 10).await;
    eventually("the records", async || system.counted(Metric::EventDelivered) == 10).await;
    system.shutdown().await;
    let seen: Vec<u32> = texts(&pool.seen()).iter().map(|text| text["message ".len()..].parse().unwrap()).collect();
    assert_eq!(seen.len(), 10, "each once: {seen:?}");
    for conversation in 0..3 {
        let of_conversation = seen.iter().filter(|number| **number % 3 == conversation && **number < 10);
        assert_eq!(of_conversation.count(), 3, "{seen:?}");
        assert!(seen.iter().filter(|number| **number % 3 == conversation && **number < 10).is_sorted(), "{seen:?}");
    }
}

#[tokio::test]
async fn a_slow_store_delays_and_loses_nothing() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    proxy.rule(|_| Fault::Delay(Duration::from_millis(200)));
    for number in 1..=3 {
        assert_eq!(send(event(&system, &connected, number)).await.status, 200);
    }
    pool.wait_for(3).await;
    eventually("the records", async || system.counted(Metric::EventDelivered) == 3).await;
    system.shutdown().await;
    assert_eq!(texts(&pool.seen()), ["message 1", "message 2", "message 3"]);
}

#[tokio::test]
async fn another_pools_conversations_go_on_where_one_pools_store_rows_fail() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let other = StandInPool::start().await;
    let id = seed::pool(&system, "pool-other", Some(&other.address().to_string())).await;
    let bot = seed::bot(&system, "bot-other", &id).await;
    let others = seed::channel(&system, "channel-other", &bot, &id, "T0OTHER", "A0OTHER").await;
    pool.behave(Behaviour::Answer(500));
    proxy.rule(|call| if call.body.contains(r#""pool-1""#) { THROTTLED } else { Fault::None });
    assert_eq!(send(event(&system, &connected, 1)).await.status, 200);
    failed(&system, 1).await;
    for number in 2..5 {
        assert_eq!(send(event(&system, &others, number)).await.status, 200);
    }
    other.wait_for(3).await;
    assert_eq!(pool.seen().len(), 0);
}

#[tokio::test]
async fn an_event_that_the_store_will_never_take_is_a_dead_letter_at_once_and_holds_up_nothing() {
    let Faulty { system, proxy, database: _database } = Faulty::start().await;
    let (connected, pool) = seed::connected(&system).await;
    proxy.rule(|call| {
        let is_first = call.is_about("chat_sessions") && call.body.contains("C0REFUSED");
        if is_first { Fault::Code("ValidationException") } else { Fault::None }
    });
    assert_eq!(send(event_in(&system, &connected, "C0REFUSED", 1)).await.status, 200);
    eventually("it is given up", async || system.counted(Metric::EventDeadLettered) == 1).await;
    assert_eq!(send(event_in(&system, &connected, "C0OTHER", 2)).await.status, 200);
    pool.wait_for(1).await;
    assert_eq!(texts(&pool.seen()), ["message 2"]);
    assert_eq!(system.stack.queue().dead_letters().expect("they are listed").len(), 1);
    // An operator can grant the missing permission, so the event waits.
    proxy.rule(|call| if call.is_about("chat_sessions") { Fault::Code("AccessDeniedException") } else { Fault::None });
    assert_eq!(send(event_in(&system, &connected, "C0DENIED", 3)).await.status, 200);
    failed(&system, 1).await;
    assert_eq!(system.counted(Metric::EventDeadLettered), 1);
    system.shutdown().await;
}
