//! A token that is revoked while its caller's write is in flight writes nothing.

use std::sync::Arc;

use portcullis_auth::Generation;
use portcullis_store::{
    ArtifactChange, ArtifactError, BotAccessError, BotReach, NewArtifact, NewFeedback, NewSession, PoolReach,
    PoolStatus, PutArtifactError, SessionChange, SessionError, SessionRef, Store, Table,
};
use tokio::sync::Notify;

use crate::support::{Answer, StandIn, World, bot, patient, pool};

const FIRST: Generation = Generation(0);

fn session() -> NewSession {
    NewSession {
        bot: bot(),
        session_key: "agent:bot-1:main".parse().unwrap(),
        channel_type: None,
        channel_id: None,
        change: SessionChange { title: Some("A title".parse().unwrap()), ..SessionChange::default() },
    }
}

fn artifact() -> NewArtifact {
    NewArtifact {
        bot: bot(),
        session: SessionRef::Key("agent:bot-1:main".parse().unwrap()),
        channel_type: None,
        channel_id: None,
        artifact_type: None,
        source: None,
        content_type: None,
        change: ArtifactChange { title: Some("A page".parse().unwrap()), ..ArtifactChange::default() },
    }
}

fn feedback() -> NewFeedback {
    NewFeedback { bot: None, pool: Some(pool()), content: "good".to_owned(), details: "{}".to_owned() }
}

/// Outcome of a write whose token is revoked between its last read and the write itself.
async fn revoked_before_the_write<T>(world: &World, reads: usize, write: impl AsyncFnOnce(Store) -> T) -> T {
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let held = Answer::ForwardAfter { arrived: Arc::clone(&arrived), go_on: Arc::clone(&go_on) };
    let answers = std::iter::repeat_n(Answer::Forward, reads).chain([held]);
    let stand_in = StandIn::start(world.engine.port, answers, Answer::Forward).await;
    let revoked = async {
        arrived.notified().await;
        world.store.raise_runtime_generation(&pool(), PoolReach::Any).await.unwrap();
        go_on.notify_one();
    };
    tokio::join!(write(world.through(&stand_in, &patient())), revoked).0
}

#[tokio::test]
async fn a_session_is_neither_made_nor_changed() {
    for reach in [BotReach::PoolMachine(&pool(), FIRST), BotReach::Skill(&pool(), FIRST)] {
        let world = World::with_bot().await;
        let made = revoked_before_the_write(&world, 1, async |store| store.put_session(reach, &session()).await).await;
        assert_eq!(made.unwrap_err(), BotAccessError::Revoked);
        assert_eq!(world.count(Table::ChatSessions).await, 0);
    }
    let world = World::with_bot().await;
    let before = world.store.put_session(BotReach::Any, &session()).await.unwrap();
    let change = SessionChange { title: Some("Another".parse().unwrap()), ..SessionChange::default() };
    let reach = BotReach::PoolMachine(&pool(), FIRST);
    let changed =
        revoked_before_the_write(&world, 2, async |store| store.change_session(reach, &before.id, &change).await).await;
    assert_eq!(changed.unwrap_err(), SessionError::Revoked);
    let nothing = SessionChange::default();
    let after = world.store.change_session(BotReach::Any, &before.id, &nothing).await.unwrap();
    assert_eq!(after.title, before.title);
}

#[tokio::test]
async fn an_artifact_is_neither_made_nor_changed() {
    let world = World::with_bot().await;
    let reach = BotReach::Skill(&pool(), FIRST);
    let made = revoked_before_the_write(&world, 1, async |store| store.put_artifact(reach, &artifact()).await).await;
    assert_eq!(made.unwrap_err(), PutArtifactError::Bot(BotAccessError::Revoked));
    assert_eq!(world.count(Table::Artifacts).await, 0);

    let world = World::with_bot().await;
    let before = world.store.put_artifact(BotReach::Any, &artifact()).await.unwrap();
    let change = ArtifactChange { title: Some("Another".parse().unwrap()), ..ArtifactChange::default() };
    let changed =
        revoked_before_the_write(&world, 2, async |store| store.change_artifact(reach, &before.id, &change).await)
            .await;
    assert_eq!(changed.unwrap_err(), ArtifactError::Revoked);
    let after = world.store.change_artifact(BotReach::Any, &before.id, &ArtifactChange::default()).await.unwrap();
    assert_eq!(after.title, before.title);
}

#[tokio::test]
async fn feedback_is_not_kept() {
    let world = World::with_bot().await;
    let reach = BotReach::Skill(&pool(), FIRST);
    let kept = revoked_before_the_write(&world, 1, async |store| store.keep_feedback(reach, &feedback()).await).await;
    assert_eq!(kept.unwrap_err(), BotAccessError::Revoked);
    assert_eq!(world.count(Table::Feedback).await, 0);
}

#[tokio::test]
async fn a_pool_that_ends_meanwhile_is_as_good_as_revoked() {
    let world = World::with_bot().await;
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let held = Answer::ForwardAfter { arrived: Arc::clone(&arrived), go_on: Arc::clone(&go_on) };
    let stand_in = StandIn::start(world.engine.port, [Answer::Forward, held], Answer::Forward).await;
    let store = world.through(&stand_in, &patient());
    let ended = async {
        arrived.notified().await;
        world.register(PoolStatus::Terminated).await;
        go_on.notify_one();
    };
    let pool = pool();
    let (session, reach) = (session(), BotReach::PoolMachine(&pool, FIRST));
    let (made, ()) = tokio::join!(store.put_session(reach, &session), ended);
    assert_eq!(made.unwrap_err(), BotAccessError::Revoked);
    assert_eq!(world.count(Table::ChatSessions).await, 0);
}
