//! What is accepted from Slack reaches its bot's pool: once, in order, signed anew, whatever happens on the way.

use portcullis_auth::Clock;
use portcullis_tests::{System, seed, slack, system::send};

#[tokio::test]
async fn a_message_reaches_its_pool_once_signed_anew() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = slack::message(&connected.team, &connected.app, "C0GENERAL", 1).to_string();
    let request =
        slack::signed(&system, "/api/slack/events", &connected.signing_secret, body.clone(), system.clock.now());
    let answer = send(request.header("x-request-id", "a-callers-id")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, serde_json::json!({ "ok": true })));

    let deliveries = pool.wait_for(1).await;
    let delivery = &deliveries[0];
    assert_eq!(delivery.path, connected.delivery_path());
    assert_eq!(delivery.body, body.as_bytes(), "the raw body, to the byte");
    assert!(delivery.is_signed_with(&connected.delivery_secret, system.clock.now().as_second()));
    assert_eq!(delivery.headers["x-request-id"], "a-callers-id");
    assert_eq!(delivery.headers["content-type"], "application/json");
    system.shutdown().await;
    assert_eq!(pool.seen().len(), 1);
}
