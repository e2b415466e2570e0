//! A skill reads what is its own and what is the whole pool's, and nothing else.

use portcullis_tests::{System, seed, system::send};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_skill_reads_its_own_secrets_and_the_pools_and_no_other_skills() {
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let secrets = json!({ "secrets": {
        "SHARED_KEY": "shared",
        "MAPS_KEY": { "value": "maps", "scope": "skill:maps" },
        "MAIL_KEY": { "value": "mail", "scope": "skill:mail" },
    }});
    let answer = send(system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets").json(&secrets)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true, "count": 3 })));

    let read = |skill: &str| system.skill(Method::GET, &format!("/api/internal/secrets/{skill}?poolId=pool-1"));
    assert_eq!(send(read("maps")).await.json(), json!({ "SHARED_KEY": "shared", "MAPS_KEY": "maps" }));
    assert_eq!(send(read("mail")).await.json(), json!({ "SHARED_KEY": "shared", "MAIL_KEY": "mail" }));
    assert_eq!(send(read("other")).await.json(), json!({ "SHARED_KEY": "shared" }));
}
