//! Feishu's events and card actions: only authentic ones are accepted.

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{
    Answer, System,
    feishu::{self, FeishuApp},
    seed,
    system::{random_hex, send},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

/// A system with one app that encrypts and one that does not.
async fn started() -> (System, FeishuApp, FeishuApp) {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let encrypting = feishu::channel(&system, "channel-1", &bot, "cli_one", Some("an encrypt key".to_owned())).await;
    let plain = feishu::channel(&system, "channel-2", &bot, "cli_two", None).await;
    (system, encrypting, plain)
}

async fn post(system: &System, app: &FeishuApp, path: &str, body: &Value) -> Answer {
    send(app.request(system, path, body, system.clock.now())).await
}

fn raw(system: &System, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    system.request(Method::POST, path).header("content-type", "application/json").body(body)
}

fn accepted(system: &System) -> u64 {
    system.counted(Metric::EventAccepted)
}

fn assert_accepted(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})), "{what}: {answer:?}");
}

fn assert_unauthorized(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (401, "Invalid signature"), "{what}: {answer:?}");
}

#[tokio::test]
async fn an_event_is_taken_encrypted_on_its_channels_path_and_plain_on_either() {
    let (system, encrypting, plain) = started().await;
    let message = encrypting.message("oc_1", 1);
    assert_accepted(&post(&system, &encrypting, &encrypting.events_path(), &message).await, "encrypted");
    assert_accepted(&post(&system, &plain, &plain.events_path(), &plain.message("oc_1", 1)).await, "of the channel");
    assert_accepted(&post(&system, &plain, "/api/feishu/events", &plain.message("oc_1", 2)).await, "of the app");
    assert_accepted(&post(&system, &plain, "/api/feishu/card-action", &plain.click("oc_1", 3)).await, "a click");
    assert_accepted(
        &post(&system, &encrypting, &encrypting.cards_path(), &encrypting.click("oc_1", 4)).await,
        "another",
    );
    assert_eq!(accepted(&system), 5);
    // An event of schema 1.0.
    let older = json!({
        "uuid": "u-1", "token": plain.verification_token, "ts": "1800014400.1", "type": "event_callback",
        "event": { "type": "message", "app_id": "cli_two", "open_chat_id": "oc_1", "text": "hello" },
    });
    assert_accepted(&post(&system, &plain, "/api/feishu/events", &older).await, "schema 1.0");
    // An encrypted body does not name its app, so the path must.
    assert_unauthorized(&post(&system, &encrypting, "/api/feishu/events", &message).await, "without its channel");
}

#[tokio::test]
async fn the_url_check_is_answered_to_the_token_alone() {
    let (system, encrypting, plain) = started().await;
    let check =
        |app: &FeishuApp| json!({ "challenge": "c-1", "token": app.verification_token, "type": "url_verification" });
    let challenge = json!({ "challenge": "c-1" });
    for app in [&encrypting, &plain] {
        for path in [app.events_path(), app.cards_path()] {
            assert_eq!(post(&system, app, &path, &check(app)).await.json(), challenge, "{path}");
            let mut wrong = check(app);
            wrong["token"] = json!("another-token");
            assert_unauthorized(&post(&system, app, &path, &wrong).await, &path);
        }
    }
    // Feishu may leave the URL check unsigned; with a key, it encrypts it.
    let encrypted = feishu::encrypted("an encrypt key", &check(&encrypting).to_string());
    assert_eq!(send(raw(&system, &encrypting.events_path(), encrypted)).await.json(), challenge);
    let of_another_key = feishu::encrypted("another key", &check(&encrypting).to_string());
    assert_unauthorized(&send(raw(&system, &encrypting.events_path(), of_another_key)).await, "another key");
    let in_the_clear = check(&encrypting).to_string();
    assert_unauthorized(&send(raw(&system, &encrypting.events_path(), in_the_clear)).await, "not encrypted");
    assert_unauthorized(
        &send(raw(&system, "/api/feishu/events", check(&plain).to_string())).await,
        "without its channel",
    );
    assert_eq!(accepted(&system), 0);
}

#[tokio::test]
async fn every_malformed_encrypted_event_is_refused_in_the_same_words() {
    let (system, app, plain) = started().await;
    let now = system.clock.now();
    let (path, key) = (app.events_path(), "an encrypt key");
    let body = feishu::encrypted(key, &app.message("oc_1", 1).to_string());
    let request = |body: &str| raw(&system, &path, body.to_owned());
    let mut token = app.message("oc_1", 1);
    token["header"]["token"] = json!(plain.verification_token);
    let token = feishu::encrypted(key, &token.to_string());
    let other_app = feishu::encrypted(key, &app.message("oc_1", 1).to_string().replace("cli_one", "cli_two"));
    let not_json = feishu::encrypted(key, "not JSON");
    let other_key = feishu::encrypted("another key", &app.message("oc_1", 1).to_string());
    let seconds = |seconds| now + std::time::Duration::from_secs(seconds);
    let earlier = now - std::time::Duration::from_secs(301);
    for (what, refused) in [
        ("no signature", request(&body)),
        ("another key's signature", feishu::signed(request(&body), "another key", &body, now)),
        ("a signature of another body", feishu::signed(request(&body), key, "{}", now)),
        ("an old signature", feishu::signed(request(&body), key, &body, earlier)),
        ("a signature of the future", feishu::signed(request(&body), key, &body, seconds(301))),
        ("another app's token", feishu::signed(request(&token), key, &token, now)),
        ("another app's event", feishu::signed(request(&other_app), key, &other_app, now)),
        ("no JSON inside", feishu::signed(request(&not_json), key, &not_json, now)),
        ("encrypted with another key", feishu::signed(request(&other_key), key, &other_key, now)),
        ("no base64", feishu::signed(request(r#"{"encrypt":"?"}"#), key, r#"{"encrypt":"?"}"#, now)),
        ("in the clear", {
            let clear = app.message("oc_1", 1).to_string();
            feishu::signed(request(&clear), key, &clear, now)
        }),
        ("two signatures", feishu::signed(feishu::signed(request(&body), key, &body, now), key, &body, now)),
        ("a nonce of 256 bytes", {
            let (at, nonce) = (now.as_second().to_string(), "n".repeat(256));
            let signature = feishu::signature(key, &at, &nonce, body.as_bytes());
            let request = request(&body).header("x-lark-signature", signature);
            request.header("x-lark-request-timestamp", at).header("x-lark-request-nonce", nonce)
        }),
        (
            "an unknown channel",
            feishu::signed(raw(&system, "/api/feishu/events/no-channel", body.clone()), key, &body, now),
        ),
        ("no channel's id", feishu::signed(raw(&system, "/api/feishu/events/%ff", body.clone()), key, &body, now)),
    ] {
        assert_unauthorized(&send(refused).await, what);
    }
    assert_eq!(accepted(&system), 0);
    assert_accepted(&send(feishu::signed(request(&body), key, &body, seconds(300))).await, "the right one");
}

#[tokio::test]
async fn every_malformed_plain_event_is_refused() {
    let (system, encrypting, app) = started().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = app.message("oc_1", 1);
        change(&mut body);
        body.to_string()
    };
    let path = app.events_path();
    for (what, path, body) in [
        (
            "another app's token",
            path.as_str(),
            with(&|body| body["header"]["token"] = json!(encrypting.verification_token)),
        ),
        ("no token", &path, with(&|body| drop(body["header"].as_object_mut().unwrap().remove("token")))),
        ("an empty token", &path, with(&|body| body["header"]["token"] = json!(""))),
        ("a token of another type", &path, with(&|body| body["header"]["token"] = json!(7))),
        ("a token that is cut", &path, with(&|body| body["header"]["token"] = json!(app.verification_token[1..]))),
        ("another app", &path, with(&|body| body["header"]["app_id"] = json!("cli_one"))),
        ("an unknown app", "/api/feishu/events", with(&|body| body["header"]["app_id"] = json!("cli_none"))),
        ("no app", "/api/feishu/events", with(&|body| drop(body["header"].as_object_mut().unwrap().remove("app_id")))),
        ("an app that encrypts", "/api/feishu/events", encrypting.message("oc_1", 1).to_string()),
        ("nothing", &path, String::new()),
        ("no object", &path, "[]".to_owned()),
        ("no JSON", &path, "{".to_owned()),
        ("the token at the top alone", &path, json!({ "token": app.verification_token, "header": {} }).to_string()),
    ] {
        assert_unauthorized(&send(raw(&system, path, body)).await, what);
    }
    let twice = app.message("oc_1", 1).to_string().replace(r#""chat_type""#, r#""chat_type":"p2p","chat_type""#);
    let id = with(&|body| body["header"]["event_id"] = json!("x".repeat(256)));
    let deep_twice =
        app.message("oc_1", 1).to_string().replace(r#""tenant_key""#, r#""other":{"a":1,"a":2},"tenant_key""#);
    for (what, body, status) in
        [("a key twice", twice, 401), ("a long id", id, 400), ("an unread key twice", deep_twice, 400)]
    {
        assert_eq!(send(raw(&system, &path, body)).await.status, status, "{what}");
    }
    let large = with(&|body| body["event"]["padding"] = json!("x".repeat(1024 * 1024)));
    assert_eq!(send(raw(&system, &path, large)).await.status, 413);
    assert_eq!(accepted(&system), 0);
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_queued_once() {
    let (system, encrypting, plain) = started().await;
    for app in [&encrypting, &plain] {
        for _ in 0..3 {
            let message = app.message("oc_1", 1);
            assert_accepted(&post(&system, app, &app.events_path(), &message).await, "again");
        }
    }
    assert_eq!((accepted(&system), system.counted(Metric::EventRepeated)), (2, 4));
}

#[tokio::test]
async fn an_older_cards_action_is_signed_with_the_verification_token() {
    let (system, _, app) = started().await;
    let body = json!({
        "open_id": "ou_1", "user_id": "u1", "open_message_id": "om_1", "open_chat_id": "oc_1", "tenant_key": "t",
        "token": "c-update", "action": { "tag": "button", "value": { "choice": 1 } },
    })
    .to_string();
    let at = system.clock.now().as_second().to_string();
    let signed = |token: &str, path: &str, at: &str| {
        let signature = hex::encode(Sha1::digest(format!("{at}nonce{token}{body}")));
        let request = raw(&system, path, body.clone()).header("x-lark-signature", signature);
        request.header("x-lark-request-timestamp", at).header("x-lark-request-nonce", "nonce")
    };
    let (token, path) = (app.verification_token.as_str(), app.cards_path());
    assert_unauthorized(&send(raw(&system, &path, body.clone())).await, "unsigned");
    assert_unauthorized(&send(signed("another-token", &path, &at)).await, "another token");
    assert_unauthorized(&send(signed(token, &path, &(system.clock.now().as_second() - 301).to_string())).await, "old");
    assert_unauthorized(&send(signed(token, &app.events_path(), &at)).await, "at the events' path");
    assert_unauthorized(&send(signed(token, "/api/feishu/card-action", &at)).await, "without its channel");
    assert_accepted(&send(signed(token, &path, &at)).await, "the right one");
}

#[tokio::test]
async fn a_channel_that_takes_no_events_by_webhook_has_no_path() {
    let (system, _, _) = started().await;
    let connected = seed::channel(
        &system,
        "channel-slack",
        &"bot-1".parse().unwrap(),
        &"pool-1".parse().unwrap(),
        "T0ONE",
        "A0ONE",
    )
    .await;
    let app = FeishuApp {
        channel: connected.channel,
        app: "A0ONE".to_owned(),
        verification_token: connected.signing_secret.clone(),
        encrypt_key: None,
    };
    let refused = post(&system, &app, &app.events_path(), &app.message("oc_1", 1)).await;
    assert_unauthorized(&refused, "Slack's channel");
    let with_key = FeishuApp { encrypt_key: Some(random_hex(16)), ..app };
    assert_unauthorized(
        &post(&system, &with_key, &with_key.cards_path(), &with_key.click("oc_1", 1)).await,
        "its cards",
    );
}
