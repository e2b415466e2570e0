//! Limits on the number and size of secrets, and concurrent writers.

use portcullis_tests::Answer;
use serde_json::{Map, Value, json};

use super::{assert_put, put, read, revision, system};

fn names(range: std::ops::Range<usize>, value: &str) -> Value {
    let named = range.map(|number| (format!("NAME_{number}"), json!(value)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn assert_says(answer: &Answer, code: &str, limit: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (400, json!(code)), "{answer:?}");
    let said = answer.json().to_string();
    assert!(said.contains(limit), "{said}");
}

#[tokio::test]
async fn a_call_takes_50_names_and_not_51() {
    let system = system().await;
    assert_says(&put(&system, "pool-1", names(0..51, "x")).await, "validation_failed", "50");
    assert_eq!(read(&system, "maps").await, json!({}));
    assert_put(&system, names(0..50, "x"), 50).await;
    assert_eq!(read(&system, "maps").await, names(0..50, "x"));
    assert_put(&system, json!({}), 0).await;
}

#[tokio::test]
async fn a_value_may_have_64_kib_and_not_a_byte_more() {
    let system = system().await;
    let longest = "x".repeat(64 * 1024);
    assert_put(&system, json!({ "KEY": longest }), 1).await;
    assert_eq!(read(&system, "maps").await, json!({ "KEY": longest }));
    for too_long in [format!("{longest}x"), "é".repeat(32 * 1024 + 1)] {
        let answer = put(&system, "pool-1", json!({ "OTHER": "x", "KEY": too_long })).await;
        assert_says(&answer, "validation_failed", "65536");
        assert!(answer.json()["fields"]["secrets.KEY"].is_string(), "{answer:?}");
    }
    assert_eq!(read(&system, "maps").await, json!({ "KEY": longest }));
    assert_put(&system, json!({ "KEY": "é".repeat(32 * 1024), "EMPTY": "", "NUL": "\0" }), 3).await;
    assert_eq!(read(&system, "maps").await["NUL"], "\0");
    assert_eq!(read(&system, "maps").await["EMPTY"], "");
}

#[tokio::test]
async fn a_scope_holds_1000_names_and_not_one_more() {
    let system = system().await;
    for start in (0..1000).step_by(50) {
        assert_put(&system, names(start..start + 50, "x"), 50).await;
    }
    let answer = put(&system, "pool-1", json!({ "ONE_MORE": "x", "NAME_0": "changed" })).await;
    assert_says(&answer, "scope_limit_exceeded", "1000");
    let held = read(&system, "maps").await;
    assert_eq!((held.as_object().unwrap().len(), &held["NAME_0"]), (1000, &json!("x")), "nothing of it was written");
    assert_put(&system, json!({ "NAME_0": "changed" }), 1).await;
    assert_put(&system, json!({ "ONE_MORE": { "value": "x", "scope": "skill:maps" } }), 1).await;
    assert_put(&system, json!({ "NAME_1": null, "ONE_MORE": "x" }), 2).await;
    assert_eq!(read(&system, "mail").await.as_object().unwrap().len(), 1000);
}

#[tokio::test]
async fn a_scope_holds_512_kib_and_not_a_byte_more() {
    let system = system().await;
    let large = "x".repeat(64 * 1024);
    assert_put(&system, names(0..8, &large), 8).await;
    assert_says(&put(&system, "pool-1", json!({ "MORE": "x" })).await, "scope_limit_exceeded", "524288");
    assert_eq!(read(&system, "maps").await, names(0..8, &large));
    assert_put(&system, json!({ "MORE": { "value": "x", "scope": "skill:maps" } }), 1).await;
    assert_put(&system, json!({ "NAME_0": &large[1..], "MORE": "x" }), 2).await;
    assert_says(&put(&system, "pool-1", json!({ "NAME_0": large })).await, "scope_limit_exceeded", "524288");
    assert_put(&system, json!({ "MORE": null, "NAME_0": large }), 2).await;
}

#[tokio::test]
async fn sixteen_writers_of_the_same_names_all_succeed_and_one_of_them_is_last() {
    let system = std::sync::Arc::new(system().await);
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let system = std::sync::Arc::clone(&system);
            tokio::spawn(async move { put(&system, "pool-1", names(0..20, &format!("of writer {writer}"))).await })
        })
        .collect();
    for writer in writers {
        let answer = writer.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true, "count": 20 })));
    }
    let held = read(&system, "maps").await;
    let winner = held["NAME_0"].as_str().unwrap();
    assert!(winner.starts_with("of writer "));
    assert_eq!(held, names(0..20, winner), "one writer's whole set");
    assert_eq!(revision(&system).await, 16);
}
