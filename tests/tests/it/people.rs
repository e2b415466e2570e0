//! A signed-in person's bots, channels, conversations and artifacts, which nobody else can reach.

mod bots;
mod channels;
mod dev_slack;
mod install;
mod lists;
mod members;
mod profile;
mod token_rotation;

use portcullis_auth::Clock;
use portcullis_store::Table;
use portcullis_tests::{Answer, Person, System, seed};
use reqwest::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

async fn person<'a>(system: &'a System, email: &str) -> Person<'a> {
    Person::new(system, email).registered(PASSWORD).await
}

/// Creates an active pool with a heartbeat of now.
async fn active_pool(system: &System, id: &str) {
    seed::pool(system, id, None).await;
    let now = format!("{:.3}", system.clock.now());
    seed::set(system, Table::Pools, id, "lastSeenAt", &now).await;
}

async fn create_bot(person: &Person<'_>, name: &str) -> Answer {
    person.v1(Method::POST, "/bots", json!({ "name": name, "modelId": "a-model" })).await
}

/// Creates a bot of this person and returns its id.
async fn bot(person: &Person<'_>, name: &str) -> String {
    let made = create_bot(person, name).await;
    assert_eq!(made.status, 200, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn get(person: &Person<'_>, path: &str) -> Answer {
    person.v1(Method::GET, path, Value::Null).await
}

fn assert_refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (status, message), "{answer:?}");
}
