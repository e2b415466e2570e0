//! Header values as Lambda passes them: an HTTP server trims the spaces around a value, but an API Gateway event may
//! contain them.

use axum::{Router, body::Body};
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{System, seed, slack::signature};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{EVENTS, message};

const TIMESTAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";

/// Answer of the function's own router to a request with these headers.
async fn answer(router: &Router, headers: &[(&'static str, Vec<u8>)], body: &[u8]) -> (u16, Value) {
    let mut request = Request::post(EVENTS).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).expect("a value that a header can have"));
    }
    let request = request.body(Body::from(body.to_vec())).expect("a request");
    let response = router.clone().oneshot(request).await.expect("a router always answers");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
    (status, serde_json::from_slice(&body).expect("the answer is JSON"))
}

#[tokio::test]
async fn a_signature_or_timestamp_with_anything_around_it_or_that_stands_twice_is_refused() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let router = slack::start(system.stack.environment()).await.expect("the function starts");
    let body = message(&connected, 1).to_string().into_bytes();
    let at = system.clock.now().as_second().to_string();
    let right = signature(&connected.signing_secret, &at, &body);

    let around = |value: &str| [format!("{value} "), format!(" {value}"), format!("{value}\t"), format!("{value},")];
    let mut wrong: Vec<Vec<(&'static str, Vec<u8>)>> = Vec::new();
    for signature in around(&right) {
        wrong.push(vec![(TIMESTAMP, at.clone().into()), (SIGNATURE, signature.into())]);
    }
    for timestamp in around(&at) {
        // The signature covers this timestamp, so only the timestamp is wrong.
        let signature = signature(&connected.signing_secret, &timestamp, &body);
        wrong.push(vec![(TIMESTAMP, timestamp.into()), (SIGNATURE, signature.into())]);
    }
    let (timestamp, signature) = ((TIMESTAMP, at.clone().into_bytes()), (SIGNATURE, right.clone().into_bytes()));
    wrong.push(vec![timestamp.clone(), timestamp.clone(), signature.clone()]);
    wrong.push(vec![timestamp.clone(), signature.clone(), signature.clone()]);
    wrong.push(vec![timestamp.clone()]);
    wrong.push(vec![signature.clone()]);
    wrong.push(Vec::new());
    for headers in wrong {
        let (status, body) = answer(&router, &headers, &body).await;
        assert_eq!((status, &body["message"]), (401, &json!("Invalid signature")), "{headers:?}");
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    assert_eq!(answer(&router, &[timestamp, signature], &body).await, (200, json!({ "ok": true })), "the right ones");
    system.shutdown().await;
}
