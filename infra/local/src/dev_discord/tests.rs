use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{APPLICATION, BOT_USER, DevDiscord, new_token};

struct Hand(Mutex<Timestamp>);

impl Hand {
    fn advance(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Sevens;

impl Randomness for Sevens {
    fn fill(&self, destination: &mut [u8]) {
        destination.fill(7);
    }
}

struct Setup {
    discord: DevDiscord,
    clock: Arc<Hand>,
    bot: String,
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    json: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn setup() -> Setup {
    let token = new_token(&Sevens);
    let bot = format!("Bot {}", token.expose_secret());
    let clock = Arc::new(Hand(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
    Setup { discord: DevDiscord::new("http://127.0.0.1:1", token, Arc::clone(&clock) as Arc<dyn Clock>), clock, bot }
}

impl Setup {
    async fn send(&self, method: Method, path: &str, authorization: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/dev/discord/api/v10/{path}"));
        request = request.header("host", "127.0.0.1:1");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = self.discord.answer(&request.body(Body::empty()).unwrap());
        let (parts, body) = response.into_parts();
        let json = serde_json::from_slice(&to_bytes(body, 10_000).await.unwrap()).unwrap();
        Answer { status: parts.status, headers: parts.headers, json }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Some(&self.bot)).await
    }

    async fn guilds(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("users/@me/guilds{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.json);
        let guilds = answer.json.as_array().unwrap().iter();
        guilds.map(|guild| guild["id"].as_str().unwrap().replace("9000000000000000", "")).collect()
    }
}

#[test]
fn a_bot_token_has_three_parts_of_which_the_first_names_the_bot() {
    let token = new_token(&Sevens);
    let parts: Vec<_> = token.expose_secret().split('.').map(str::len).collect();
    assert_eq!(parts, [26, 6, 38]);
    assert!(token.expose_secret().starts_with("OTAwMDAwMDAwMDAwMDAwMDAwM"), "the bot's id in base64");
}

#[tokio::test]
async fn the_bot_learns_who_it_is() {
    let setup = setup();
    let user = setup.get("users/@me").await;
    assert_eq!((user.status, &user.json["id"], &user.json["bot"]), (StatusCode::OK, &json!(BOT_USER), &json!(true)));
    let application = setup.get("applications/@me").await;
    assert_eq!((&application.json["id"], &application.json["bot"]["id"]), (&json!(APPLICATION), &json!(BOT_USER)));
}

#[tokio::test]
async fn only_the_bot_token_after_the_word_bot_is_accepted() {
    let setup = setup();
    let token = setup.bot.trim_start_matches("Bot ").to_owned();
    for authorization in [
        None,
        Some(token.clone()),
        Some(format!("Bearer {token}")),
        Some(format!("bot {token}")),
        Some("Bot a.b.c".into()),
    ] {
        let answer = setup.send(Method::GET, "users/@me", authorization.as_deref()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(answer.json, json!({ "message": "401: Unauthorized", "code": 0 }));
    }
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_refused_before_the_token_is_read() {
    let setup = setup();
    for path in ["users", "users/@me/", "users/@me/channels", "users/1", ""] {
        let answer = setup.send(Method::GET, path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json, json!({ "message": "404: Not Found", "code": 0 }));
    }
    let answer = setup.send(Method::POST, "users/@me", None).await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET"));
    assert_eq!(answer.json, json!({ "message": "405: Method Not Allowed", "code": 0 }));
}

#[tokio::test]
async fn a_request_to_another_host_is_refused() {
    let setup = setup();
    let request = Request::builder().uri("/dev/discord/api/v10/users/@me").header("host", "evil.example");
    let response = setup.discord.answer(&request.header(AUTHORIZATION, &setup.bot).body(Body::empty()).unwrap());
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn guilds_are_paged_in_the_order_of_their_ids() {
    let setup = setup();
    let id = |number: u16| format!("9000000000000000{number}");
    assert_eq!(setup.guilds("").await, ["101", "102", "103"]);
    assert_eq!(setup.guilds("?limit=2").await, ["101", "102"]);
    assert_eq!(setup.guilds(&format!("?limit=2&after={}", id(102))).await, ["103"]);
    assert_eq!(setup.guilds(&format!("?after={}", id(103))).await, [""; 0]);
    assert_eq!(setup.guilds(&format!("?limit=1&before={}", id(103))).await, ["102"]);
    assert_eq!(setup.guilds(&format!("?before={}&after={}", id(103), id(101))).await, ["102"]);
    let counted = setup.get("users/@me/guilds?with_counts=true&limit=1").await;
    assert!(counted.json[0]["approximate_member_count"].is_u64(), "{}", counted.json);
}

#[tokio::test]
async fn a_malformed_query_is_named_field_by_field() {
    let setup = setup();
    for (query, field, code) in [
        ("limit=0", "limit", "NUMBER_TYPE_MIN"),
        ("limit=-1", "limit", "NUMBER_TYPE_MIN"),
        ("limit=201", "limit", "NUMBER_TYPE_MAX"),
        ("limit=x", "limit", "NUMBER_TYPE_COERCE"),
        ("limit=", "limit", "NUMBER_TYPE_COERCE"),
        ("after=x", "after", "NUMBER_TYPE_COERCE"),
        ("before=-1", "before", "NUMBER_TYPE_COERCE"),
        ("before=9223372036854775808", "before", "NUMBER_TYPE_MAX"),
        ("after=99999999999999999999999", "after", "NUMBER_TYPE_MAX"),
        ("with_counts=maybe", "with_counts", "BOOLEAN_TYPE_CONVERT"),
    ] {
        let answer = setup.get(&format!("users/@me/guilds?{query}")).await;
        assert_eq!((answer.status, &answer.json["code"]), (StatusCode::BAD_REQUEST, &json!(50035)), "{query}");
        assert_eq!(answer.json["errors"][field]["_errors"][0]["code"], code, "{query}: {}", answer.json);
    }
    assert_eq!(setup.guilds("?limit=200&surprise=1").await.len(), 3, "an unknown parameter is ignored");
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_the_rate_limit() {
    let setup = setup();
    for (remaining, path) in [("49", "users/@me"), ("48", "users/@me/guilds?limit=x"), ("47", "nowhere")] {
        let answer = setup.get(path).await;
        assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("50", remaining));
        assert_eq!(answer.header("x-ratelimit-reset"), "1767225601.000");
        assert_eq!(answer.header("x-ratelimit-reset-after"), "1.000");
        assert!(!answer.header("x-ratelimit-bucket").is_empty());
    }
    setup.clock.advance(SignedDuration::from_millis(250));
    assert_eq!(setup.get("users/@me").await.header("x-ratelimit-reset-after"), "0.750");
}

#[tokio::test]
async fn more_than_fifty_requests_in_a_second_are_refused_until_it_is_over() {
    let setup = setup();
    for _ in 0..50 {
        assert_eq!(setup.get("users/@me").await.status, StatusCode::OK);
    }
    setup.clock.advance(SignedDuration::from_millis(600));
    let refused = setup.get("users/@me").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json, json!({ "message": "You are being rate limited.", "retry_after": 0.4, "global": true }));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!((refused.header("x-ratelimit-global"), refused.header("x-ratelimit-scope")), ("true", "global"));
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    let stranger = setup.send(Method::GET, "users/@me", None).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "callers without the token have a limit of their own");
    setup.clock.advance(SignedDuration::from_millis(400));
    assert_eq!(setup.get("users/@me").await.header("x-ratelimit-remaining"), "49");
}

#[tokio::test]
async fn a_clock_that_goes_back_locks_nobody_out() {
    let setup = setup();
    for _ in 0..50 {
        setup.get("users/@me").await;
    }
    setup.clock.advance(SignedDuration::from_hours(-1));
    assert_eq!(setup.get("users/@me").await.status, StatusCode::OK);
}
