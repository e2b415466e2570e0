//! Skills and workspace templates, for the clients that store them and those that copy them.

use portcullis_tests::{
    System, seed,
    system::{Answer, send},
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

const LATEST_SKILLS: &str = "/api/internal/skills/latest";
const LATEST_TEMPLATES: &str = "/api/internal/workspace-templates/latest";

async fn put(system: &System, path: &str, body: &Value) -> Answer {
    send(system.internal(Method::PUT, path).json(body)).await
}

async fn put_skill(system: &System, name: &str, body: &Value) -> Answer {
    put(system, &format!("/api/internal/skills/{name}"), body).await
}

async fn get(system: &System, path: &str) -> Answer {
    send(system.internal(Method::GET, path)).await
}

async fn skills(system: &System) -> Value {
    get(system, LATEST_SKILLS).await.json()
}

fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!(code)), "{answer:?}");
}

#[tokio::test]
async fn a_skill_is_answered_with_its_files_until_it_is_inactive() {
    let system = System::start().await;
    let empty = skills(&system).await;
    assert_eq!((&empty["version"], &empty["skills"]), (&json!(0), &json!({})));
    assert_eq!(empty["createdAt"], "1970-01-01T00:00:00.000Z");

    let maps = json!({ "content": "---\nname: maps\ndescription: x\n---\n# Maps\n\"quoted\" \\ ünï \u{1}", "files": { "scripts/run.sh": "#!/bin/sh\n" } });
    let stored = put_skill(&system, "maps", &maps).await;
    assert_eq!((stored.status.as_u16(), stored.json()), (200, json!({ "ok": true, "name": "maps", "version": 1 })));
    assert_eq!(put_skill(&system, "maps", &maps).await.json()["version"], 1, "nothing has changed");
    let latest = get(&system, LATEST_SKILLS).await;
    let body = latest.json();
    let files = json!({ "SKILL.md": maps["content"], "scripts/run.sh": "#!/bin/sh\n" });
    assert_eq!((&body["version"], &body["skills"]), (&json!(1), &json!({ "maps": files })));
    assert_eq!(body["skillsHash"].as_str().unwrap().len(), 64);

    let unchanged = system.internal(Method::GET, LATEST_SKILLS).header("if-none-match", latest.header("etag"));
    let unchanged = send(unchanged).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.is_empty()), (304, true));

    let hidden = json!({ "content": "# Maps", "status": "inactive" });
    assert_eq!(put_skill(&system, "maps", &hidden).await.json()["version"], 2);
    assert_eq!(skills(&system).await["skills"], json!({}));
}

#[tokio::test]
async fn a_template_is_answered_with_its_mode_and_a_heartbeat_tells_of_both_kinds() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let path = "/api/internal/workspace-templates/AGENTS.md";
    for (number, mode) in ["seed", "inject"].into_iter().enumerate() {
        let stored = put(&system, path, &json!({ "content": "# Agents", "writeMode": mode })).await;
        assert_eq!(stored.json(), json!({ "ok": true, "name": "AGENTS.md", "version": number + 1 }));
        let latest = get(&system, LATEST_TEMPLATES).await.json();
        assert_eq!(latest["templates"], json!({ "AGENTS.md": { "content": "# Agents", "writeMode": mode } }));
        assert_eq!(latest["templatesHash"].as_str().unwrap().len(), 64);
    }
    put_skill(&system, "maps", &json!({ "content": "# Maps" })).await;
    let heartbeat = system.internal(Method::POST, "/api/internal/pools/heartbeat").json(&json!({ "poolId": "pool-1" }));
    let heartbeat = send(heartbeat).await.json();
    assert_eq!((&heartbeat["skillsVersion"], &heartbeat["templatesVersion"]), (&json!(1), &json!(2)));
    for body in [json!({ "writeMode": "seed" }), json!({ "content": "x", "writeMode": "always" })] {
        assert_refused(&put(&system, path, &body).await, "validation_failed");
    }
    let large = json!({ "content": "x".repeat(256 * 1024 + 1), "writeMode": "seed" });
    assert_refused(&put(&system, path, &large).await, "too_large");
}

#[tokio::test]
async fn a_file_that_would_lie_elsewhere_is_refused_and_nothing_is_stored() {
    let system = System::start().await;
    for path in
        ["../x", "/etc/x", "a/../../b", "..", ".", "", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb", "SKILL.md/x"]
    {
        let answer = put_skill(&system, "maps", &json!({ "content": "x", "files": { path: "x" } })).await;
        assert_refused(&answer, "validation_failed");
    }
    let both = json!({ "content": "x", "files": { "a": "a file", "a/b": "in a folder" } });
    assert_refused(&put_skill(&system, "maps", &both).await, "validation_failed");
    for (name, status) in [("Maps", 400), ("-maps", 400), ("a.b", 400), ("..%2Fx", 400), ("latest", 405)] {
        assert_eq!(put_skill(&system, name, &json!({ "content": "x" })).await.status, status, "{name}");
    }
    for body in [json!({}), json!({ "content": 1 }), json!({ "content": "x", "status": "gone" })] {
        assert_refused(&put_skill(&system, "maps", &body).await, "validation_failed");
    }
    assert_eq!(skills(&system).await["version"], 0);
}

#[tokio::test]
async fn a_skill_that_is_too_large_is_refused_and_nothing_is_stored() {
    let system = System::start().await;
    let files = |count: usize| (0..count).map(|file| (format!("f/{file}"), json!("x"))).collect::<Map<_, _>>();
    for count in [1000, 10_000] {
        let answer = put_skill(&system, "many", &json!({ "content": "x", "files": files(count) })).await;
        assert_refused(&answer, "validation_failed");
    }
    let answer = put_skill(&system, "large", &json!({ "content": "x".repeat(1024 * 1024) })).await;
    assert_refused(&answer, "too_large");
    // A control character takes six bytes as JSON.
    let answer = put_skill(&system, "large", &json!({ "content": "\u{1}".repeat(300 * 1024) })).await;
    assert_refused(&answer, "too_large");
    assert_eq!(skills(&system).await["version"], 0);
    assert_eq!(put_skill(&system, "many", &json!({ "content": "x", "files": files(999) })).await.status, 200);
}

#[tokio::test]
async fn four_mebibytes_of_active_skills_are_answered_and_no_more_are_taken() {
    let system = System::start().await;
    let content = |letter: u8| String::from_utf8(vec![letter; 1024 * 1024 - "SKILL.md".len()]).unwrap();
    for letter in b'a'..=b'd' {
        let stored =
            put_skill(&system, &format!("skill-{}", letter - b'a'), &json!({ "content": content(letter) })).await;
        assert_eq!(stored.status, 200, "{stored:?}");
    }
    let small = json!({ "content": "x" });
    assert_refused(&put_skill(&system, "one-more", &small).await, "library_limit_exceeded");
    let latest = skills(&system).await;
    assert_eq!((&latest["version"], latest["skills"].as_object().unwrap().len()), (&json!(4), 4));
    assert!(latest["skills"]["skill-2"]["SKILL.md"] == json!(content(b'c')));
    let inactive = json!({ "content": "x", "status": "inactive" });
    assert_eq!(put_skill(&system, "one-more", &inactive).await.status, 200);
}

#[tokio::test]
async fn readers_see_each_skill_whole_while_writers_replace_it() {
    let system = System::start().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let requests: Vec<_> = (0..4)
            .map(|round| {
                let text = format!("{writer}-{round}").repeat(50_000);
                let path = format!("/api/internal/skills/skill-{}", writer % 2);
                system.internal(Method::PUT, &path).json(&json!({ "content": text, "files": { "copy": text } }))
            })
            .collect();
        writers.spawn(async move {
            for request in requests {
                assert_eq!(send(request).await.status, 200);
            }
        });
    }
    let mut seen = Vec::new();
    while !writers.is_empty() {
        let latest = skills(&system).await;
        seen.push(latest["version"].as_u64().unwrap());
        for skill in latest["skills"].as_object().unwrap().values() {
            assert!(skill["SKILL.md"] == skill["copy"], "half of one and half of another");
        }
        while let Some(outcome) = writers.try_join_next() {
            outcome.expect("all were stored");
        }
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(skills(&system).await["version"], 32);
}
