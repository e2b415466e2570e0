//! Reports of runtimes and skills about conversations and artifacts, as their callers see them.

use portcullis_tests::{
    System, seed,
    system::{Answer, send},
};
use reqwest::Method;
use serde_json::{Value, json};

const SESSIONS: &str = "/api/internal/sessions";
const ARTIFACTS: &str = "/api/internal/artifacts";
const CHECK: &str = "/api/internal/artifacts/check-domain";
const FEEDBACK: &str = "/api/internal/feedback";

async fn prepared() -> System {
    let system = System::start().await;
    for (pool, bot) in [("pool-1", "Bot-1"), ("pool-2", "bot-2")] {
        let pool = seed::pool(&system, pool, None).await;
        seed::bot(&system, bot, &pool).await;
    }
    system
}

async fn internal(system: &System, method: Method, path: &str, body: Value) -> Answer {
    send(system.internal(method, path).json(&body)).await
}

async fn skill(system: &System, method: Method, path: &str, body: Value) -> Answer {
    send(system.skill(method, path).json(&body)).await
}

async fn bound(system: &System, kind: &str, pool: &str) -> String {
    let path = format!("/api/internal/pools/{pool}/{kind}-tokens");
    let answer = internal(system, Method::POST, &path, json!({ "ttlSeconds": 600 })).await;
    answer.json()["token"].as_str().expect("a token").to_owned()
}

fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{answer:?}");
}

#[tokio::test]
async fn a_session_is_answered_as_the_contract_has_it() {
    let system = prepared().await;
    let made = internal(
        &system,
        Method::POST,
        SESSIONS,
        json!({
            "botId": "Bot-1", "sessionKey": " Agent:Bot-1:Slack:Channel:C1 ", "title": "🦀 title",
            "channelType": "slack", "channelId": "C1", "status": "active", "messageCount": 3,
            "lastMessageAt": "2026-01-02T03:04:05+01:00", "metadata": { "a": [1, null] },
        }),
    )
    .await;
    assert_eq!(made.status, 201, "{made:?}");
    let session = made.json();
    let id = session["id"].as_str().unwrap().to_owned();
    let now = session["createdAt"].clone();
    assert_eq!(
        session,
        json!({
            "id": id, "botId": "Bot-1", "sessionKey": "agent:bot-1:slack:channel:c1", "channelType": "slack",
            "channelId": "C1", "title": "🦀 title", "status": "active", "messageCount": 3,
            "lastMessageAt": "2026-01-02T02:04:05.000Z", "metadata": { "a": [1, null] }, "createdAt": now,
            "updatedAt": now,
        })
    );

    let path = format!("{SESSIONS}/{id}");
    let changed = internal(&system, Method::PATCH, &path, json!({ "status": "ended", "title": "Done" })).await;
    assert_eq!(changed.status, 200);
    let changed = changed.json();
    assert_eq!((&changed["title"], &changed["status"]), (&json!("Done"), &json!("ended")));
    assert_eq!((&changed["messageCount"], &changed["metadata"]), (&json!(3), &json!({ "a": [1, null] })));
}

#[tokio::test]
async fn a_malformed_session_is_refused_and_nothing_is_written() {
    let system = prepared().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({ "botId": "Bot-1", "sessionKey": "agent:bot-1:main", "title": "A" });
        body[field] = value;
        body
    };
    for (field, value) in [
        ("title", json!("x".repeat(501))),
        ("title", json!("")),
        ("title", json!("a\0b")),
        ("title", json!(7)),
        ("sessionKey", json!("  ")),
        ("sessionKey", json!("x".repeat(513))),
        ("status", json!("gone")),
        ("messageCount", json!(-1)),
        ("messageCount", json!(1.5)),
        ("lastMessageAt", json!("yesterday")),
        ("metadata", json!("x".repeat(300_000))),
        ("channelId", json!("a\u{7}")),
    ] {
        let answer = internal(&system, Method::POST, SESSIONS, with(field, value)).await;
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
        assert!(answer.json()["fields"][field].is_string(), "{field}: {answer:?}");
    }
    let unknown = internal(&system, Method::POST, SESSIONS, with("botId", json!("bot-9"))).await;
    assert_refused(&unknown, 400, "Bot not found");
    let id = portcullis_store::session_id(&"Bot-1".parse().unwrap(), "agent:bot-1:main");
    for id in [id.as_str(), "x", "..%2F", "%00"] {
        let path = format!("{SESSIONS}/{id}");
        let answer = internal(&system, Method::PATCH, &path, json!({ "title": "x" })).await;
        assert_refused(&answer, 404, "Session not found");
    }
}

#[tokio::test]
async fn a_bound_token_reaches_its_own_pools_sessions_and_artifacts_alone() {
    let system = prepared().await;
    let as_one = |method: Method, path: &str, body: Value, token: &str| {
        send(system.request(method, path).header("x-internal-token", token).json(&body))
    };
    let (runtime, skill) = (bound(&system, "runtime", "pool-1").await, bound(&system, "skill", "pool-1").await);
    let own = json!({ "botId": "Bot-1", "sessionKey": "agent:bot-1:main", "title": "A" });
    let other = json!({ "botId": "bot-2", "sessionKey": "agent:bot-2:main", "title": "A" });
    assert_eq!(as_one(Method::POST, SESSIONS, own.clone(), &runtime).await.status, 201);
    let refused = as_one(Method::POST, SESSIONS, other.clone(), &runtime).await;
    assert_refused(&refused, 403, "Token is not valid for this pool");
    assert_eq!(as_one(Method::POST, ARTIFACTS, own.clone(), &skill).await.status, 201);
    let refused = as_one(Method::POST, ARTIFACTS, other.clone(), &skill).await;
    assert_refused(&refused, 403, "Token is not valid for this bot");

    let session = internal(&system, Method::POST, SESSIONS, other.clone()).await.json()["id"].clone();
    let path = format!("{SESSIONS}/{}", session.as_str().unwrap());
    let hidden = as_one(Method::PATCH, &path, json!({ "title": "x" }), &runtime).await;
    assert_refused(&hidden, 404, "Session not found");
    let artifact = internal(&system, Method::POST, ARTIFACTS, other).await.json()["id"].clone();
    let path = format!("{ARTIFACTS}/{}", artifact.as_str().unwrap());
    let hidden = as_one(Method::PATCH, &path, json!({ "title": "x" }), &skill).await;
    assert_refused(&hidden, 404, "Artifact not found");
    for bot in ["bot-2", "bot-9"] {
        let feedback = json!({ "content": "x", "agentId": bot });
        // The same answer for another pool's bot and for an unknown one, so that the token's holder learns about
        // neither; feedback keeps the name as text.
        assert_eq!(as_one(Method::POST, FEEDBACK, feedback, &skill).await.status, 200);
        let key = format!("agent:{bot}:main");
        let check = json!({ "botId": bot, "sessionKey": key, "previewUrl": "https://example.com/" });
        assert_refused(&as_one(Method::POST, CHECK, check, &skill).await, 403, "Token is not valid for this bot");
    }
}

#[tokio::test]
async fn an_artifact_is_answered_as_the_contract_has_it() {
    let system = prepared().await;
    let made = skill(
        &system,
        Method::POST,
        ARTIFACTS,
        json!({
            "botId": "Bot-1", "title": "A page", "sessionKey": "agent:Bot-1:main", "channelType": "slack",
            "channelId": "C1", "artifactType": "deployment", "source": "coding", "contentType": "text/html",
            "status": "live", "previewUrl": "https://example.com/a", "deployTarget": "pages", "linesOfCode": 10,
            "fileCount": 2, "durationMs": 1500, "metadata": { "k": "v" },
        }),
    )
    .await;
    assert_eq!(made.status, 201, "{made:?}");
    let artifact = made.json();
    let (id, now) = (artifact["id"].clone(), artifact["createdAt"].clone());
    assert_eq!(
        artifact,
        json!({
            "id": id, "botId": "Bot-1", "sessionKey": "agent:bot-1:main", "channelType": "slack", "channelId": "C1",
            "title": "A page", "artifactType": "deployment", "source": "coding", "contentType": "text/html",
            "status": "live", "previewUrl": "https://example.com/a", "deployTarget": "pages", "linesOfCode": 10,
            "fileCount": 2, "durationMs": 1500, "metadata": { "k": "v" }, "createdAt": now, "updatedAt": now,
        })
    );
    let path = format!("{ARTIFACTS}/{}", id.as_str().unwrap());
    let changed = skill(&system, Method::PATCH, &path, json!({ "status": "stopped" })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["status"]), (200, &json!("stopped")));
    assert_eq!(changed.json()["metadata"], json!({ "k": "v" }));
}

#[tokio::test]
async fn an_artifacts_session_is_checked_in_the_contracts_order() {
    let system = prepared().await;
    let post = async |fields: Value| {
        let mut body = json!({ "botId": "Bot-1", "title": "A page" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        skill(&system, Method::POST, ARTIFACTS, body).await
    };
    for (fields, message) in [
        (json!({ "botId": "bot-9", "sessionKey": "x" }), "Bot not found"),
        (json!({ "sessionKey": "x:bot-1", "threadId": "1" }), "sessionKey must start with agent:"),
        (json!({ "sessionKey": "agent:bot-2:main", "threadId": "1" }), "sessionKey belongs to another bot"),
        (json!({ "sessionKey": "agent:bot-1", "threadId": "1" }), "sessionKey belongs to another bot"),
        (json!({ "threadId": "1" }), "threadId requires chatId"),
        (json!({}), "sessionKey or chatId is required"),
        (json!({ "chatId": "group:1" }), "chatId must start with user: or channel:"),
        (json!({ "chatId": "channel:C1" }), "No matching session found for chatId"),
    ] {
        assert_refused(&post(fields).await, 400, message);
    }
    for key in ["agent:bot-1:slack:channel:c1", "agent:bot-1:discord:channel:c1"] {
        let session = json!({ "botId": "Bot-1", "sessionKey": key, "title": "A" });
        assert_eq!(internal(&system, Method::POST, SESSIONS, session).await.status, 201);
    }
    let ambiguous = post(json!({ "chatId": "channel:C1" })).await;
    assert_refused(&ambiguous, 400, "Ambiguous session resolution for chatId");
    let threaded = post(json!({ "chatId": "channel:C1", "threadId": "17.1", "channelType": "slack" })).await;
    assert_eq!(threaded.json()["sessionKey"], "agent:bot-1:slack:channel:c1:thread:17.1", "{threaded:?}");
    for url in ["javascript:alert(1)", "ftp://example.com/", "example.com", "https://u:p@example.com/"] {
        let answer = post(json!({ "sessionKey": "agent:bot-1:main", "previewUrl": url })).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["fields"]["previewUrl"].is_string(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_preview_is_one_sessions_and_nobody_else_is_told_whose() {
    let system = prepared().await;
    let url = "https://example.com/preview";
    let of = |bot: &str, key: &str| json!({ "botId": bot, "title": "A", "sessionKey": key, "previewUrl": url });
    let free = skill(&system, Method::POST, CHECK, of("Bot-1", "agent:bot-1:main")).await;
    assert_eq!(
        free.json(),
        json!({
            "available": true, "sessionKey": "agent:bot-1:main", "existingArtifactId": null, "existingSessionKey": null,
        })
    );
    let made = skill(&system, Method::POST, ARTIFACTS, of("Bot-1", "agent:bot-1:main")).await.json();
    let own = skill(&system, Method::POST, CHECK, of("Bot-1", "agent:bot-1:main")).await;
    assert_eq!(
        own.json(),
        json!({
            "available": true, "sessionKey": "agent:bot-1:main", "existingArtifactId": made["id"],
            "existingSessionKey": "agent:bot-1:main",
        })
    );
    let again = skill(&system, Method::POST, ARTIFACTS, of("Bot-1", "agent:bot-1:main")).await.json();
    assert_eq!(again["id"], made["id"]);
    for path in [ARTIFACTS, CHECK] {
        for (bot, key) in [("bot-2", "agent:bot-2:main"), ("Bot-1", "agent:bot-1:other")] {
            let taken = skill(&system, Method::POST, path, of(bot, key)).await;
            assert_refused(&taken, 409, "previewUrl is already in use by another session");
            assert!(!String::from_utf8_lossy(&taken.body).contains(made["id"].as_str().unwrap()));
        }
    }
}

#[tokio::test]
async fn feedback_is_taken_up_to_its_limits() {
    let system = prepared().await;
    let image = json!({ "data": "aGVsbG8=", "mimeType": "image/png" });
    let file = json!({ "data": "aGVsbG8=", "fileName": "a.txt" });
    let full = json!({
        "content": "x".repeat(5000), "channel": "slack", "sender": "U1", "agentId": "Bot-1",
        "conversationContext": "y".repeat(10_000), "imageUrls": vec!["https://example.com/a.png"; 10],
        "imageData": vec![image.clone(); 5], "fileData": vec![file.clone(); 5],
    });
    let kept = skill(&system, Method::POST, FEEDBACK, full.clone()).await;
    let expected = json!({ "ok": true, "attachmentsKept": 0, "attachmentsDropped": 10 });
    assert_eq!((kept.status.as_u16(), kept.json()), (200, expected));
    for (field, value) in [
        ("content", json!("x".repeat(5001))),
        ("content", json!("")),
        ("conversationContext", json!("y".repeat(10_001))),
        ("imageUrls", json!(vec!["https://example.com/a.png"; 11])),
        ("imageData", json!(vec![image; 6])),
        ("fileData", json!(vec![file; 6])),
        ("fileData", json!([{ "data": "not base64!", "fileName": "a" }])),
    ] {
        let mut body = full.clone();
        body[field] = value;
        let answer = skill(&system, Method::POST, FEEDBACK, body).await;
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
        let fields = answer.json()["fields"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert!(fields.iter().all(|named| named.starts_with(field)), "{fields:?}");
    }
    let mut large = full;
    large["imageData"] = json!([{ "data": "aaaa".repeat(1_400_000), "mimeType": "image/png" }]);
    assert_eq!(skill(&system, Method::POST, FEEDBACK, large).await.status, 413);
}
