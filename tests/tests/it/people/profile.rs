//! A person's profile, and the deletion of an account with everything that belongs to it.

use portcullis_tests::{
    StandInLiteLlm, System,
    lite_llm::Mood,
    seed,
    system::{INDEX_LAG, Settings, send},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, active_pool, assert_refused, bot, create_bot, get, person};

#[tokio::test]
async fn a_profile_is_read_and_changed() {
    let system = System::start().await;
    let ada = person(&system, "ada@example.com").await;
    let profile = get(&ada, "/me").await.json();
    let expected = json!({
        "id": ada.id().await, "email": "ada@example.com", "name": "Ada", "image": null, "plan": "free",
        "inviteAccepted": true, "onboardingCompleted": false, "authSource": "email",
    });
    assert_eq!(profile, expected);
    let image = "https://example.com/ada.png";
    let changed = ada.v1(Method::PATCH, "/me", json!({ "name": "Ada Lovelace", "image": image })).await.json();
    assert_eq!((&changed["ok"], &changed["profile"]["name"]), (&json!(true), &json!("Ada Lovelace")));
    let kept = ada.v1(Method::PATCH, "/me", json!({})).await.json();
    assert_eq!(kept["profile"]["image"], image);
    let removed = ada.v1(Method::PATCH, "/me", json!({ "image": null })).await.json();
    assert_eq!(removed["profile"]["image"], Value::Null);
    for wrong in
        [json!({ "name": "x".repeat(81) }), json!({ "image": "http://example.com/a.png" }), json!({ "name": 1 })]
    {
        assert_eq!(ada.v1(Method::PATCH, "/me", wrong).await.status, 400);
    }
    // The same under the older prefix `/api/v1`, and under no other.
    let old = send(ada.request(Method::GET, "/api/v1/me")).await.json();
    assert_eq!(old["name"], "Ada Lovelace");
    assert_eq!(send(ada.request(Method::GET, "/api/v2/me")).await.status, 404);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let system = System::start().await;
    let ada = person(&system, "ada@example.com").await;
    let request = || system.request(Method::PATCH, "/v1/me").header("cookie", ada.cookie());
    let origins =
        ["null", "https://evil.test", "http://127.0.0.1.evil.test", "http://127.0.0.1:1", "https://127.0.0.1"];
    for origin in origins {
        let answer = send(request().header("origin", origin).json(&json!({ "name": "Eve" }))).await;
        assert_eq!(answer.status, 403, "{origin}: {answer:?}");
    }
    assert_eq!(send(request().json(&json!({ "name": "Eve" }))).await.status, 403);
    let form = request().header("content-type", "text/plain").body(r#"{"name":"Eve"}"#);
    assert_eq!(send(form).await.status, 403);
    assert_eq!(get(&ada, "/me").await.json()["name"], "Ada");
}

#[tokio::test]
async fn an_account_that_is_deleted_takes_its_bots_and_channels_with_it() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let (ada, bob) = (person(&system, "ada@example.com").await, person(&system, "bob@example.com").await);
    let bots = [bot(&ada, "One").await, bot(&ada, "Two").await];
    let of_bob = bot(&bob, "One").await;
    let pool = "pool-1".parse().unwrap();
    let id = bots[0].parse().unwrap();
    let connected = seed::channel(&system, "channel-1", &id, &pool, "T0ONE", "A0ONE").await;
    let deleted = ada.post("delete-user", &json!({ "password": PASSWORD })).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    for id in &bots {
        let left = send(system.internal(Method::GET, &format!("/api/internal/bots/{id}"))).await;
        assert_eq!(left.status, 404, "{left:?}");
    }
    let left = send(system.internal(Method::GET, "/api/internal/channels/channel-1")).await;
    assert_eq!(left.status, 404, "{left:?}");
    let store = system.store();
    assert!(store.slack_route(&"T0ONE".parse().unwrap(), &"A0ONE".parse().unwrap()).await.unwrap().is_none());
    let credential = portcullis_store::CredentialId {
        channel: connected.channel.clone(),
        kind: portcullis_store::CredentialKind::BotToken,
    };
    assert!(store.credentials(&[credential]).await.unwrap().remove(0).is_none());
    // The account's sessions end; another person's bot is untouched.
    assert_eq!(get(&ada, "/me").await.status, 401);
    assert_eq!(get(&bob, &format!("/bots/{of_bob}")).await.status, 200);
    let pool = store.get_pool(&"pool-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(pool.bots.len(), 1);
}

#[tokio::test]
async fn an_account_that_is_being_deleted_gets_no_further_bot() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    // The first step of a deletion whose remaining steps failed.
    system.store().close_owner(&ada.id().await.parse().unwrap()).await.unwrap();
    assert_refused(&create_bot(&ada, "Late").await, 409, "The account is being deleted");
    assert_eq!(ada.post("delete-user", &json!({ "password": PASSWORD })).await.status, 200);
}

#[tokio::test]
async fn models_are_those_of_lite_llm_and_kept_for_five_minutes() {
    let lite_llm = StandInLiteLlm::start().await;
    let settings = Settings::random().with("LITELLM_BASE_URL", &lite_llm.url());
    let system = System::start_with(settings.with("LITELLM_MASTER_KEY", &lite_llm.master_key())).await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    lite_llm.be(Mood::Failing);
    assert_refused(&get(&ada, "/models").await, 502, "The models cannot be listed now; try again");
    lite_llm.be(Mood::Well);
    // A short negative cache: after a failure, requests do not wait for LiteLLM again at once.
    assert_eq!(get(&ada, "/models").await.status, 502);
    assert_eq!(lite_llm.listed(), 1);
    system.clock.advance(std::time::Duration::from_secs(10));
    let models = get(&ada, "/models").await.json();
    let expected = json!([
        { "id": "anthropic/claude-sonnet-4.5", "name": "claude-sonnet-4.5", "provider": "anthropic", "isDefault": true },
        { "id": "gpt-5", "name": "gpt-5", "provider": "litellm" },
    ]);
    assert_eq!(models["models"], expected);
    let asked = lite_llm.listed();
    assert_eq!(get(&ada, "/models").await.status, 200);
    let made = ada.v1(Method::POST, "/bots", json!({ "name": "A bot" })).await.json();
    assert_eq!(made["modelId"], "anthropic/claude-sonnet-4.5");
    assert_eq!(lite_llm.listed(), asked, "the list is kept");
    // While LiteLLM fails, the last list is served.
    system.clock.advance(std::time::Duration::from_mins(6));
    lite_llm.be(Mood::Failing);
    assert_eq!(get(&ada, "/models").await.json()["models"], expected);
    assert_eq!(lite_llm.listed(), asked + 1);
}

#[tokio::test]
async fn without_lite_llm_there_is_no_model_and_a_bot_needs_one() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    assert_eq!(get(&ada, "/models").await.json(), json!({ "models": [] }));
    let refused = ada.v1(Method::POST, "/bots", json!({ "name": "A bot" })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["fields"]["modelId"].is_string(), "{refused:?}");
}

#[tokio::test]
async fn the_onboarding_is_complete_once_a_bot_has_a_channel() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada, "One").await.parse().unwrap();
    seed::channel(&system, "channel-1", &id, &"pool-1".parse().unwrap(), "T0ONE", "A0ONE").await;
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/me").await.json()["onboardingCompleted"], true);
}
