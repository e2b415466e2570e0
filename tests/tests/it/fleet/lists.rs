//! Pagination: every item appears once, and a cursor is valid only for its own list.

use std::collections::BTreeSet;

use portcullis_tests::{System, seed};
use serde_json::{Value, json};

use super::{assert_field, assert_refused, bot, call, delete, fleet, get, put};
use reqwest::Method;

/// Reads a list to its end, `limit` items at a time, and returns one field of each item.
async fn read_all(system: &System, path: &str, limit: usize, field: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = get(system, &format!("{path}?limit={limit}&cursor={cursor}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        seen.extend(items.iter().map(|item| item[field].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return seen,
        }
    }
}

/// A system with seven rows in each list; the fourth bot is deleted.
async fn of_seven() -> System {
    let (system, ..) = fleet().await;
    for number in 2..=7 {
        seed::pool(&system, &format!("pool-{number}"), None).await;
        let path = format!("/api/internal/bots/bot-{number}");
        let mut body = bot("pool-1");
        body["ownerId"] = json!(format!("user-{number}"));
        assert_eq!(put(&system, &path, body).await.status, 200);
        let channel = json!({
            "botId": format!("bot-{number}"), "channelType": "slack", "teamId": format!("T{number}"), "appId": "A0ONE",
            "signingSecret": "not-a-secret-of-slack",
        });
        assert_eq!(put(&system, &format!("/api/internal/channels/channel-{number}"), channel).await.status, 200);
    }
    for number in 1..=7 {
        let path = format!("/api/internal/skills/skill-{number}");
        let status = if number == 2 { "inactive" } else { "active" };
        assert_eq!(put(&system, &path, json!({ "content": "# A", "status": status })).await.status, 200);
        let path = format!("/api/internal/workspace-templates/T{number}.md");
        assert_eq!(put(&system, &path, json!({ "content": "# A" })).await.status, 200);
    }
    assert_eq!(delete(&system, "/api/internal/bots/bot-4").await.status, 200);
    let secrets: serde_json::Map<String, Value> = (1..=7)
        .map(|number| {
            let scope = if number < 4 { "pool" } else { "skill:maps" };
            (format!("NAME_{number}"), json!({ "value": "c4n4ry", "scope": scope }))
        })
        .collect();
    assert_eq!(put(&system, "/api/internal/pools/pool-1/secrets", json!({ "secrets": secrets })).await.status, 200);
    system
}

#[tokio::test]
async fn each_list_tells_every_item_once_whatever_the_page() {
    let system = Box::pin(of_seven()).await;
    let numbered = |prefix: &str, suffix: &str, without: usize| -> BTreeSet<String> {
        (1..=7).filter(|number| *number != without).map(|number| format!("{prefix}{number}{suffix}")).collect()
    };
    for limit in [1, 3, 100] {
        for (path, field, expected) in [
            ("/api/internal/pools", "id", numbered("pool-", "", 0)),
            ("/api/internal/bots", "id", numbered("bot-", "", 4)),
            ("/api/internal/channels", "id", numbered("channel-", "", 4)),
            ("/api/internal/skills", "name", numbered("skill-", "", 0)),
            ("/api/internal/workspace-templates", "name", numbered("T", ".md", 0)),
            ("/api/internal/pools/pool-1/secrets", "name", numbered("NAME_", "", 0)),
        ] {
            let seen = read_all(&system, path, limit, field).await;
            assert_eq!(seen.len(), expected.len(), "{path} by {limit}: {seen:?}");
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected, "{path} by {limit}");
        }
    }
    let bots = get(&system, "/api/internal/bots").await.json();
    assert!(bots["items"].as_array().unwrap().iter().all(|bot| bot.get("systemPrompt").is_none()));
    let skills = get(&system, "/api/internal/skills?limit=2").await.json();
    assert_eq!(skills["items"][1]["status"], "inactive");
}

#[tokio::test]
async fn a_list_of_secrets_holds_no_value() {
    let system = Box::pin(of_seven()).await;
    let path = "/api/internal/pools/pool-1/secrets";
    let list = get(&system, path).await.json();
    assert!(!list.to_string().contains("c4n4ry"), "{list}");
    let first = &list["items"][0];
    assert_eq!((&first["name"], &first["scope"], &first["revision"]), (&json!("NAME_1"), &json!("pool"), &json!(1)));
    assert!(first["updatedAt"].is_string());
    put(&system, path, json!({ "secrets": { "NAME_1": "other" } })).await;
    let list = get(&system, path).await.json();
    assert_eq!([&list["items"][0]["revision"], &list["items"][1]["revision"]], [&json!(2), &json!(1)]);
    assert_refused(&get(&system, "/api/internal/pools/nowhere/secrets").await, 404, "Pool nowhere not found");
    assert_refused(&get(&system, "/api/internal/pools/nowhere").await, 404, "Pool nowhere not found");
}

#[tokio::test]
async fn a_cursor_of_another_list_or_none_at_all_is_refused() {
    let system = Box::pin(of_seven()).await;
    let lists = [
        "/api/internal/pools",
        "/api/internal/bots",
        "/api/internal/channels",
        "/api/internal/skills",
        "/api/internal/workspace-templates",
        "/api/internal/pools/pool-1/secrets",
        "/api/internal/pools/pool-2/secrets",
    ];
    for (index, of) in lists.iter().enumerate().take(6) {
        let cursor = get(&system, &format!("{of}?limit=1")).await.json()["cursor"].as_str().expect(of).to_owned();
        for (other, path) in lists.iter().enumerate() {
            let answer = get(&system, &format!("{path}?cursor={cursor}")).await;
            if other == index {
                assert_eq!(answer.status, 200, "{path}");
            } else {
                assert_field(&answer, "cursor");
            }
        }
    }
    for path in lists {
        for wrong in ["bot-1", "c4n4ry", "%00", "AAAA", &"A".repeat(4000)] {
            let answer = get(&system, &format!("{path}?cursor={wrong}")).await;
            assert_field(&answer, "cursor");
            assert!(!String::from_utf8_lossy(&answer.body).contains("c4n4ry"));
        }
        for wrong in ["0", "101", "-1", "x", "1.0"] {
            assert_field(&get(&system, &format!("{path}?limit={wrong}")).await, "limit");
        }
    }
}

#[tokio::test]
async fn a_terminated_pool_is_still_listed() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", Some("127.0.0.1:4000")).await;
    let end = json!({ "poolId": "pool-1", "status": "terminated" });
    assert_eq!(call(&system, Method::POST, "/api/internal/pools/register", end).await.status, 200);
    let pool = get(&system, "/api/internal/pools/pool-1").await.json();
    assert_eq!((&pool["status"], &pool["botIds"]), (&json!("terminated"), &json!([])));
    assert_eq!(get(&system, "/api/internal/pools").await.json()["items"], json!([pool]));
}
