//! Conversations and artifacts of a person's own bots.

use portcullis_tests::{
    Person, System,
    system::{INDEX_LAG, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{active_pool, assert_refused, bot, get, person};

async fn keep_session(system: &System, bot: &str, name: &str, kind: &str) -> String {
    let body = json!({
        "botId": bot, "sessionKey": format!("agent:{bot}:{kind}:{name}"), "title": name, "channelType": kind,
        "metadata": { "a": 1 },
    });
    let kept = send(system.internal(Method::POST, "/api/internal/sessions").json(&body)).await;
    assert_eq!(kept.status, 201, "{kept:?}");
    system.clock.advance(std::time::Duration::from_secs(1));
    kept.json()["id"].as_str().unwrap().to_owned()
}

async fn keep_artifact(system: &System, bot: &str, title: &str, more: Value) -> String {
    let mut body = json!({ "botId": bot, "title": title, "sessionKey": format!("agent:{bot}:main") });
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    let kept = send(system.skill(Method::POST, "/api/internal/artifacts").json(&body)).await;
    assert_eq!(kept.status, 201, "{kept:?}");
    system.clock.advance(std::time::Duration::from_secs(1));
    kept.json()["id"].as_str().unwrap().to_owned()
}

fn titles(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

async fn refuses(person: &Person<'_>, path: &str, parameter: &str) {
    let answer = get(person, path).await;
    assert_eq!(answer.status, 400, "{path}: {answer:?}");
    assert!(answer.json()["fields"][parameter].is_string(), "{path}: {answer:?}");
}

#[tokio::test]
async fn conversations_are_listed_by_their_last_change_and_filtered() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let (one, two) = (bot(&ada, "One").await, bot(&ada, "Two").await);
    let of_eve = bot(&eve, "One").await;
    let first = keep_session(&system, &one, "first", "slack").await;
    keep_session(&system, &two, "second", "discord").await;
    keep_session(&system, &one, "third", "slack").await;
    let foreign = keep_session(&system, &of_eve, "foreign", "slack").await;
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let list = get(&ada, "/sessions").await.json();
    assert_eq!(titles(&list["sessions"]), ["third", "second", "first"]);
    assert_eq!((&list["total"], &list["limit"], &list["offset"]), (&json!(3), &json!(20), &json!(0)));
    let page = get(&ada, "/sessions?limit=1&offset=1").await.json();
    assert_eq!((titles(&page["sessions"]), &page["total"]), (vec!["second"], &json!(3)));
    assert_eq!(titles(&get(&ada, &format!("/sessions?botId={two}")).await.json()["sessions"]), ["second"]);
    assert_eq!(titles(&get(&ada, "/sessions?channelType=slack").await.json()["sessions"]), ["third", "first"]);
    assert_eq!(get(&ada, "/sessions?status=ended").await.json()["total"], 0);
    assert_eq!(get(&ada, "/sessions?offset=50").await.json()["sessions"], json!([]));
    assert_eq!(list["sessions"][0]["metadata"], Value::Null, "a list has no metadata");
    let known = get(&ada, &format!("/sessions/{first}")).await.json();
    assert_eq!((&known["title"], &known["metadata"]), (&json!("first"), &json!({ "a": 1 })));
    for id in [foreign.as_str(), "nothing", &format!("metadata%23{first}"), &"0".repeat(64)] {
        assert_refused(&get(&ada, &format!("/sessions/{id}")).await, 404, "Session not found");
    }
    for (path, parameter) in [
        ("/sessions?limit=0", "limit"),
        ("/sessions?limit=101", "limit"),
        ("/sessions?offset=-1", "offset"),
        ("/sessions?offset=100001", "offset"),
        ("/sessions?status=gone", "status"),
        ("/sessions?limit=1&limit=2", "limit"),
    ] {
        refuses(&ada, path, parameter).await;
    }
}

#[tokio::test]
async fn artifacts_are_listed_counted_changed_and_deleted() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let one = bot(&ada, "One").await;
    let of_eve = bot(&eve, "One").await;
    let url = "https://page.example.com/";
    let more = json!({ "previewUrl": url, "status": "live", "source": "coding", "linesOfCode": 40, "metadata": [1] });
    let page = keep_artifact(&system, &one, "Page", more).await;
    keep_artifact(&system, &one, "Text", json!({ "status": "failed", "source": "content", "linesOfCode": 2 })).await;
    let foreign = keep_artifact(&system, &of_eve, "Foreign", json!({ "status": "live" })).await;
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let list = get(&ada, "/artifacts").await.json();
    assert_eq!((titles(&list["artifacts"]), &list["total"]), (vec!["Text", "Page"], &json!(2)));
    assert_eq!(titles(&get(&ada, "/artifacts?status=live").await.json()["artifacts"]), ["Page"]);
    assert_eq!(titles(&get(&ada, &format!("/artifacts?botId={one}&limit=1")).await.json()["artifacts"]), ["Text"]);
    let stats = json!({
        "totalArtifacts": 2, "liveCount": 1, "buildingCount": 0, "failedCount": 1, "codingCount": 1, "contentCount": 1,
        "totalLinesOfCode": 42,
    });
    assert_eq!(get(&ada, "/artifacts/stats").await.json(), stats);
    let path = format!("/artifacts/{page}");
    assert_eq!(get(&ada, &path).await.json()["metadata"], json!([1]));
    let changed = ada.v1(Method::PATCH, &path, json!({ "title": "Renamed" })).await.json();
    assert_eq!((&changed["title"], &changed["previewUrl"]), (&json!("Renamed"), &json!(url)));
    for (method, body) in
        [(Method::GET, Value::Null), (Method::PATCH, json!({ "title": "x" })), (Method::DELETE, Value::Null)]
    {
        let path = format!("/artifacts/{foreign}");
        assert_refused(&ada.v1(method.clone(), &path, body.clone()).await, 404, "Artifact not found");
        assert_refused(&ada.v1(method, "/artifacts/preview%23x", body).await, 404, "Artifact not found");
    }
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.status, 200);
    assert_refused(&get(&ada, &path).await, 404, "Artifact not found");
    // The preview's URL is free again, for another bot too.
    keep_artifact(&system, &of_eve, "Page", json!({ "previewUrl": url })).await;
    for (path, parameter) in [("/artifacts?status=x", "status"), ("/artifacts?limit=x", "limit")] {
        refuses(&ada, path, parameter).await;
    }
}
