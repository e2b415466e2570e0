//! Malformed bodies that are signed with a customer's own secret.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    System, seed, slack,
    system::{random_hex, send},
};
use serde_json::json;

use super::{EVENTS, accepted, event, message, refused};

#[tokio::test]
async fn an_event_on_a_channels_own_path_must_be_of_its_team_and_app() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let own_path = format!("{EVENTS}/{}", connected.channel);
    let event = message(&connected, 1).to_string();
    let inside = event.strip_prefix('{').expect("an object");
    // An escaped key is the same key.
    let two_teams = format!(r#"{{"team\u005fid":"T0TWO",{inside}"#);
    let not_utf8 = [&b"{\"x\":\"\xff\","[..], inside.as_bytes()].concat();
    let malformed: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("not JSON", b"payload=%7B%7D"),
        ("cut", &event.as_bytes()[..event.len() - 1]),
        ("something behind it", &[event.as_bytes(), b"{}"].concat()),
        ("no object", b"[\"event_callback\",null,\"T0ONE\",\"A0ONE\",\"Ev1\",null,{}]"),
        ("two teams", two_teams.as_bytes()),
        ("not UTF-8", &not_utf8),
        ("a challenge without one", br#"{"type":"url_verification"}"#),
    ];
    for (what, body) in malformed {
        let sign = |secret: &str, path: &str| slack::signed(&system, path, secret, body, system.clock.now());
        let answer = send(sign(&connected.signing_secret, &own_path)).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        refused(&send(sign(&random_hex(16), &own_path)).await, what);
        // On the common path, no customer's secret is valid for a body that names no channel.
        refused(&send(sign(&connected.signing_secret, EVENTS)).await, what);
    }

    let mut without = message(&connected, 1);
    without.as_object_mut().expect("an object").remove("api_app_id");
    let mut another = message(&connected, 1);
    another["api_app_id"] = json!("A0OTHER");
    let mut authorized = message(&connected, 1);
    authorized["authorizations"][0]["team_id"] = json!("T0OTHER");
    authorized["team_id"] = json!("T0OTHER");
    for (what, body) in [("no app", without), ("another app", another), ("another team", authorized)] {
        let body = body.to_string();
        let request = slack::signed(&system, &own_path, &connected.signing_secret, body, system.clock.now());
        refused(&send(request).await, what);
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    let request = slack::signed(&system, &own_path, &connected.signing_secret, event, system.clock.now());
    accepted(&send(request).await, "what is right");
    pool.wait_for(1).await;
    system.shutdown().await;
}

/// A body that is streamed without a content length.
fn of_unknown_length(text: String) -> impl http_body_util::BodyExt<Data = Bytes, Error = std::convert::Infallible> {
    Full::new(Bytes::from(text)).map_frame(|frame| frame)
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_whether_or_not_it_says_how_long_it_is() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let long = |bytes: usize| {
        let mut body = message(&connected, 1);
        body["padding"] = json!("x".repeat(bytes));
        body
    };
    for bytes in [1024 * 1024, 2 * 1024 * 1024] {
        let answer = send(event(&system, &connected.signing_secret, &long(bytes))).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (413, json!("body_too_large")), "{bytes}");
        let text = long(bytes).to_string();
        let at = system.clock.now().as_second().to_string();
        let signature = slack::signature(&connected.signing_secret, &at, text.as_bytes());
        let request = system
            .request(reqwest::Method::POST, EVENTS)
            .header("x-slack-signature", signature)
            .header("x-slack-request-timestamp", at)
            .body(reqwest::Body::wrap(of_unknown_length(text)));
        assert_eq!(send(request).await.status, 413, "{bytes} of unknown length");
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    system.shutdown().await;
}

#[tokio::test]
async fn a_genuine_body_that_another_parser_could_read_otherwise_is_refused() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let event = message(&connected, 1).to_string();
    let inside = event.strip_prefix('{').expect("an object");
    let nested = |value: &str| format!(r#"{{"x":{value},{inside}"#);
    let bodies = [
        ("a key twice where we don't look", nested(r#"{"a":1,"a":2}"#)),
        ("a key twice in a list", nested(r#"[{"a":1,"\u0061":2}]"#)),
        ("two keys x", nested(r#"1,"x":2"#)),
        ("an event of an array", event.replace(r#""event":{"#, r#""event":["message"],"other":{"#)),
        ("a key twice 10,000 deep", nested(&format!(r#"{}{{"a":1,"a":2}}{}"#, "[".repeat(10_000), "]".repeat(10_000)))),
    ];
    let own_path = format!("{EVENTS}/{}", connected.channel);
    for (what, body) in bodies {
        let sign = |secret: &str| slack::signed(&system, &own_path, secret, body.clone(), system.clock.now());
        assert_eq!(send(sign(&connected.signing_secret)).await.status, 400, "{what}");
        refused(&send(sign(&random_hex(16))).await, what);
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    system.shutdown().await;
}

#[tokio::test]
async fn a_field_without_text_where_slack_has_text_counts_as_absent() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let odd = [json!({ "id": "C0NEW" }), json!(["C0NEW"]), json!(7), json!(1.5), json!(true), json!(null)];
    for (number, value) in (1..).zip(&odd) {
        let mut body = message(&connected, number);
        for field in ["channel", "user", "channel_type", "thread_ts", "event_ts"] {
            body["event"][field] = value.clone();
        }
        accepted(&send(event(&system, &connected.signing_secret, &body)).await, &value.to_string());
    }
    let mut numbered = message(&connected, 99);
    numbered["event_id"] = json!(7);
    accepted(&send(event(&system, &connected.signing_secret, &numbered)).await, "an event_id that is a number");
    pool.wait_for(odd.len() + 1).await;
    for field in ["team_id", "api_app_id"] {
        let mut body = message(&connected, 100);
        body["authorizations"] = json!([]);
        body[field] = json!({ "id": body[field] });
        refused(&send(event(&system, &connected.signing_secret, &body)).await, field);
        let platforms = system.settings.slack_signing_secret.clone();
        assert_eq!(send(event(&system, &platforms, &body)).await.status, 400, "{field}");
    }
    system.shutdown().await;
}
