//! A person's own bots.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use portcullis_store::Table;
use portcullis_tests::{Person, System, seed, system::INDEX_LAG, system::send};
use reqwest::Method;
use serde_json::{Value, json};

use super::{active_pool, assert_refused, bot, create_bot, get, person};

async fn pool_of(person: &Person<'_>, bot: &str) -> Value {
    get(person, &format!("/bots/{bot}")).await.json()["poolId"].clone()
}

#[tokio::test]
async fn a_bot_is_made_changed_paused_resumed_and_deleted() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    let made = ada
        .v1(Method::POST, "/bots", json!({ "name": "Support Bot", "modelId": "a-model", "systemPrompt": "Be kind" }))
        .await;
    assert_eq!(made.status, 200, "{made:?}");
    let made = made.json();
    let path = format!("/bots/{}", made["id"].as_str().unwrap());
    assert_eq!(
        (&made["slug"], &made["poolId"], &made["status"]),
        (&json!("support-bot"), &json!("pool-1"), &json!("active"))
    );
    assert_eq!(get(&ada, &path).await.json(), made);
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/bots").await.json(), json!({ "bots": [made] }));

    let changed = ada.v1(Method::PATCH, &path, json!({ "name": "Other", "systemPrompt": null })).await.json();
    assert_eq!(
        (&changed["name"], &changed["slug"], &changed["systemPrompt"]),
        (&json!("Other"), &json!("support-bot"), &Value::Null)
    );
    let store = system.store();
    let revision = async || store.get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap().revision;
    let before = revision().await;
    assert_eq!(ada.v1(Method::POST, &format!("{path}/pause"), Value::Null).await.json()["status"], "paused");
    assert_eq!(ada.v1(Method::POST, &format!("{path}/resume"), Value::Null).await.json()["status"], "active");
    assert_eq!(revision().await, before + 2, "each change raises the pool's revision");
    assert_eq!(ada.v1(Method::DELETE, &path, Value::Null).await.json(), json!({ "success": true }));
    assert_refused(&get(&ada, &path).await, 404, "Bot not found");
    assert_refused(&ada.v1(Method::DELETE, &path, Value::Null).await, 404, "Bot not found");
    assert_refused(&ada.v1(Method::PATCH, &path, json!({ "name": "x" })).await, 404, "Bot not found");
    // A slug is free again once its bot is deleted.
    assert_eq!(create_bot(&ada, "Support Bot").await.status, 200);
}

#[tokio::test]
async fn another_persons_bot_is_not_there() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let id = bot(&ada, "One").await;
    let path = format!("/bots/{id}");
    for (method, path, body) in [
        (Method::GET, path.clone(), Value::Null),
        (Method::PATCH, path.clone(), json!({ "name": "Mine" })),
        (Method::DELETE, path.clone(), Value::Null),
        (Method::POST, format!("{path}/pause"), Value::Null),
        (Method::POST, format!("{path}/resume"), Value::Null),
        (Method::GET, format!("/sessions?botId={id}"), Value::Null),
        (Method::GET, format!("/artifacts?botId={id}"), Value::Null),
    ] {
        assert_refused(&eve.v1(method, &path, body).await, 404, "Bot not found");
    }
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&eve, "/bots").await.json(), json!({ "bots": [] }));
    assert_eq!(get(&ada, &path).await.json()["name"], "One");
    // The operator can give a bot to another person, who owns it from then on.
    let given = json!({ "name": "One", "poolId": "pool-1", "ownerId": eve.id().await });
    let moved = send(system.internal(Method::PUT, &format!("/api/internal/bots/{id}")).json(&given)).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!((get(&ada, &path).await.status.as_u16(), get(&eve, &path).await.status.as_u16()), (404, 200));
}

#[tokio::test]
async fn a_new_bot_goes_to_the_active_pool_with_the_fewest_bots() {
    let system = System::start().await;
    let ada = person(&system, "ada@example.com").await;
    let none = "No pool of machines has room for a further bot now; try again later";
    assert_refused(&create_bot(&ada, "One").await, 503, none);
    for id in ["pool-1", "pool-2", "draining", "silent"] {
        active_pool(&system, id).await;
    }
    seed::set(&system, Table::Pools, "draining", "status", "draining").await;
    seed::set(&system, Table::Pools, "silent", "lastSeenAt", "2026-01-01T00:00:00.000Z").await;
    let mut pools = Vec::new();
    for number in 0..4 {
        let id = bot(&ada, &format!("Bot {number}")).await;
        pools.push(pool_of(&ada, &id).await);
    }
    assert_eq!(pools, ["pool-1", "pool-2", "pool-1", "pool-2"]);
    system.clock.advance(std::time::Duration::from_secs(61));
    assert_refused(&create_bot(&ada, "Late").await, 503, none);
    // A named pool is used whatever its status, and an unknown one is not created.
    let named = json!({ "name": "Named", "modelId": "a-model", "poolId": "silent" });
    assert_eq!(ada.v1(Method::POST, "/bots", named).await.json()["poolId"], "silent");
    let unknown = json!({ "name": "Lost", "modelId": "a-model", "poolId": "nowhere" });
    assert_refused(&ada.v1(Method::POST, "/bots", unknown).await, 400, "Pool not found");
}

#[tokio::test]
async fn a_pool_has_fifty_bots_however_many_are_made_at_once() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let pool = "pool-1".parse().unwrap();
    for number in 0..47 {
        seed::bot(&system, &format!("bot-{number}"), &pool).await;
    }
    let ada = person(&system, "ada@example.com").await;
    let names: Vec<_> = (0..8).map(|number| format!("Racer {number}")).collect();
    let answers = join_all(names.iter().map(|name| create_bot(&ada, name))).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    assert_eq!((made, refused), (3, 5), "{answers:?}");
    assert_eq!(system.store().get_pool(&pool).await.unwrap().unwrap().bots.len(), 50);
}

#[tokio::test]
async fn a_person_has_fifty_bots_at_the_most() {
    let system = System::start().await;
    for id in ["pool-1", "pool-2"] {
        active_pool(&system, id).await;
    }
    let ada = person(&system, "ada@example.com").await;
    let mut last = String::new();
    for number in 0..50 {
        last = bot(&ada, &format!("Bot {number}")).await;
    }
    assert_refused(&create_bot(&ada, "One more").await, 409, "You have the limit of 50 bots");
    assert_eq!(ada.v1(Method::DELETE, &format!("/bots/{last}"), Value::Null).await.status, 200);
    assert_eq!(create_bot(&ada, "One more").await.status, 200);
}

#[tokio::test]
async fn one_of_the_bots_that_race_for_a_slug_gets_it() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let (ada, bob) = (person(&system, "ada@example.com").await, person(&system, "bob@example.com").await);
    let answers = join_all((0..6).map(|_| create_bot(&ada, "Same"))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([200, 409]));
    // Slugs are unique per person only.
    assert_eq!(create_bot(&bob, "Same").await.status, 200);
    let other = bot(&ada, "Other").await;
    let taken = ada.v1(Method::PATCH, &format!("/bots/{other}"), json!({ "slug": "same" })).await;
    assert_refused(&taken, 409, "The slug is another bot's of yours");
}

#[tokio::test]
async fn a_malformed_bot_is_refused_by_its_field() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    let with = |field: &str, value: Value| {
        let mut body = json!({ "name": "A bot", "modelId": "a-model" });
        body[field] = value;
        body
    };
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(256))),
        ("name", json!("a\u{0}b")),
        ("slug", json!("A Slug")),
        ("slug", json!("s".repeat(101))),
        ("modelId", json!("a model")),
        ("systemPrompt", json!("x".repeat(32 * 1024 + 1))),
        ("poolId", json!("p".repeat(129))),
        ("name", json!(["a"])),
    ] {
        let answer = ada.v1(Method::POST, "/bots", with(field, value)).await;
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
        assert!(answer.json()["fields"][field].is_string(), "{field}: {answer:?}");
    }
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/bots").await.json(), json!({ "bots": [] }), "nothing was made");
}
