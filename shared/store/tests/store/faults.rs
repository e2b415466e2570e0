//! DynamoDB slow, away, throttling or refusing.

use std::time::Duration;

use portcullis_crypto::Digest;
use portcullis_store::{
    ClientOptions, Heartbeat, Lease, PoolError, PoolReach, PoolStatus, PutSecretsError, StoreError, Table,
};
use tokio::net::TcpListener;

use crate::support::{Answer, StandIn, World, patient, pool, set};

const HEARTBEAT: Heartbeat =
    Heartbeat { status: PoolStatus::Active, address: None, last_seen_version: None, openclaw: None };

/// Short limits, only for tests of a time-out.
fn short() -> ClientOptions {
    ClientOptions {
        connect_timeout: Duration::from_millis(400),
        attempt_timeout: Duration::from_millis(800),
        operation_timeout: Duration::from_millis(2_500),
        ..tried_thrice()
    }
}

/// Three attempts, and no time-out that a busy machine could meet.
fn tried_thrice() -> ClientOptions {
    ClientOptions { maximum_attempts: 3, initial_backoff: Duration::from_millis(5), ..patient() }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable { reason: reason.to_owned() }
}

fn refused(code: &str) -> StoreError {
    StoreError::Refused { code: code.to_owned() }
}

/// Error of reading a pool where each request gets this answer, and the number of requests.
async fn read(answer: Answer) -> (StoreError, usize) {
    let world = World::with_pool().await;
    let hangs = matches!(answer, Answer::Hang);
    let stand_in = StandIn::start(world.engine.port, [], answer).await;
    let options = if hangs { short() } else { tried_thrice() };
    let read = world.through(&stand_in, &options).get_pool(&pool()).await;
    (read.unwrap_err(), stand_in.requests())
}

#[tokio::test]
async fn a_hanging_dynamodb_is_unavailable_within_the_operations_budget() {
    let (error, requests) = read(Answer::Hang).await;
    assert_eq!(error, unavailable("timed out"));
    assert!(requests > 1, "an attempt that timed out is made again");
}

#[tokio::test]
async fn throttling_is_tried_again_and_then_unavailable() {
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
        assert_eq!(read(Answer::Error(400, code)).await, (unavailable(code), 3));
    }
}

#[tokio::test]
async fn a_server_error_is_tried_again_and_then_unavailable() {
    let (error, requests) = read(Answer::Error(500, "InternalServerError")).await;
    let StoreError::Unavailable { reason } = error else { panic!("{error}") };
    // The service's own message follows, such as one about a full disk.
    assert!(reason.starts_with("server error: "), "{reason}");
    assert_eq!(requests, 3);
    assert_eq!(read(Answer::Body(503, "<html>not JSON</html>")).await, (unavailable("server error"), 3));
}

#[tokio::test]
async fn a_refusal_is_told_by_its_code_and_not_tried_again() {
    for code in ["AccessDeniedException", "ValidationException", "ResourceNotFoundException"] {
        assert_eq!(read(Answer::Error(400, code)).await, (refused(code), 1));
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_no_panic() {
    assert_eq!(read(Answer::Body(200, "not JSON")).await.0, unavailable("answer not understood"));
    assert!(matches!(
        read(Answer::Body(200, r#"{"Item":{"id":{"S":"pool-1"}}}"#)).await.0,
        StoreError::Malformed { .. }
    ));
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let world = World::with_pool().await;
    // A port that nothing listens on any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = StandIn::nowhere(listener.local_addr().unwrap().port());
    drop(listener);
    let read = world.through(&closed, &tried_thrice()).get_pool(&pool()).await;
    assert_eq!(read.unwrap_err(), unavailable("connection failed"));
}

#[tokio::test]
async fn a_call_that_fails_once_succeeds_on_the_next_attempt() {
    let world = World::with_pool().await;
    for fault in [Answer::Error(400, "ThrottlingException"), Answer::Error(500, "InternalServerError"), Answer::Hang] {
        // The attempt that hangs must time out; the next one gets the operation's whole time.
        let hangs = matches!(fault, Answer::Hang);
        let patient = tried_thrice();
        let attempt_timeout = if hangs { Duration::from_secs(5) } else { patient.attempt_timeout };
        let options = ClientOptions { attempt_timeout, ..patient };
        let stand_in = StandIn::start(world.engine.port, [fault], Answer::Forward).await;
        let beat = world.through(&stand_in, &options).heartbeat(&pool(), HEARTBEAT, PoolReach::Any).await;
        assert!(beat.is_ok(), "{beat:?}");
        assert_eq!(stand_in.requests(), 2);
    }
}

const CONFLICT: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message":"cancelled","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}"#;
const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message":"cancelled","CancellationReasons":[{"Code":"ThrottlingError"},{"Code":"None"}]}"#;

#[tokio::test]
async fn a_conflict_between_transactions_is_tried_again() {
    let world = World::with_pool().await;
    let conflicts = [
        Answer::Body(400, CONFLICT),
        Answer::Body(400, THROTTLED),
        Answer::Error(400, "TransactionConflictException"),
        Answer::Body(400, CONFLICT),
    ];
    let stand_in = StandIn::start(world.engine.port, conflicts, Answer::Forward).await;
    let store = world.through(&stand_in, &tried_thrice());
    assert_eq!(store.put_secrets(&pool(), &[set("pool", "A", "v")]).await, Ok(()));
    assert_eq!(stand_in.requests(), 6);
    assert_eq!(world.skill_secrets("maps").await.len(), 1);
}

#[tokio::test]
async fn a_conflict_that_lasts_is_unavailable_and_nothing_is_written() {
    let world = World::with_pool().await;
    let stand_in = StandIn::start(world.engine.port, [Answer::Forward], Answer::Body(400, CONFLICT)).await;
    let store = world.through(&stand_in, &short());
    let put = store.put_secrets(&pool(), &[set("pool", "A", "v"), set("skill:maps", "B", "v")]).await;
    assert!(matches!(put, Err(PutSecretsError::Store(StoreError::Unavailable { .. }))), "{put:?}");
    assert_eq!(world.count(Table::PoolSecrets).await, 0);
    assert_eq!(world.pool().await.secrets_revision, 0);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_made_once() {
    let world = World::with_pool().await;
    let lost = [Answer::Forward, Answer::ForwardAndClose];
    let stand_in = StandIn::start(world.engine.port, lost, Answer::Forward).await;
    let store = world.through(&stand_in, &tried_thrice());
    assert_eq!(store.put_secrets(&pool(), &[set("pool", "A", "v")]).await, Ok(()));
    assert_eq!(stand_in.requests(), 3, "the attempt that was lost is made again under the same token");
    assert_eq!(world.pool().await.secrets_revision, 1);
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_still_its_owners() {
    let world = World::new().await;
    let event = Digest::of(b"Ev1");
    let stand_in = StandIn::start(world.engine.port, [Answer::ForwardAndClose], Answer::Forward).await;
    let store = world.through(&stand_in, &tried_thrice());
    let minute = Duration::from_mins(1);
    assert_eq!(store.lease(&event, "one", minute).await, Ok(Lease::Taken { refusals: 0 }));
    assert_eq!(world.store.lease(&event, "two", minute).await, Ok(Lease::HeldByAnother));
}

#[tokio::test]
async fn a_termination_that_fails_half_way_is_ended_by_the_same_call_again() {
    let world = World::with_pool().await;
    world.store.put_secrets(&pool(), &[set("pool", "A", "v")]).await.unwrap();
    let terminated = Heartbeat { status: PoolStatus::Terminated, ..HEARTBEAT };
    let token = PoolReach::While(world.pool().await.runtime_generation);
    for reached in 1..=4 {
        let first = vec![Answer::Forward; reached];
        let stand_in = StandIn::start(world.engine.port, first, Answer::Error(400, "AccessDeniedException")).await;
        let beat = world.through(&stand_in, &tried_thrice()).heartbeat(&pool(), terminated.clone(), token).await;
        if reached == 4 {
            assert!(beat.is_ok(), "{beat:?}");
        } else {
            assert_eq!(beat, Err(PoolError::Store(refused("AccessDeniedException"))));
        }
    }
    assert_eq!(world.count(Table::PoolSecrets).await, 0);
    let token = world.store.heartbeat(&pool(), terminated, token).await;
    assert_eq!(token, Err(PoolError::Revoked));
}
