//! Links that an agent sends in a chat: valid only for their owner.

use portcullis_store::{CONNECT_LINK_LIFETIME, MAXIMUM_CONNECT_LINKS};
use portcullis_tests::{Answer, Person, System, send};
use reqwest::{Method, Url};
use serde_json::json;

use super::{bot, decide, execute, integration, person, refresh, started};

/// Path of the link that a skill gets for a bot whose owner has not connected Gmail.
async fn link(system: &System, bot: &str) -> String {
    let refused = execute(system, bot, "GMAIL_SEND_EMAIL").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "not_connected".to_owned()), "{refused:?}");
    let json = refused.json();
    let url: Url = json["connectUrl"].as_str().unwrap().parse().unwrap();
    assert!(url.as_str().starts_with(&system.stack.base_url()), "{url}");
    for platform in ["slack", "discord", "feishu"] {
        assert!(json["authCard"][platform].as_str().unwrap().contains(url.as_str()), "{json}");
    }
    url.path().to_owned()
}

async fn open(system: &System, path: &str, person: Option<&Person<'_>>) -> Answer {
    let request = system.request(Method::GET, path);
    let request = match person {
        Some(person) => request.header("cookie", person.cookie()),
        None => request,
    };
    let answer = send(request).await;
    assert_eq!(answer.status, 302, "{answer:?}");
    answer
}

fn error(answer: &Answer) -> String {
    let url: Url = answer.header("location").parse().unwrap();
    assert_eq!(url.path(), "/workspace/integrations/callback");
    assert_eq!(answer.header("set-cookie"), "", "nobody is bound who is sent away");
    url.query_pairs().find(|(name, _)| name == "error").unwrap().1.into_owned()
}

#[tokio::test]
async fn a_link_leads_its_owner_to_the_consent_and_nobody_else() {
    let (system, composio) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    let id = bot(&ada).await;
    let path = link(&system, &id).await;
    assert_eq!(error(&open(&system, &path, None).await), "sign_in_required");
    assert_eq!(error(&open(&system, &path, Some(&eve)).await), "invalid_link");
    assert_eq!(composio.calls(&Method::POST, "tool_router"), 0, "nothing was begun");
    assert_eq!(integration(&ada, "gmail").await["status"], "pending");
    assert_eq!(integration(&eve, "gmail").await["id"], json!(null));

    let opened = open(&system, &path, Some(&ada)).await;
    let consent: Url = opened.header("location").parse().unwrap();
    assert!(consent.path().starts_with("/dev/composio/link/"), "{consent}");
    let cookie = opened.header("set-cookie").split(';').next().unwrap().to_owned();
    let begun = integration(&ada, "gmail").await;
    assert_eq!((&begun["status"], &begun["source"]), (&json!("initiated"), &json!("chat")));
    decide(&consent, "allow").await;
    let connected = refresh(&ada, begun["id"].as_str().unwrap(), &cookie, json!({})).await;
    assert_eq!(connected.json()["status"], "active", "{connected:?}");
    assert_eq!(execute(&system, &id, "GMAIL_SEND_EMAIL").await.status, 200);
    // A used link is invalid.
    assert_eq!(error(&open(&system, &path, Some(&ada)).await), "invalid_link");
}

#[tokio::test]
async fn a_link_ends_after_a_day_and_so_many_count_at_once() {
    let (system, _composio) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada).await;
    let mut links = Vec::new();
    for _ in 0..MAXIMUM_CONNECT_LINKS {
        links.push(link(&system, &id).await);
    }
    // New links do not invalidate the one that the person is about to open.
    for one in [&links[0], &links[MAXIMUM_CONNECT_LINKS - 1]] {
        assert!(open(&system, one, Some(&ada)).await.header("location").contains("/dev/composio/link/"));
    }
    let last = link(&system, &id).await;
    assert_eq!(error(&open(&system, &links[0], Some(&ada)).await), "invalid_link");
    assert!(open(&system, &last, Some(&ada)).await.header("location").contains("/dev/composio/link/"));
    system.clock.advance(CONNECT_LINK_LIFETIME);
    assert_eq!(error(&open(&system, &last, Some(&ada)).await), "invalid_link");
    for bad in ["/v1/integrations/connect/x", "/v1/integrations/connect/%00"] {
        let answer = send(system.request(Method::GET, bad).header("cookie", ada.cookie())).await;
        assert_eq!(answer.status, 302, "{bad}: {answer:?}");
    }
}
