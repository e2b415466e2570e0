//! Requests of existing clients of such a control plane, which must keep working.

use portcullis_tests::{
    System, seed,
    system::{Answer, send},
};
use reqwest::Method;
use serde_json::{Value, json};

async fn put(system: &System, path: &str, body: &Value) -> Answer {
    send(system.internal(Method::PUT, path).json(body)).await
}

async fn skill(system: &System, path: &str, body: &Value) -> Answer {
    send(system.skill(Method::POST, path).json(body)).await
}

async fn with_bot() -> System {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    seed::bot(&system, "bot-1", &pool).await;
    system
}

#[tokio::test]
async fn a_skill_may_have_its_own_text_among_its_files_and_content_wins() {
    let system = System::start().await;
    let content = "---\nname: maps\ndescription: Finds the way\n---\n# Maps";
    let body = json!({ "content": content, "files": { "SKILL.md": "# Another", "find.sh": "#!/bin/sh\n" } });
    let answer = put(&system, "/api/internal/skills/maps", &body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true, "name": "maps", "version": 1 })));
    let latest = send(system.internal(Method::GET, "/api/internal/skills/latest")).await.json();
    assert_eq!(latest["skills"]["maps"], json!({ "SKILL.md": content, "find.sh": "#!/bin/sh\n" }));
    let empty = put(&system, "/api/internal/skills/maps", &json!({ "content": "" })).await;
    assert_eq!((empty.status.as_u16(), &empty.json()["fields"]["content"]), (400, &json!("must not be empty")));
}

#[tokio::test]
async fn a_skill_that_openclaw_would_pass_over_is_stored_with_a_warning() {
    let system = System::start().await;
    for (number, content) in (1..).zip(["# Maps", "---\nname: maps\n---\n"]) {
        let answer = put(&system, "/api/internal/skills/maps", &json!({ "content": content })).await;
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), body["version"].as_u64()), (200, Some(number)));
        let warnings = body["warnings"].as_array().expect("it has warnings");
        assert!(warnings[0].as_str().is_some_and(|text| text.contains("OpenClaw will not use the skill")), "{body}");
    }
}

#[tokio::test]
async fn a_template_is_named_like_its_file_and_is_seeded_where_nothing_is_said() {
    let system = System::start().await;
    let path = "/api/internal/workspace-templates/AGENTS.md";
    assert_eq!(put(&system, path, &json!({ "content": "# Agents" })).await.status, 200);
    let latest = send(system.internal(Method::GET, "/api/internal/workspace-templates/latest")).await.json();
    assert_eq!(latest["templates"]["AGENTS.md"], json!({ "content": "# Agents", "writeMode": "seed" }));
    for wrong in ["agents", "agents.md", "AGENTS", "A%2FB.md", "..md", &format!("{}.md", "A".repeat(61))] {
        let path = format!("/api/internal/workspace-templates/{wrong}");
        assert_eq!(put(&system, &path, &json!({ "content": "x" })).await.status, 400, "{wrong}");
    }
    assert_eq!(put(&system, "/api/internal/skills/AGENTS.md", &json!({ "content": "x" })).await.status, 400);
}

#[tokio::test]
async fn a_domain_is_checked_for_a_session_and_for_nobody_it_is_a_400() {
    let system = with_bot().await;
    let path = "/api/internal/artifacts/check-domain";
    let body = json!({ "botId": "bot-1", "previewUrl": "https://example.com/" });
    let answer = skill(&system, path, &body).await;
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (400, "sessionKey or chatId is required"));
    let mut empty = body.clone();
    empty["sessionKey"] = json!("");
    empty["chatId"] = json!("");
    assert_eq!(skill(&system, path, &empty).await.message(), "sessionKey or chatId is required");
    empty["sessionKey"] = json!("agent:bot-1:main");
    assert_eq!(skill(&system, path, &empty).await.status, 200);
}

#[tokio::test]
async fn a_users_words_are_kept_whatever_comes_with_them() {
    let system = with_bot().await;
    let runtime = json!({ "ttlSeconds": 600 });
    let tokens = "/api/internal/pools/pool-1/skill-tokens";
    let bound = send(system.internal(Method::POST, tokens).json(&runtime)).await.json();
    let bound = bound["token"].as_str().expect("a token").to_owned();
    let path = "/api/internal/feedback";
    let data = "AAAA".repeat(100 * 1024);
    let many = json!([{ "data": data, "mimeType": "image/png" }, { "data": data, "mimeType": "image/png" }]);
    for (what, body, dropped) in [
        (
            "empty texts",
            json!({ "content": "w1", "conversationContext": "", "channel": "", "sender": "", "agentId": "" }),
            0,
        ),
        ("800 KB of attachments", json!({ "content": "w2", "imageData": many }), 2),
        ("a file", json!({ "content": "w3", "fileData": [{ "data": "AA==", "fileName": "a.txt" }] }), 1),
        ("an agent that is not known", json!({ "content": "w4", "agentId": "nobody" }), 0),
        ("an agent that cannot be", json!({ "content": "w5", "agentId": "\u{7}" }), 0),
        ("a bot", json!({ "content": "w6", "agentId": "bot-1" }), 0),
        ("a lone surrogate", json!({ "content": "w7", "sender": "x" }), 0),
    ] {
        let expected = json!({ "ok": true, "attachmentsKept": 0, "attachmentsDropped": dropped });
        let answer = skill(&system, path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected.clone()), "{what}");
        let request = system.request(Method::POST, path).header("x-internal-token", &bound).json(&body);
        assert_eq!(send(request).await.json(), expected, "{what}, bound");
    }
    let too_large = json!({ "content": "x", "imageData": [{ "data": "AAAA".repeat(1400 * 1024), "mimeType": "a/b" }] });
    assert_eq!(skill(&system, path, &too_large).await.status, 413);
    for wrong in [json!({}), json!({ "content": "" }), json!({ "content": "x".repeat(5001) })] {
        assert_eq!(skill(&system, path, &wrong).await.status, 400);
    }
}

#[tokio::test]
async fn a_feature_that_this_server_lacks_is_refused_in_words_for_people() {
    let system = with_bot().await;
    for platform in ["discord", "feishu"] {
        let path = format!("/api/internal/sessions/sync-{platform}");
        let sync = async |body: Value| send(system.internal(Method::POST, &path).json(&body)).await;
        assert_eq!(sync(json!({ "poolId": "pool-1" })).await.json(), json!({ "synced": 0 }));
        assert_eq!(sync(json!({ "poolId": "nobody" })).await.status, 404);
        assert_eq!(sync(json!({})).await.json()["fields"]["poolId"], "is required");
    }
    let execute = "/api/internal/composio/execute";
    let call = json!({ "botId": "bot-1", "action": "GMAIL_SEND_EMAIL", "params": { "x": 1e300 } });
    let answer = skill(&system, execute, &call).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &json!("not_available")));
    assert_eq!(answer.message(), "Connected accounts are not available on this server");
    for (path, body) in [
        (execute, json!({ "botId": "nobody", "action": "GMAIL_SEND_EMAIL" })),
        ("/api/internal/composio/disconnect", json!({ "botId": "nobody", "toolkitSlug": "gmail" })),
    ] {
        let answer = skill(&system, path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (404, "Bot not found"), "{path}");
    }
    let malformed = skill(&system, execute, &json!({ "botId": "bot-1", "action": "gmail" })).await;
    assert_eq!(malformed.json()["fields"]["action"], "must be an action such as GMAIL_SEND_EMAIL");
}

#[tokio::test]
async fn a_field_that_does_not_validate_is_told_in_the_apis_own_words() {
    let system = with_bot().await;
    let session = |field: &str, value: Value| {
        let mut body = json!({ "botId": "bot-1", "sessionKey": "agent:bot-1:main", "title": "x" });
        body[field] = value;
        body
    };
    let count = "must be a whole number from 0 to 9007199254740991";
    for (field, value, why) in [
        ("messageCount", json!("7"), count),
        ("messageCount", json!(-1), count),
        ("messageCount", json!(u64::MAX), count),
        ("lastMessageAt", json!("2026-01-31T12:00:00"), "must be a time with its offset, such as 2026-01-31T12:00:00Z"),
        ("lastMessageAt", json!(7), "must be text"),
        ("status", json!("gone"), "must be active or ended"),
        ("status", json!(7), "must be text"),
        ("title", json!(7), "must be text"),
        ("title", json!(null), "must be text"),
        ("channelType", json!([]), "must be text"),
        ("botId", json!({}), "must be text"),
        ("botId", json!(""), "must be 1 to 128 characters, none of them a control character"),
    ] {
        let answer =
            send(system.internal(Method::POST, "/api/internal/sessions").json(&session(field, value.clone()))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["fields"][field]), (400, &json!(why)), "{field}: {value}");
    }
    // Unknown fields are ignored whatever they hold, and metadata is stored as written.
    let body = r#"{"botId":"bot-1","sessionKey":"agent:bot-1:main","title":"a \ud83d","channelType":"","unread":1e400,
        "metadata":{"n":1e400,"t":"\ud83d"},"lastMessageAt":""}"#;
    let request = system.internal(Method::POST, "/api/internal/sessions").header("content-type", "application/json");
    let answer = send(request.body(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let text = String::from_utf8(answer.body).expect("UTF-8");
    assert!(text.contains("\"title\":\"a \u{fffd}\"") && text.contains("\"n\":1e400"), "{text}");
}
