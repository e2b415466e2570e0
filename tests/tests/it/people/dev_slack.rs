//! The fake Slack of `cargo local --demo`: a person installs the app in it and writes to the bot.

use std::time::Duration;

use portcullis_store::Table;
use portcullis_tests::{
    Person, StandInPool, System, seed,
    system::{Settings, random_hex, send},
};
use reqwest::{Method, Url};
use serde_json::Value;

use super::{bot, get, person};

async fn started() -> (System, StandInPool) {
    let mut settings = Settings::random().with("DEMO_SLACK_CLIENT_SECRET", &random_hex(16));
    settings.others.remove("SLACK_API_URL");
    let system = System::start_with(settings).await;
    let pool = StandInPool::start().await;
    seed::pool(&system, "pool-1", Some(&pool.address().to_string())).await;
    let now = format!("{:.3}", portcullis_auth::Clock::now(&*system.clock));
    seed::set(&system, Table::Pools, "pool-1", "lastSeenAt", &now).await;
    (system, pool)
}

/// URL of the link with this text on a page.
fn link(page: &str, text: &str) -> Url {
    let before = page.split_once(&format!("\">{text}</a>")).expect("the link is there").0;
    before.rsplit_once("href=\"").expect("a link").1.replace("&amp;", "&").parse().expect("a URL")
}

/// The consent page, and the browser's cookie.
struct Consent {
    text: String,
    cookie: String,
}

/// Starts an install, as "Add to Slack" does.
async fn consent(system: &System, person: &Person<'_>) -> Consent {
    let begun = get(person, "/channels/slack/oauth-url").await;
    let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let url: Url = begun.json()["url"].as_str().unwrap().parse().unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let text = String::from_utf8(send(system.request(Method::GET, &path)).await.body).unwrap();
    Consent { text, cookie }
}

/// Follows a link of the consent page, which completes the install.
async fn follow(system: &System, person: &Person<'_>, page: &Consent, text: &str) {
    let url = link(&page.text, text);
    let back = format!("{}?{}", url.path(), url.query().unwrap());
    let cookies = format!("{}; {}", person.cookie(), page.cookie);
    let ended = send(system.request(Method::GET, &back).header("cookie", cookies)).await;
    assert!(ended.header("location").contains("success=true&channelId="), "{ended:?}");
}

/// Bot token in the pool's configuration.
async fn bot_token(system: &System) -> String {
    let latest = send(system.internal(Method::GET, "/api/internal/pools/pool-1/config/latest")).await.json();
    let accounts = latest["config"]["channels"]["slack"]["accounts"].clone();
    accounts.as_object().unwrap().values().next().unwrap()["botToken"].as_str().unwrap().to_owned()
}

async fn messages(system: &System) -> Vec<(String, String)> {
    let messages = send(system.request(Method::GET, "/dev/slack.json")).await.json();
    let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
    messages.as_array().unwrap().iter().map(|message| (text(message, "from"), text(message, "text"))).collect()
}

#[tokio::test]
async fn a_person_installs_the_app_and_the_bot_answers() {
    let (system, pool) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let page = consent(&system, &ada).await;
    assert!(page.text.contains("<li>chat:write"), "{}", page.text);
    let declined = link(&page.text, "Cancel");
    assert!(declined.query_pairs().any(|pair| pair == ("error".into(), "access_denied".into())), "{declined}");
    follow(&system, &ada, &page, "Allow").await;

    let form = "text=Hello+%26+welcome";
    let written = system.request(Method::POST, "/dev/slack/messages");
    let written = written.header("content-type", "application/x-www-form-urlencoded").body(form);
    let (written, ()) = tokio::join!(send(written), async {
        let delivery = pool.wait_for(1).await.remove(0);
        let event: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(event["event"]["text"], "Hello & welcome");
        // A call as OpenClaw makes it, with the bot token of its configuration.
        let token = bot_token(&system).await;
        let answer = system.request(Method::POST, "/dev/slack/api/chat.postMessage").bearer_auth(token);
        let answer = answer.header("content-type", "application/json; charset=utf-8");
        let posted = send(answer.body(r#"{"channel":"D0DEV","text":"<b>Hi</b>"}"#)).await;
        assert_eq!(posted.json()["ok"], true, "{posted:?}");
    });
    assert!(written.status.is_redirection() || written.status.is_success(), "{written:?}");
    let expected = [("You", "Hello & welcome"), ("The bot", "<b>Hi</b>")];
    assert_eq!(messages(&system).await, expected.map(|(from, text)| (from.to_owned(), text.to_owned())));
    let page = String::from_utf8(send(system.request(Method::GET, "/dev/slack")).await.body).unwrap();
    assert!(page.contains("&lt;b&gt;Hi&lt;/b&gt;") && !page.contains("<b>Hi"), "{page}");
}

#[tokio::test]
async fn a_token_that_ends_is_replaced_before_it_does() {
    let (system, _pool) = started().await;
    let ada = person(&system, "ada@example.com").await;
    bot(&ada, "One").await;
    let page = consent(&system, &ada).await;
    follow(&system, &ada, &page, "Allow, with a token that ends in twelve hours").await;
    let is_good = async |token: &str| {
        let answer = send(system.request(Method::POST, "/dev/slack/api/auth.test").bearer_auth(token).body("")).await;
        answer.json()["error"].as_str().map_or_else(|| "good".to_owned(), ToOwned::to_owned)
    };
    let mut token = bot_token(&system).await;
    for hours in [10, 8, 8] {
        assert_eq!(is_good(&token).await, "good");
        system.clock.advance(Duration::from_hours(hours));
        let next = bot_token(&system).await;
        assert_ne!(next, token);
        assert_eq!(is_good(&token).await, "good", "whoever has it yet can go on for two hours");
        system.clock.advance(Duration::from_hours(2));
        assert_eq!(is_good(&token).await, "token_expired");
        token = next;
    }
}

#[tokio::test]
async fn the_stand_in_answers_to_this_machines_own_pages_and_to_known_tokens_alone() {
    let (system, _pool) = started().await;
    for (header, value) in [("host", "evil.test"), ("origin", "https://evil.test"), ("origin", "null")] {
        let answer =
            send(system.request(Method::POST, "/dev/slack/messages").header(header, value).body("text=x")).await;
        assert_eq!(answer.status, 403, "{header}: {answer:?}");
    }
    assert!(messages(&system).await.is_empty());
    let api = |method: &str| system.request(Method::POST, &format!("/dev/slack/api/{method}"));
    let unknown = send(api("auth.test").bearer_auth("xoxb-unknown").body("")).await;
    assert_eq!(unknown.json()["error"], "invalid_auth");
    let exchanged = send(api("oauth.v2.access").basic_auth("1.2", Some("wrong")).body("code=x")).await;
    assert_eq!(exchanged.json()["error"], "bad_client_secret");
    let page = "/dev/slack/oauth/v2/authorize?client_id=1.2&redirect_uri=https://evil.test/&state=s";
    assert_eq!(send(system.request(Method::GET, page)).await.status, 400);
    // Without the demonstration, the fake Slack does not exist.
    let plain = System::start().await;
    assert_eq!(send(plain.request(Method::GET, "/dev/slack")).await.status, 404);
}
