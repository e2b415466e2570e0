//! Back-off of failed deliveries, and head-of-line blocking within a conversation.

use std::time::Duration;

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    Behaviour, StandInPool, System,
    seed::{self, Connected},
    system::eventually,
};

use super::{accept, failed, fence, message, texts};

#[tokio::test]
async fn the_wait_doubles_to_2_minutes_and_each_try_is_signed_at_its_own_time() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Refuse("message 1\"".to_owned()));
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    let tried = || pool.seen().into_iter().filter(|delivery| delivery.text() == "message 1").collect::<Vec<_>>();
    let mut signed_at = vec![system.clock.now().as_second()];
    for (tries, wait) in (1..).zip([1, 2, 4, 8, 16, 32, 64, 120, 120, 120]) {
        failed(&system, tries).await;
        system.clock.advance(Duration::from_millis(wait * 1000 - 1));
        // A fence: a retry that was due would be delivered before this event of another conversation.
        let number = u32::try_from(tries).expect("a few");
        fence(&system, &connected, &pool, number).await;
        assert_eq!(tried().len(), tries, "nothing goes before its time: {wait} s");
        system.clock.advance(Duration::from_millis(1));
        eventually("the next try", async || tried().len() == tries + 1).await;
        signed_at.push(system.clock.now().as_second());
    }
    for (delivery, at) in tried().iter().zip(&signed_at) {
        assert!(delivery.is_signed_with(&connected.delivery_secret, *at), "{at}");
    }
    system.shutdown().await;
}

#[tokio::test]
async fn a_conversation_that_fails_keeps_its_order_and_holds_up_no_other_of_its_own_pool() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Refuse("message 1\"".to_owned()));
    accept(&system, &connected, &message(&connected, "C0FAILS", 1)).await;
    accept(&system, &connected, &message(&connected, "C0FAILS", 2)).await;
    // A thread of the same Slack channel is a separate conversation.
    let mut threaded = message(&connected, "C0FAILS", 3);
    threaded["event"]["thread_ts"] = "1800014400.000001".into();
    accept(&system, &connected, &threaded).await;
    for number in 4..=6 {
        accept(&system, &connected, &message(&connected, "C0FINE", number)).await;
    }
    eventually("the others", async || system.counted(Metric::EventDelivered) == 4).await;
    failed(&system, 1).await;
    let seen = texts(&pool.seen());
    assert!(!seen.contains(&"message 2".to_owned()), "what stands behind the first waits: {seen:?}");
    let fine: Vec<_> =
        seen.iter().filter(|text| ["message 4", "message 5", "message 6"].contains(&text.as_str())).collect();
    assert_eq!(fine, ["message 4", "message 5", "message 6"], "each conversation has its order");

    // Later events of the conversation queue behind the first and do not overtake it.
    accept(&system, &connected, &message(&connected, "C0FAILS", 7)).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(Duration::from_secs(1));
    eventually("all", async || system.counted(Metric::EventDelivered) == 7).await;
    let seen = texts(&pool.seen());
    assert_eq!(seen[seen.len() - 3..], ["message 1", "message 2", "message 7"]);
    system.shutdown().await;
}

#[tokio::test]
async fn many_conversations_of_a_pool_that_is_away_hold_up_nobody_elses() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let gone = StandInPool::start().await;
    let address = gone.address();
    drop(gone);
    let other = seed::pool(&system, "pool-2", Some(&address.to_string())).await;
    let bot = seed::bot(&system, "bot-2", &other).await;
    let away: Connected = seed::channel(&system, "channel-2", &bot, &other, "T0TWO", "A0TWO").await;
    // More conversations than concurrent deliveries.
    for number in 0..50 {
        accept(&system, &away, &message(&away, &format!("C0{number}"), number)).await;
    }
    accept(&system, &connected, &message(&connected, "C0GENERAL", 1)).await;
    pool.wait_for(1).await;
    failed(&system, 50).await;

    let back = StandInPool::start_at(address).await;
    system.clock.advance(Duration::from_secs(1));
    let mut seen = texts(&back.wait_for(50).await);
    eventually("all are settled", async || system.counted(Metric::EventDelivered) == 51).await;
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50, "each once, at the same address as before");
    system.shutdown().await;
}
