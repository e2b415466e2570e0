//! "Add to Slack": the install of the platform's own app.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use portcullis_auth::Clock;
use portcullis_tests::{
    Answer, Person, StandInSlack, System, slack,
    slack_api::{Exchange, Installed},
    system::{INDEX_LAG, Settings, random_hex, send},
};
use reqwest::{Method, Url};
use serde_json::json;

use super::{active_pool, assert_refused, bot, get, person};

const CALLBACK: &str = "/api/oauth/slack/callback";

pub(super) async fn started() -> (System, StandInSlack) {
    let stand_in = StandInSlack::start().await;
    let settings = Settings::random().with("SLACK_API_URL", &stand_in.url()).with("SLACK_CLIENT_ID", "1.2");
    let system = System::start_with(settings.with("SLACK_CLIENT_SECRET", &stand_in.client_secret())).await;
    active_pool(&system, "pool-1").await;
    (system, stand_in)
}

/// An install that a person has started: the URL of the consent page and the browser's cookie.
pub(super) struct Begun {
    consent: Url,
    pub(super) cookie: String,
}

impl Begun {
    pub(super) fn parameter(&self, name: &str) -> String {
        let found = self.consent.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

pub(super) async fn begin(person: &Person<'_>, query: &str) -> Begun {
    let answer = get(person, &format!("/channels/slack/oauth-url{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(answer.header("set-cookie").contains("HttpOnly; SameSite=Lax; Max-Age=600"), "{answer:?}");
    Begun { consent: answer.json()["url"].as_str().unwrap().parse().unwrap(), cookie }
}

/// Path of the callback with these parameters.
fn callback(query: &[(&str, &str)]) -> String {
    format!("{CALLBACK}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish())
}

/// Calls the callback, as Slack's redirect does.
pub(super) async fn come_back(system: &System, person: &Person<'_>, cookie: &str, query: &[(&str, &str)]) -> Answer {
    let cookies = format!("{}; {cookie}", person.cookie());
    send(system.request(Method::GET, &callback(query)).header("cookie", cookies)).await
}

/// Parameters of the page that shows the outcome.
pub(super) fn outcome(system: &System, answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 302, "{answer:?}");
    let url: Url = answer.header("location").parse().unwrap();
    let page = format!("{}/workspace/channels/slack/callback", system.stack.base_url());
    assert!(url.as_str().starts_with(&format!("{page}?")), "{url}");
    url.query_pairs().into_owned().collect()
}

fn error(system: &System, answer: &Answer) -> String {
    outcome(system, answer).remove("error").unwrap_or_default()
}

#[tokio::test]
async fn a_person_installs_the_app_and_its_events_reach_the_bots_pool() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let id = bot(&ada, "One").await;
    let begun = begin(&ada, "?returnTo=/bots?x=1").await;
    assert_eq!(begun.consent.path(), "/oauth/v2/authorize");
    assert_eq!(begun.parameter("client_id"), "1.2");
    assert_eq!(begun.parameter("redirect_uri"), format!("{}{CALLBACK}", system.stack.base_url()));
    let manifest = include_str!("../../../../infra/slack-app.yaml");
    let scopes = begun.parameter("scope");
    assert_eq!(scopes.split(',').count(), 17);
    for scope in scopes.split(',') {
        assert!(manifest.contains(&format!("      - {scope}\n")), "{scope}");
    }
    stand_in.exchange("code-1", Exchange::Good(Installed::new("xoxb-installed", "T0ONE", "A0PLATFORM")));
    let state = begun.parameter("state");
    let answer = come_back(&system, &ada, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await;
    let outcome = outcome(&system, &answer);
    assert_eq!((outcome["success"].as_str(), outcome["returnTo"].as_str()), ("true", "/bots?x=1"));
    assert_eq!(outcome["teamName"], "A team");
    assert!(!answer.header("location").contains("xoxb"), "{answer:?}");
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let channel = get(&ada, "/channels").await.json()["channels"][0].clone();
    assert_eq!(channel["id"], outcome["channelId"].as_str());
    assert_eq!((&channel["botId"], &channel["accountId"]), (&json!(id), &json!("slack-A0PLATFORM-T0ONE")));
    // Events are verified with the platform's signing secret, and the pool gets the bot token.
    let secret = &system.settings.slack_signing_secret;
    let event = slack::message("T0ONE", "A0PLATFORM", "C0ONE", 1).to_string();
    let signed = slack::signed(&system, "/api/slack/events", secret, event, system.clock.now());
    let sent = send(signed).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await;
    assert!(String::from_utf8_lossy(&latest.body).contains("xoxb-installed"));
}

#[tokio::test]
async fn one_of_any_number_of_callbacks_goes_on() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let begun = begin(&ada, "").await;
    let state = begun.parameter("state");
    stand_in.exchange("code-1", Exchange::Good(Installed::new("xoxb-installed", "T0ONE", "A0PLATFORM")));
    let query = [("code", "code-1"), ("state", state.as_str())];
    let answers = join_all((0..8).map(|_| come_back(&system, &ada, &begun.cookie, &query))).await;
    let errors: Vec<_> = answers.iter().map(|answer| error(&system, answer)).collect();
    assert_eq!(errors.iter().filter(|error| error.is_empty()).count(), 1, "{errors:?}");
    assert!(errors.iter().all(|error| error.is_empty() || error == "invalid_state"), "{errors:?}");
    assert_eq!(stand_in.calls("oauth.v2.access"), 1);
    assert_eq!(error(&system, &come_back(&system, &ada, &begun.cookie, &query).await), "invalid_state");
}

#[tokio::test]
async fn a_state_counts_in_the_browser_and_for_the_person_that_began_alone() {
    let (system, stand_in) = started().await;
    let (ada, eve) = (person(&system, "ada@example.com").await, person(&system, "eve@example.com").await);
    bot(&ada, "One").await;
    bot(&eve, "One").await;
    stand_in.exchange("code-1", Exchange::Good(Installed::new("xoxb-installed", "T0ONE", "A0PLATFORM")));
    let (of_ada, of_eve) = (begin(&ada, "").await, begin(&eve, "").await);
    let state = of_ada.parameter("state");
    let query = [("code", "code-1"), ("state", state.as_str())];
    // Eve's state in Ada's browser, Ada's state in Eve's, no cookie, two cookies, another state, no state.
    for (who, cookie) in [
        (&eve, of_eve.cookie.clone()),
        (&ada, of_eve.cookie.clone()),
        (&ada, "x=1".to_owned()),
        (&ada, format!("{}; {}", of_ada.cookie, of_eve.cookie)),
        (&ada, format!("portcullis-install={}", random_hex(32))),
    ] {
        assert_eq!(error(&system, &come_back(&system, who, &cookie, &query).await), "invalid_state", "{cookie}");
    }
    for query in [
        vec![],
        vec![("code", "code-1")],
        vec![("code", "code-1"), ("state", "s")],
        vec![("state", "s"), ("state", "t")],
    ] {
        assert_eq!(error(&system, &come_back(&system, &ada, &of_ada.cookie, &query).await), "invalid_state");
    }
    // Nobody or somebody else is signed in by now: the attempt uses the state up.
    let stolen = send(system.request(Method::GET, &callback(&query)).header("cookie", &of_ada.cookie)).await;
    assert_eq!(error(&system, &stolen), "invalid_state");
    let again = begin(&ada, "").await;
    let state = again.parameter("state");
    let query = [("code", "code-1"), ("state", state.as_str())];
    assert_eq!(error(&system, &come_back(&system, &eve, &again.cookie, &query).await), "invalid_state");
    assert_eq!(stand_in.calls("oauth.v2.access"), 0, "no code was exchanged");
}

#[tokio::test]
async fn two_tabs_of_one_browser_do_not_end_each_others_installs() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let first = begin(&ada, "").await;
    let cookies = format!("{}; {}", ada.cookie(), first.cookie);
    let second = send(system.request(Method::GET, "/v1/channels/slack/oauth-url").header("cookie", cookies)).await;
    assert!(second.header("set-cookie").starts_with(&first.cookie), "{second:?}");
    stand_in.exchange("code-1", Exchange::Good(Installed::new("xoxb-installed", "T0ONE", "A0PLATFORM")));
    let state = first.parameter("state");
    let answer = come_back(&system, &ada, &first.cookie, &[("code", "code-1"), ("state", &state)]).await;
    assert_eq!(error(&system, &answer), "");
}

#[tokio::test]
async fn an_install_that_takes_longer_than_ten_minutes_is_refused() {
    let (system, _stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let begun = begin(&ada, "").await;
    system.clock.advance(std::time::Duration::from_mins(10));
    let state = begun.parameter("state");
    let answer = come_back(&system, &ada, &begun.cookie, &[("code", "c"), ("state", &state)]).await;
    assert_eq!(error(&system, &answer), "expired_state");
}

#[tokio::test]
async fn the_person_sees_a_page_after_any_answer_of_slack() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let first = bot(&ada, "One").await;
    let fails = async |exchange: Exchange| {
        stand_in.exchange("code-1", exchange);
        let begun = begin(&ada, "").await;
        let state = begun.parameter("state");
        error(&system, &come_back(&system, &ada, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await)
    };
    assert_eq!(fails(Exchange::Error("invalid_code")).await, "invalid_code");
    assert_eq!(fails(Exchange::Error("<script>")).await, "slack_unavailable");
    assert_eq!(fails(Exchange::Status(500)).await, "slack_unavailable");
    assert_eq!(fails(Exchange::Status(429)).await, "slack_unavailable");
    assert_eq!(fails(Exchange::Text("not JSON")).await, "slack_unavailable");
    assert_eq!(fails(Exchange::Text(r#"{"ok":true}"#)).await, "slack_unavailable");
    let of_a_person = Installed { token_type: "user", ..Installed::new("xoxp-1", "T0ONE", "A0PLATFORM") };
    assert_eq!(fails(Exchange::Good(of_a_person)).await, "not_a_bot_token");
    // The person declined.
    let begun = begin(&ada, "").await;
    let state = begun.parameter("state");
    let declined = come_back(&system, &ada, &begun.cookie, &[("error", "access_denied"), ("state", &state)]).await;
    assert_eq!(error(&system, &declined), "access_denied");
    let begun = begin(&ada, "").await;
    let state = begun.parameter("state");
    let odd = come_back(&system, &ada, &begun.cookie, &[("error", "<b>x</b>"), ("state", &state)]).await;
    assert_eq!(error(&system, &odd), "slack_error");
    // The bot is deleted.
    let begun = begin(&ada, "").await;
    assert_eq!(ada.v1(Method::DELETE, &format!("/bots/{first}"), serde_json::Value::Null).await.status, 200);
    stand_in.exchange("code-1", Exchange::Good(Installed::new("xoxb-1", "T0ONE", "A0PLATFORM")));
    let state = begun.parameter("state");
    let gone = come_back(&system, &ada, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await;
    assert_eq!(error(&system, &gone), "no_bot");
}

#[tokio::test]
async fn an_org_wide_install_is_the_enterprises() {
    let (system, stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let begun = begin(&ada, "").await;
    let org = Installed { enterprise: Some("E0ORG"), ..Installed::new("xoxb-1", "T0ONE", "A0PLATFORM") };
    stand_in.exchange("code-1", Exchange::Good(org));
    let state = begun.parameter("state");
    let answer = come_back(&system, &ada, &begun.cookie, &[("code", "code-1"), ("state", &state)]).await;
    assert_eq!(error(&system, &answer), "");
    system.clock.advance(INDEX_LAG.unsigned_abs());
    assert_eq!(get(&ada, "/channels").await.json()["channels"][0]["accountId"], "slack-A0PLATFORM-E0ORG");
}

#[tokio::test]
async fn a_person_returns_to_the_front_end_alone_and_needs_a_bot() {
    let (system, _stand_in) = started().await;
    let ada = person(&system, "ada@example.com").await;
    let none = get(&ada, "/channels/slack/oauth-url").await;
    assert_refused(&none, 409, "Make a bot first; the channel is for it");
    bot(&ada, "One").await;
    for bad in ["//evil.test", "/%5Cevil.test", "javascript:alert(1)", "https://evil.test", "/%09/evil.test", "evil"] {
        let answer = get(&ada, &format!("/channels/slack/oauth-url?returnTo={bad}")).await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
        assert!(answer.json()["fields"]["returnTo"].is_string(), "{bad}: {answer:?}");
    }
    assert_eq!(get(&ada, "/channels/slack/oauth-url?botId=bot-x").await.status, 404);
}

#[tokio::test]
async fn a_server_without_a_slack_app_says_so() {
    let system = System::start().await;
    active_pool(&system, "pool-1").await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let answer = get(&ada, "/channels/slack/oauth-url").await;
    assert_refused(&answer, 503, "This server has no Slack app to add; connect one by hand");
}
