//! Content of a delivery: Slack's body byte for byte, and no signature made with Slack's secret.

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    Behaviour, System, seed, slack,
    system::{eventually, random_hex, send},
};
use serde_json::json;

use super::{accept, message};

#[tokio::test]
async fn bodies_of_every_shape_arrive_to_the_byte() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let shaped = |number: u32, before: &str, after: &str| {
        let body = message(&connected, &format!("C0SHAPE{number}"), number).to_string();
        format!("{before}{}{after}", body.strip_prefix('{').expect("an object"))
    };
    let large = format!("{{\"large\":\"{}\",", "é🦀\\u00e9 \\\"".repeat(250 * 1024 / 15));
    let bodies = [
        shaped(1, "  \t{\r\n\r\n \"space\" :\t[ 1 ,2 ]  , ", "\n\n  "),
        shaped(2, r#"{"escapes":"\u0041\/\b\f\n\r\t\\\"\u0000\ud83e\udd80 é 🦀 \u2028","#, ""),
        shaped(3, r#"{"numbers":[1.0,1e2,1E+2,-0,0.10,18446744073709551616,1e-400,0.1000000000000000055],"#, ""),
        shaped(4, r#"{"z":1,"a":{"z":1,"a":2},"":"","#, ""),
        shaped(5, &large, ""),
    ];
    assert!(bodies[4].len() > 250 * 1024 && bodies[4].len() < 256 * 1024, "{}", bodies[4].len());
    for body in &bodies {
        let secret = &connected.signing_secret;
        let request = slack::signed(&system, "/api/slack/events", secret, body.clone(), system.clock.now());
        let answer = send(request).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true })));
    }
    let seen = pool.wait_for(bodies.len()).await;
    for body in &bodies {
        let delivery = seen.iter().find(|delivery| delivery.body == body.as_bytes());
        let delivery = delivery.unwrap_or_else(|| panic!("not to the byte: {body:.120}"));
        assert!(delivery.is_signed_with(&connected.delivery_secret, system.clock.now().as_second()));
    }
    system.shutdown().await;
}

#[tokio::test]
async fn nothing_that_reaches_a_pool_is_slacks_signing_secret_or_made_with_it() {
    let system = System::start().await;
    let (customer, pool) = seed::connected(&system).await;
    let bot = seed::bot(&system, "bot-2", &customer.pool).await;
    let platform = seed::platform_channel(&system, "channel-2", &bot, &customer.pool, "T0TWO").await;
    let now = system.clock.now().as_second().to_string();
    let mut forbidden = Vec::new();
    pool.behave(Behaviour::Answer(500));
    for (number, of) in [(1, &customer), (2, &platform)] {
        let body = message(of, "C0GENERAL", number);
        forbidden.push(slack::signature(&of.signing_secret, &now, body.to_string().as_bytes()));
        forbidden.extend([of.signing_secret.clone(), of.bot_token.clone(), of.delivery_secret.clone()]);
        accept(&system, of, &body).await;
    }
    eventually("both fail", async || system.counted(Metric::DeliveryFailed) == 2).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(std::time::Duration::from_secs(1));
    let seen = pool.wait_for(4).await;
    for delivery in &seen {
        let headers =
            delivery.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")));
        let whole = format!("{}\n{:?}\n{}", delivery.path, headers.collect::<Vec<_>>(), delivery.text());
        let body = String::from_utf8_lossy(&delivery.body);
        for secret in &forbidden {
            assert!(!whole.contains(secret) && !body.contains(secret.as_str()), "{whole}");
        }
        let of = if delivery.path == customer.delivery_path() { &customer } else { &platform };
        let signed_at =
            |secret: &str| (0..=1).any(|late| delivery.is_signed_with(secret, system.clock.now().as_second() - late));
        assert!(signed_at(&of.delivery_secret));
        assert!(!signed_at(&of.signing_secret) && !signed_at(&system.settings.slack_signing_secret));
    }
    system.shutdown().await;
}

#[tokio::test]
async fn the_first_answers_request_id_is_the_deliverys_and_that_of_each_log_line() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    pool.behave(Behaviour::Answer(500));
    let secret = &connected.signing_secret;
    let signed = |number: u32| {
        let body = message(&connected, &format!("C0{number}"), number).to_string();
        slack::signed(&system, "/api/slack/events", secret, body, system.clock.now())
    };
    let made = send(signed(1)).await.header("x-request-id").to_owned();
    assert_eq!(made.len(), 36, "a new one: {made}");
    let kept = format!("Kept_by.{}", random_hex(8));
    assert_eq!(send(signed(2).header("x-request-id", &kept)).await.header("x-request-id"), kept);
    // A malformed request id is replaced and not forwarded to the pool.
    let replaced = send(signed(3).header("x-request-id", "a b")).await.header("x-request-id").to_owned();
    eventually("they fail", async || system.counted(Metric::DeliveryFailed) == 3).await;
    pool.behave(Behaviour::Answer(200));
    system.clock.advance(std::time::Duration::from_secs(1));
    eventually("they are delivered", async || system.counted(Metric::EventDelivered) == 3).await;

    for (number, id) in [(1, &made), (2, &kept), (3, &replaced)] {
        let text = format!("message {number}");
        let seen: Vec<_> = pool.seen().into_iter().filter(|delivery| delivery.text() == text).collect();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|delivery| delivery.headers["x-request-id"] == **id), "each try has the same id");
        let lines = system.logs.of_request(id);
        for expected in ["request", "not delivered, to be tried again", "delivered"] {
            assert!(lines.iter().any(|line| line["message"] == expected), "{expected}: {lines:?}");
        }
    }
    system.shutdown().await;
}
