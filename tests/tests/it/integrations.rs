//! People's accounts at third parties: connected only by their owner, used by the owner's bots within the operator's
//! policy, with credentials that no skill gets.

mod connecting;
mod executing;
mod faults;
mod links;
mod operator;

use portcullis_auth::Clock;
use portcullis_store::Table;
use portcullis_tests::{Answer, Person, ScriptedComposio, Settings, System, seed, send};
use reqwest::{Method, Url};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

async fn started() -> (System, ScriptedComposio) {
    let composio = ScriptedComposio::start().await;
    let settings = Settings::random().with("COMPOSIO_API_URL", &composio.url());
    let system = System::start_with(settings.with("COMPOSIO_API_KEY", composio.key())).await;
    seed::pool(&system, "pool-1", None).await;
    let now = format!("{:.3}", system.clock.now());
    seed::set(&system, Table::Pools, "pool-1", "lastSeenAt", &now).await;
    (system, composio)
}

async fn person<'a>(system: &'a System, email: &str) -> Person<'a> {
    Person::new(system, email).registered(PASSWORD).await
}

/// Creates a bot of this person and returns its id.
async fn bot(person: &Person<'_>) -> String {
    let made = person.v1(Method::POST, "/bots", json!({ "name": "One", "modelId": "a-model" })).await;
    assert_eq!(made.status, 200, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

/// The person's integration with a toolkit, from the list.
async fn integration(person: &Person<'_>, slug: &str) -> Value {
    let list = person.v1(Method::GET, "/integrations", Value::Null).await.json();
    let all = list["integrations"].as_array().unwrap_or_else(|| panic!("{list}"));
    let found = all.iter().find(|one| one["toolkit"]["slug"] == slug);
    found.cloned().unwrap_or(Value::Null)
}

/// A connection that a person has started.
struct Begun {
    id: String,
    url: Url,
    state: String,
    cookie: String,
}

async fn begin(person: &Person<'_>, slug: &str) -> Begun {
    let answer = person.v1(Method::POST, "/integrations/connect", json!({ "toolkitSlug": slug })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["integration"]["status"], "initiated");
    Begun {
        id: json["integration"]["id"].as_str().unwrap().to_owned(),
        url: json["connectUrl"].as_str().unwrap().parse().unwrap(),
        state: json["state"].as_str().unwrap().to_owned(),
        cookie: answer.header("set-cookie").split(';').next().unwrap().to_owned(),
    }
}

/// Consents or refuses at Composio's page and returns the URL that the browser is redirected to.
async fn decide(url: &Url, decision: &str) -> Url {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = client.post(url.clone()).body(format!("decision={decision}")).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

/// Refreshes a connection's status, with this cookie.
async fn refresh(person: &Person<'_>, id: &str, cookie: &str, body: Value) -> Answer {
    let cookies = format!("{}; {cookie}", person.cookie());
    let request = person.request(Method::POST, &format!("/v1/integrations/{id}/refresh"));
    send(request.header("cookie", cookies).json(&body)).await
}

/// Connects a toolkit as a person does.
async fn connect(person: &Person<'_>, slug: &str) -> String {
    let begun = begin(person, slug).await;
    decide(&begun.url, "allow").await;
    let answer = refresh(person, &begun.id, &begun.cookie, json!({})).await;
    assert_eq!(answer.json()["status"], "active", "{answer:?}");
    begun.id
}

/// Executes an action for a bot, as a skill of its pool.
async fn execute(system: &System, bot: &str, action: &str) -> Answer {
    let body = json!({ "botId": bot, "action": action, "params": { "to": "eve@example.com" } });
    send(system.skill(Method::POST, "/api/internal/composio/execute").json(&body)).await
}
