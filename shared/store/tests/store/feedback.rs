//! Feedback is kept for a year, and messages of one millisecond stay distinct.

use portcullis_auth::Generation;
use portcullis_store::{BotAccessError, BotReach, NewFeedback, PoolReach, Table};

use crate::support::{World, bot, pool, text};

fn feedback() -> NewFeedback {
    NewFeedback { bot: Some(bot()), pool: None, content: "Good".to_owned(), details: "{}".to_owned() }
}

#[tokio::test]
async fn two_that_are_told_at_once_are_two_and_end_after_a_year() {
    let world = World::with_bot().await;
    world.store.keep_feedback(BotReach::Any, &feedback()).await.unwrap();
    world.store.keep_feedback(BotReach::Any, &feedback()).await.unwrap();
    world.store.keep_feedback(BotReach::Any, &NewFeedback { bot: None, ..feedback() }).await.unwrap();
    let rows = world.engine.rows(Table::Feedback).await;
    assert_eq!(rows.len(), 3);
    let ends = jiff::Timestamp::as_second("2027-02-03T04:05:06Z".parse().unwrap()).to_string();
    assert!(rows.iter().all(|row| row["expiresAt"].as_n().unwrap() == &ends && row["content"] == text("Good")));
}

#[tokio::test]
async fn feedback_of_another_pools_bot_is_kept_without_it_and_with_a_revoked_token_not_at_all() {
    let world = World::with_bot().await;
    let (own, other) = (pool(), "pool-2".parse().unwrap());
    world.store.register(&other, crate::support::report(), PoolReach::Any).await.unwrap();
    let foreign = BotReach::Skill(&other, Generation(0));
    let unknown = NewFeedback { bot: Some("nobody".parse().unwrap()), ..feedback() };
    for feedback in [feedback(), unknown] {
        assert_eq!(world.store.keep_feedback(foreign, &feedback).await, Ok(()));
    }
    let kept = world.engine.rows(Table::Feedback).await;
    assert!(kept.len() == 2 && kept.iter().all(|row| row["bot"].as_s().unwrap() == "none"), "{kept:?}");
    world.store.raise_skill_generation(&own, PoolReach::Any).await.unwrap();
    let revoked = BotReach::Skill(&own, Generation(0));
    for feedback in [feedback(), NewFeedback { bot: None, ..feedback() }] {
        assert_eq!(world.store.keep_feedback(revoked, &feedback).await, Err(BotAccessError::Revoked));
    }
    assert_eq!(world.count(Table::Feedback).await, 2);
}
