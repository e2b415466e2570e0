use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use http::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use jiff::{SignedDuration, Timestamp};
use portcullis_auth::Clock;
use portcullis_crypto::Randomness;
use serde_json::{Value, json};

use super::{APP, BOT, DevFeishu};

const SECRET: &str = "not-a-real-secret";
const TOKEN_PATH: &str = "auth/v3/tenant_access_token/internal";
const SEND: &str = "im/v1/messages?receive_id_type=chat_id";

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

/// Bytes that differ at each call and are the same in each run.
#[derive(Default)]
struct Counting(Mutex<u64>);

impl Randomness for Counting {
    fn fill(&self, destination: &mut [u8]) {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        for (byte, value) in destination.iter_mut().zip(count.to_le_bytes().into_iter().cycle()) {
            *byte = value;
        }
    }
}

struct Setup {
    feishu: DevFeishu,
    clock: Arc<Hand>,
}

fn setup() -> Setup {
    let clock = Arc::new(Hand(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
    let (shown, randomness) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Counting::default()));
    Setup { feishu: DevFeishu::new("http://127.0.0.1:1", SECRET.into(), shown, randomness), clock }
}

impl Setup {
    async fn send(&self, request: http::request::Builder, body: String) -> (StatusCode, String) {
        let request = request.header("host", "127.0.0.1:1").body(Body::from(body)).unwrap();
        let response = self.feishu.answer(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1_000_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn request(method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("/dev/feishu/open-apis/{path}"))
    }

    async fn issue(&self, body: Value) -> Value {
        let request = Self::request(Method::POST, TOKEN_PATH).header(CONTENT_TYPE, "application/json; charset=utf-8");
        let (status, body) = self.send(request, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn token(&self) -> (String, i64) {
        let answer = self.issue(json!({ "app_id": APP, "app_secret": SECRET })).await;
        assert_eq!((&answer["code"], &answer["msg"]), (&json!(0), &json!("ok")));
        (answer["tenant_access_token"].as_str().unwrap().to_owned(), answer["expire"].as_i64().unwrap())
    }

    async fn called(&self, method: Method, path: &str, authorization: &str, body: &Value) -> (StatusCode, Value) {
        let request = Self::request(method, path).header(AUTHORIZATION, authorization);
        let (request, body) = match body {
            Value::Null => (request, String::new()),
            body => (request.header(CONTENT_TYPE, "application/json"), body.to_string()),
        };
        let (status, body) = self.send(request, body).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}")))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let authorization = format!("Bearer {}", self.token().await.0);
        self.called(Method::GET, path, &authorization, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let authorization = format!("Bearer {}", self.token().await.0);
        self.called(Method::POST, path, &authorization, body).await
    }

    async fn code_of(&self, token: &str) -> Value {
        let (_, answer) = self.called(Method::GET, "bot/v3/info", &format!("Bearer {token}"), &Value::Null).await;
        answer["code"].clone()
    }
}

fn text(text: &str) -> Value {
    json!({ "receive_id": "oc_demo2", "msg_type": "text", "content": json!({ "text": text }).to_string() })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

#[tokio::test]
async fn the_right_secret_gets_a_token_that_opens_the_api() {
    let setup = setup();
    assert_eq!(setup.token().await.1, 7200);
    let (status, answer) = setup.get("bot/v3/info").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["code"], &answer["bot"]["open_id"]), (&json!(0), &json!(BOT)));
    assert_eq!(answer["bot"]["ip_white_list"], json!([]));
}

#[tokio::test]
async fn wrong_credentials_are_errors_with_status_200() {
    let setup = setup();
    for (body, code, message) in [
        (json!({ "app_id": APP, "app_secret": "wrong" }), 10014, "app secret invalid"),
        (json!({ "app_id": "cli_demo000000000002", "app_secret": SECRET }), 10014, "app id not exists"),
        (json!({ "app_id": "cli_test", "app_secret": SECRET }), 10003, "invalid param"),
        (json!({ "app_id": "test", "app_secret": SECRET }), 10003, "invalid param"),
        (json!({ "app_id": APP }), 10003, "invalid param"),
        (json!({ "app_id": APP, "app_secret": 5 }), 10003, "invalid param"),
        (json!([]), 10003, "invalid param"),
    ] {
        let answer = setup.issue(body.clone()).await;
        assert_eq!((&answer["code"], &answer["msg"]), (&json!(code), &json!(message)), "{body}");
        assert!(answer["tenant_access_token"].is_null());
    }
    let form = Setup::request(Method::POST, TOKEN_PATH).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let (status, body) = setup.send(form, json!({ "app_id": APP, "app_secret": SECRET }).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("10003"), "{body}");
}

#[tokio::test]
async fn a_token_stays_the_same_until_its_last_half_hour_and_ends_after_two_hours() {
    let setup = setup();
    let (first, _) = setup.token().await;
    setup.clock.advance(SignedDuration::from_mins(90));
    assert_eq!(setup.token().await, (first.clone(), 1800));
    setup.clock.advance(SignedDuration::from_secs(1));
    let (second, left) = setup.token().await;
    assert_ne!(first, second);
    assert_eq!(left, 7200);
    assert_eq!(setup.code_of(&first).await, 0, "both are valid");
    setup.clock.advance(SignedDuration::from_secs(1798));
    assert_eq!(setup.code_of(&first).await, 0, "its last second");
    setup.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(setup.code_of(&first).await, 99_991_663);
    assert_eq!(setup.code_of(&second).await, 0);
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_refused() {
    let setup = setup();
    let (token, _) = setup.token().await;
    for (authorization, code) in [
        (String::new(), 99_991_661),
        (token.clone(), 99_991_661),
        (format!("Basic {token}"), 99_991_661),
        (format!("bearer {token}"), 99_991_661),
        ("Bearer t-fake".to_owned(), 99_991_663),
        (format!("Bearer {SECRET}"), 99_991_663),
        ("Bearer u-fake".to_owned(), 99_991_668),
        ("Bearer eyJfake".to_owned(), 99_991_668),
    ] {
        for (method, path) in
            [(Method::GET, "bot/v3/info"), (Method::GET, "im/v1/chats?page_size=0"), (Method::POST, SEND)]
        {
            let (status, answer) = setup.called(method, path, &authorization, &Value::Null).await;
            assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{authorization} {path}");
            assert!(answer["error"]["log_id"].is_string());
        }
    }
    assert!(setup.feishu.messages().is_empty());
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_404_in_plain_text() {
    let setup = setup();
    for (method, path) in [
        (Method::GET, TOKEN_PATH),
        (Method::POST, "bot/v3/info"),
        (Method::DELETE, "im/v1/chats"),
        (Method::GET, "im/v1/messages"),
        (Method::GET, "nowhere"),
        (Method::POST, "im/v1/messages/om_1/reply/more"),
    ] {
        let (status, body) = setup.send(Setup::request(method, path), String::new()).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, "404 page not found"), "{path}");
    }
}

#[tokio::test]
async fn a_request_to_another_host_is_refused() {
    let request = Request::builder().uri("/dev/feishu/messages.json").header("host", "evil.example");
    let response = setup().feishu.answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn chats_are_paged() {
    let setup = setup();
    let (_, whole) = setup.get("im/v1/chats").await;
    assert_eq!(whole["data"]["items"].as_array().unwrap().len(), 3);
    assert_eq!((&whole["data"]["has_more"], &whole["data"]["page_token"]), (&json!(false), &json!("")));
    assert_eq!(whole["data"]["items"][0]["owner_id_type"], "open_id");

    let (_, first) = setup.get("im/v1/chats?page_size=2&page_token=&user_id_type=union_id").await;
    assert_eq!(first["data"]["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&first["data"]["has_more"], &first["data"]["items"][0]["owner_id"]),
        (&json!(true), &json!("on_demoyou"))
    );
    let token = first["data"]["page_token"].as_str().unwrap();
    assert!(token.contains('+'), "an unencoded token does not come back as it was: {token}");
    let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let (_, last) = setup.get(&format!("im/v1/chats?page_size=2&page_token={encoded}")).await;
    assert_eq!(last["data"]["items"].as_array().unwrap().len(), 1);
    assert_eq!((&last["data"]["has_more"], &last["data"]["items"][0]["chat_id"]), (&json!(false), &json!("oc_demo3")));
    let (status, answer) = setup.get(&format!("im/v1/chats?page_token={token}")).await;
    assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(232_001)));
}

#[tokio::test]
async fn a_malformed_query_of_the_chats_is_named_field_by_field() {
    let setup = setup();
    for (field, value) in [
        ("page_size", "0"),
        ("page_size", "101"),
        ("page_size", "-1"),
        ("page_size", "x"),
        ("page_size", ""),
        ("user_id_type", "chat_id"),
        ("sort_type", "x"),
    ] {
        let (status, answer) = setup.get(&format!("im/v1/chats?{field}={value}")).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(99_992_402)), "{field}={value}");
        assert_eq!(answer["error"]["field_violations"][0]["field"], field);
    }
    assert_eq!(setup.get("im/v1/chats?page_size=100").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_message_is_recorded_and_shown() {
    let setup = setup();
    let (status, answer) = setup.post(SEND, &text("hello")).await;
    assert_eq!((status, &answer["code"], &answer["msg"]), (StatusCode::OK, &json!(0), &json!("success")));
    let message = &answer["data"];
    assert_eq!((&message["chat_id"], &message["msg_type"]), (&json!("oc_demo2"), &json!("text")));
    assert_eq!(message["create_time"], "1767225600000");
    assert_eq!(message["body"]["content"], r#"{"text":"hello"}"#);
    assert!(message["message_id"].as_str().unwrap().starts_with("om_"));
    let request = Request::builder().uri("/dev/feishu/messages.json");
    let (_, shown) = setup.send(request, String::new()).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), json!([message]));
}

#[tokio::test]
async fn a_reply_goes_to_the_chat_of_the_message_that_it_answers() {
    let setup = setup();
    let (_, first) = setup.post(SEND, &text("one")).await;
    let id = first["data"]["message_id"].as_str().unwrap();
    let (_, second) = setup.post(&format!("im/v1/messages/{id}/reply"), &text("two")).await;
    let reply = &second["data"];
    assert_eq!(
        (&reply["chat_id"], &reply["parent_id"], &reply["root_id"]),
        (&json!("oc_demo2"), &json!(id), &json!(id))
    );
    let (_, third) =
        setup.post(&format!("im/v1/messages/{}/reply", reply["message_id"].as_str().unwrap()), &text("three")).await;
    assert_eq!((&third["data"]["parent_id"], &third["data"]["root_id"]), (&reply["message_id"], &json!(id)));
    let (_, to_person) = setup.post("im/v1/messages/om_event1/reply", &text("four")).await;
    assert_eq!(to_person["data"]["chat_id"], "oc_demo1");
    for malformed in ["x", "om_", "om_%20"] {
        let (status, answer) = setup.post(&format!("im/v1/messages/{malformed}/reply"), &text("five")).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(99_992_354)), "{malformed}");
    }
}

#[tokio::test]
async fn a_malformed_message_is_refused_and_not_recorded() {
    let setup = setup();
    let long = json!({ "text": "x".repeat(150 * 1024) }).to_string();
    let card = json!({ "x": "x".repeat(30 * 1024) }).to_string();
    for (body, code) in [
        (with(text("x"), "receive_id", json!("oc_other")), 230_002),
        (with(text("x"), "receive_id", Value::Null), 99_992_402),
        (with(text("x"), "receive_id", json!(5)), 9499),
        (with(text("x"), "msg_type", json!("")), 99_992_402),
        (with(text("x"), "msg_type", json!("poem")), 230_001),
        (with(text("x"), "content", json!("hello")), 230_001),
        (with(text("x"), "content", json!({ "text": "an object" })), 9499),
        (with(text("x"), "content", json!("{\"text\":\"\"}")), 230_001),
        (with(text("x"), "content", json!("{\"txt\":\"x\"}")), 230_001),
        (with(text("x"), "content", json!(long)), 230_025),
        (with(with(text("x"), "msg_type", json!("interactive")), "content", json!(card)), 230_025),
        (with(text("x"), "uuid", json!("x".repeat(51))), 99_992_402),
        (json!([]), 9499),
        (Value::Null, 9499),
    ] {
        let (status, answer) = setup.post(SEND, &body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{answer}");
    }
    for (query, code) in [
        ("", 99_992_402),
        ("?receive_id_type=", 99_992_402),
        ("?receive_id_type=chat", 99_992_402),
        ("?receive_id_type=open_id", 230_001),
    ] {
        let (status, answer) = setup.post(&format!("im/v1/messages{query}"), &text("x")).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{query}: {answer}");
    }
    assert!(setup.feishu.messages().is_empty());
}

#[tokio::test]
async fn one_uuid_sends_one_message_in_an_hour() {
    let setup = setup();
    let body = with(text("once"), "uuid", json!("abc"));
    let (_, first) = setup.post(SEND, &body).await;
    setup.clock.advance(SignedDuration::from_mins(59));
    assert_eq!(setup.post(SEND, &body).await.1, first);
    let elsewhere = with(body.clone(), "receive_id", json!("oc_demo1"));
    assert_ne!(setup.post(SEND, &elsewhere).await.1, first, "another chat has messages of its own");
    assert_eq!(setup.feishu.messages().len(), 2);
    setup.clock.advance(SignedDuration::from_mins(1));
    assert_ne!(setup.post(SEND, &body).await.1, first);
}

#[tokio::test]
async fn the_last_hundred_messages_are_kept_newest_last() {
    let setup = setup();
    for number in 0..102 {
        setup.post(SEND, &text(&number.to_string())).await;
    }
    let contents: Vec<_> =
        setup.feishu.messages().iter().map(|message| message["body"]["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(contents.len(), 100);
    assert_eq!(
        (contents.first().unwrap().as_str(), contents.last().unwrap().as_str()),
        (r#"{"text":"2"}"#, r#"{"text":"101"}"#)
    );
}
