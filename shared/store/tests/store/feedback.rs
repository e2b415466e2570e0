//! Feedback is kept for a year, each told apart.

use portcullis_auth::Generation;
use portcullis_store::{BotAccessError, BotReach, NewFeedback, Table};

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
async fn feedback_of_another_pools_bot_or_with_a_revoked_token_is_not_kept() {
    let world = World::with_bot().await;
    let (own, other) = (pool(), "pool-2".parse().unwrap());
    world.store.register(&other, crate::support::report(), None).await.unwrap();
    let foreign = BotReach::Skill(&other, Generation(0));
    assert_eq!(world.store.keep_feedback(foreign, &feedback()).await, Err(BotAccessError::NotOfPool));
    world.store.raise_skill_generation(&own, None).await.unwrap();
    let revoked = BotReach::Skill(&own, Generation(0));
    for feedback in [feedback(), NewFeedback { bot: None, ..feedback() }] {
        assert_eq!(world.store.keep_feedback(revoked, &feedback).await, Err(BotAccessError::Revoked));
    }
    assert_eq!(world.count(Table::Feedback).await, 0);
}
