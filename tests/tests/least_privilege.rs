//! Each function performs only calls that its role in the template allows, and its role allows only calls that it
//! performs.
//!
//! Every end-to-end suite also shows that the roles suffice, because the stack enforces them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

use std::collections::BTreeSet;

use portcullis_auth::Clock;
use portcullis_local::{
    access::Grant,
    template::{TEMPLATE, Template},
};
use portcullis_store::{PoolError, PoolReach, Table};
use portcullis_tests::{
    Behaviour, Person, StandInSlack, System,
    routes::{Prepared, calls},
    seed, slack,
    slack_api::{Exchange, Installed, Saying},
    system::{INDEX_LAG, Settings, eventually, send},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A person creates a bot, connects it in both ways, reads and deletes what they created, and deletes the account with
/// the rest.
async fn a_person_keeps_bots(system: &System, slack_api: &StandInSlack) {
    let person = Person::new(system, "ida@example.com").registered("correct horse battery").await;
    seed::pool(system, "pool-5", None).await;
    let now = format!("{:.3}", system.clock.now());
    seed::set(system, Table::Pools, "pool-5", "lastSeenAt", &now).await;
    let ok = async |method: Method, path: &str, body: Value| {
        let answer = person.v1(method, path, body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    };
    let bot = ok(Method::POST, "/bots", json!({ "name": "One", "modelId": "a-model" })).await["id"].clone();
    let second = ok(Method::POST, "/bots", json!({ "name": "Two", "modelId": "a-model" })).await["id"].clone();
    slack_api.install("xoxb-good-token", "T0IDA", "A0IDA");
    let app = json!({ "botId": bot, "botToken": "xoxb-good-token", "signingSecret": "not-a-secret-of-slack" });
    let channel = ok(Method::POST, "/channels/slack/connect", app.clone()).await["id"].clone();
    let channel = format!("/channels/{}", channel.as_str().unwrap());
    ok(Method::GET, &format!("{channel}/readiness"), Value::Null).await;
    ok(Method::DELETE, &channel, Value::Null).await;
    ok(Method::POST, "/channels/slack/connect", app).await;
    ok(Method::PATCH, &format!("/bots/{}", second.as_str().unwrap()), json!({ "slug": "other" })).await;
    ok(Method::DELETE, &format!("/bots/{}", second.as_str().unwrap()), Value::Null).await;

    add_to_slack(system, slack_api, &person, bot.as_str().unwrap()).await;
    another_person_joins(system, slack_api).await;
    a_person_connects_accounts(system, &person, bot.as_str().unwrap()).await;

    let url = "https://ida.example.com/";
    let key = format!("agent:{}:main", bot.as_str().unwrap());
    let artifact = json!({ "botId": bot, "sessionKey": key, "title": "A page", "previewUrl": url });
    let made = send(system.skill(Method::POST, "/api/internal/artifacts").json(&artifact)).await.json();
    let path = format!("/artifacts/{}", made["id"].as_str().unwrap());
    ok(Method::PATCH, &path, json!({ "previewUrl": "https://other.example.com/" })).await;
    ok(Method::DELETE, &path, Value::Null).await;
    let session = json!({ "botId": bot, "sessionKey": key, "title": "A title" });
    let session = send(system.internal(Method::POST, "/api/internal/sessions").json(&session)).await.json();
    ok(Method::GET, &format!("/sessions/{}", session["id"].as_str().unwrap()), Value::Null).await;
    system.clock.advance(std::time::Duration::from_secs(3));
    for list in ["/sessions", "/artifacts", "/channels", "/bots"] {
        ok(Method::GET, list, Value::Null).await;
    }
    let deleted = person.post("delete-user", &json!({ "password": "correct horse battery" })).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

/// A person installs the platform's app in a workspace.
async fn add_to_slack(system: &System, slack_api: &StandInSlack, person: &Person<'_>, bot: &str) {
    let begun = person.v1(Method::GET, &format!("/channels/slack/oauth-url?botId={bot}"), Value::Null).await;
    let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let consent: reqwest::Url = begun.json()["url"].as_str().unwrap().parse().unwrap();
    let state = consent.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    slack_api.exchange("a-code", Exchange::Good(Installed::new("xoxb-installed", "T0IDA", "A0PLATFORM")));
    let callback = format!("/api/oauth/slack/callback?code=a-code&state={state}");
    let cookies = format!("{}; {cookie}", person.cookie());
    let ended = send(system.request(Method::GET, &callback).header("cookie", cookies)).await;
    assert!(ended.header("location").contains("success=true"), "{ended:?}");
}

/// A person joins the workspace's channel and deletes the account with the membership.
async fn another_person_joins(system: &System, slack_api: &StandInSlack) {
    let person = Person::new(system, "joe@example.com").registered("correct horse battery").await;
    let bot = person.v1(Method::POST, "/bots", json!({ "name": "One", "modelId": "a-model" })).await;
    add_to_slack(system, slack_api, &person, bot.json()["id"].as_str().unwrap()).await;
    let deleted = person.post("delete-user", &json!({ "password": "correct horse battery" })).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

/// A person connects accounts, which the bot's skills use and end, and leaves one with keys of their own connected.
async fn a_person_connects_accounts(system: &System, person: &Person<'_>, bot: &str) {
    let execute = async |action: &str, status: u16| {
        let body = json!({ "botId": bot, "action": action });
        let answer = send(system.skill(Method::POST, "/api/internal/composio/execute").json(&body)).await;
        assert_eq!(answer.status, status, "{action}: {answer:?}");
        answer.json()
    };
    let link = execute("GMAIL_SEND_EMAIL", 403).await["connectUrl"].as_str().unwrap().to_owned();
    let path = link.strip_prefix(&system.stack.base_url()).unwrap();
    let opened = send(system.request(Method::GET, path).header("cookie", person.cookie())).await;
    let cookie = opened.header("set-cookie").split(';').next().unwrap().to_owned();
    reqwest::Client::new().post(opened.header("location")).body("decision=allow").send().await.unwrap();
    // The index of a person's bots has caught up, so the policies of their pools are read.
    system.clock.advance(INDEX_LAG.unsigned_abs());
    let list = person.v1(Method::GET, "/integrations", Value::Null).await.json();
    let id = list["integrations"][0]["id"].as_str().unwrap();
    let refresh = person.request(Method::POST, &format!("/v1/integrations/{id}/refresh"));
    let refreshed =
        send(refresh.header("cookie", format!("{}; {cookie}", person.cookie())).json(&json!({}))).await.json();
    assert_eq!(refreshed["status"], "active");
    execute("GMAIL_SEND_EMAIL", 200).await;

    let keys = json!({ "toolkitSlug": "sendgrid", "credentials": { "generic_api_key": "SG.not-a-real-key" } });
    let connect = async || {
        let connected = person.v1(Method::POST, "/integrations/connect", keys.clone()).await;
        assert_eq!(connected.status, 200, "{connected:?}");
        connected.json()["integration"]["id"].as_str().unwrap().to_owned()
    };
    let id = connect().await;
    execute("SENDGRID_SEND_EMAIL", 200).await;
    assert_eq!(person.v1(Method::DELETE, &format!("/integrations/{id}"), Value::Null).await.status, 200);
    connect().await;
    let body = json!({ "botId": bot, "toolkitSlug": "sendgrid" });
    let ended = send(system.skill(Method::POST, "/api/internal/composio/disconnect").json(&body)).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    connect().await;
}

/// A person's session is extended, and the person deletes the account.
async fn a_person_comes_and_goes(system: &System) {
    let person = Person::new(system, "eve@example.com").registered("correct horse battery").await;
    system.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(person.get("get-session").await.status, 200);
    let deleted = person.post("delete-user", &json!({ "password": "correct horse battery" })).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "it is one tour over all that the roles allow, in the order in which it builds on itself"
)]
async fn no_role_allows_what_its_function_never_does() {
    let slack_api = StandInSlack::start().await;
    let settings = Settings::random().with("SLACK_API_URL", &slack_api.url()).with("SLACK_CLIENT_ID", "1.2");
    let settings = settings.with("SLACK_CLIENT_SECRET", &slack_api.client_secret());
    let settings = settings.with("DEMO_COMPOSIO_API_KEY", "ak_not-a-real-key");
    let prepared = Prepared::new(System::start_with(settings).await).await;
    let system = &prepared.system;
    slack_api.say(&prepared.connected.bot_token, Saying::Good);
    for (route, call) in calls() {
        let answer = send(prepared.authorized(route, call)).await;
        assert_eq!(answer.status, call.status, "{call:?}: {answer:?}");
    }
    // With the pool's own bound tokens, which are checked against its row.
    let token = async |kind: &str| {
        let path = format!("/api/internal/pools/pool-1/{kind}-tokens");
        let answer = send(system.internal(Method::POST, &path).json(&json!({ "ttlSeconds": 600 }))).await;
        answer.json()["token"].as_str().expect("a token").to_owned()
    };
    let (runtime, skill) = (token("runtime").await, token("skill").await);
    let with = |token: &str, method, path: &str| system.request(method, path).header("x-internal-token", token);
    let secrets = "/api/internal/secrets/maps?poolId=pool-1";
    assert_eq!(send(with(&skill, Method::GET, secrets)).await.status, 200);
    assert_eq!(send(with(&runtime, Method::GET, "/api/internal/skills/latest")).await.status, 200);

    // Existing sessions and artifacts, and a preview that moves from one URL to another.
    let session = json!({ "botId": "bot-1", "sessionKey": "agent:bot-1:main", "title": "A title" });
    let session = send(with(&runtime, Method::POST, "/api/internal/sessions").json(&session)).await.json();
    let path = format!("/api/internal/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(send(with(&runtime, Method::PATCH, &path).json(&json!({ "title": "Another" }))).await.status, 200);
    let mut artifact = json!({
        "botId": "bot-1", "sessionKey": "agent:bot-1:main", "title": "A page", "previewUrl": "https://one.example.com/",
    });
    let made = send(with(&skill, Method::POST, "/api/internal/artifacts").json(&artifact)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/api/internal/artifacts/{}", made.json()["id"].as_str().unwrap());
    artifact = json!({ "previewUrl": "https://two.example.com/" });
    assert_eq!(send(with(&skill, Method::PATCH, &path).json(&artifact)).await.status, 200);

    let of_chat = json!({ "botId": "bot-1", "chatId": "channel:C1", "title": "A page" });
    let unresolved = send(with(&skill, Method::POST, "/api/internal/artifacts").json(&of_chat)).await;
    assert_eq!(unresolved.status, 400, "{unresolved:?}");
    let another_skill = json!({ "content": "# Another" });
    let another_template = json!({ "content": "# Another", "writeMode": "inject" });
    for (path, body) in [
        ("/api/internal/skills/maps", another_skill),
        ("/api/internal/workspace-templates/AGENTS.md", another_template),
    ] {
        assert_eq!(send(system.internal(Method::PUT, path).json(&body)).await.status, 200);
    }

    // A delivered event, one that fails first, and one of the platform's own app.
    prepared.stand_in.behave(Behaviour::Answer(500));
    let event = |number: u32| {
        let connected = &prepared.connected;
        let body = slack::message(&connected.team, &connected.app, "C0GENERAL", number).to_string();
        slack::signed(system, "/api/slack/events", &connected.signing_secret, body, system.clock.now())
    };
    assert_eq!(send(event(100)).await.status, 200);
    prepared.stand_in.wait_for(2).await;
    prepared.stand_in.behave(Behaviour::Answer(200));
    let bots = [prepared.connected.bot.clone()];
    eventually("its session is there", async || !system.store().untitled_sessions(&bots, 1).await.unwrap().is_empty())
        .await;
    let platform = seed::platform_channel(system, "channel-2", &bots[0], &prepared.connected.pool, "T0OTHER").await;
    let of_platform = slack::message(&platform.team, &platform.app, "C0GENERAL", 1).to_string();
    let secret = &platform.signing_secret;
    let of_platform = slack::signed(system, "/api/slack/events", secret, of_platform, system.clock.now());
    assert_eq!(send(of_platform).await.status, 200);

    // Slack reports that it rate-limits an app.
    let (team, app) = (&prepared.connected.team, &prepared.connected.app);
    let limited = json!({ "type": "app_rate_limited", "team_id": team, "api_app_id": app }).to_string();
    let secret = &prepared.connected.signing_secret;
    let limited = slack::signed(system, "/api/slack/events", secret, limited, system.clock.now());
    assert_eq!(send(limited).await.status, 200);

    // An app is uninstalled.
    let gone = seed::channel(system, "channel-3", &bots[0], &prepared.connected.pool, "T0GONE", "A0GONE").await;
    let uninstalled = json!({
        "type": "event_callback", "team_id": gone.team, "api_app_id": gone.app, "event_time": system.clock.now().as_second(),
        "event": { "type": "app_uninstalled" },
    });
    let secret = &gone.signing_secret;
    let uninstalled = slack::signed(system, "/api/slack/events", secret, uninstalled.to_string(), system.clock.now());
    assert_eq!(send(uninstalled).await.status, 200);

    // Slack reports that a token is revoked, and the name of a conversation.
    slack_api.converse("C0GENERAL", json!({ "name": "general" }));
    slack_api.say(&platform.bot_token, Saying::Error("token_revoked"));
    let checked = send(system.internal(Method::POST, "/api/internal/pools/pool-1/check-slack-tokens")).await;
    assert_eq!(checked.json()["invalidated"], 1, "{checked:?}");
    eventually("the index that lists conversations knows them", async || {
        system.clock.advance(std::time::Duration::from_secs(3));
        send(system.internal(Method::POST, "/api/internal/pools/pool-1/check-slack-tokens")).await;
        slack_api.calls("conversations.info") > 0
    })
    .await;

    // A bot gets an owner and channels of its own; all are deleted again.
    let owned = json!({ "name": "A bot", "poolId": "pool-1", "modelId": "a-model", "ownerId": "user-7" });
    assert_eq!(send(system.internal(Method::PUT, "/api/internal/bots/bot-7").json(&owned)).await.status, 200);
    for (channel, team) in [("channel-7", "T7"), ("channel-8", "T8")] {
        let path = format!("/api/internal/channels/{channel}");
        let connected = json!({
            "botId": "bot-7", "channelType": "slack", "teamId": team, "appId": "A7", "botToken": "not-a-token",
            "signingSecret": "not-a-secret-of-slack",
        });
        assert_eq!(send(system.internal(Method::PUT, &path).json(&connected)).await.status, 200);
    }
    for path in ["channels/channel-7", "bots/bot-7", "skills/maps", "workspace-templates/AGENTS.md"] {
        let answer = send(system.internal(Method::DELETE, &format!("/api/internal/{path}"))).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }

    // A secret is deleted, and a pool ends with everything that it has.
    let delete = json!({ "secrets": { "A_KEY": null } });
    let put = system.internal(Method::PUT, "/api/internal/pools/pool-1/secrets");
    assert_eq!(send(put.json(&delete)).await.status, 200);
    seed::pool(system, "pool-9", None).await;
    let secret = json!({ "secrets": { "A_KEY": "x" } });
    assert_eq!(
        send(system.internal(Method::PUT, "/api/internal/pools/pool-9/secrets").json(&secret)).await.status,
        200
    );
    assert_eq!(send(system.internal(Method::GET, "/api/internal/pools/pool-9/config/latest")).await.status, 200);
    let end = json!({ "poolId": "pool-9", "status": "terminated" });
    assert_eq!(send(system.internal(Method::POST, "/api/internal/pools/register").json(&end)).await.status, 200);

    a_person_comes_and_goes(system).await;
    a_person_keeps_bots(system, &slack_api).await;

    let unused: BTreeSet<String> = (system.stack.access().iter())
        .flat_map(|access| access.unused().into_iter().map(|grant| format!("{}: {grant}", access.function())))
        .collect();
    assert!(unused.is_empty(), "granted and never used: {unused:#?}");
}

#[test]
fn every_function_of_the_template_has_a_role_that_is_read_here() {
    let template = Template::parse(TEMPLATE).unwrap();
    assert_eq!(template.grants.len(), template.functions.len());
    for (function, grants) in &template.grants {
        assert!(!grants.is_empty(), "{function}");
        let names: BTreeSet<&str> = template.tables.iter().map(|table| table.name.as_str()).collect();
        assert!(grants.iter().all(|grant| names.contains(grant.table.as_str())), "{function}");
    }
    // No decision depends on an index, which may lag. Only lists read one: conversations without a title, and a
    // person's own items.
    let of_indexes =
        template.grants.iter().flat_map(|(function, grants)| grants.iter().map(move |grant| (function, grant)));
    let of_indexes: Vec<_> = of_indexes.filter(|(_, grant)| grant.index.is_some()).collect();
    let list =
        |table: &str, index: &str| Grant { table: table.into(), index: Some(index.into()), action: "Query".into() };
    let (internal, v1) = ("internal".to_owned(), "v1".to_owned());
    let (sessions, artifacts) = (list("chat_sessions", "byBotAndTime"), list("artifacts", "byBotAndTime"));
    let bots = list("bots", "byUser");
    assert_eq!(of_indexes, [(&internal, &sessions), (&v1, &artifacts), (&v1, &bots), (&v1, &sessions)]);
    // Forbidden to the skills' function and to the relay.
    let reads =
        |function: &str, table: Table| template.grants[function].iter().any(|grant| grant.table == table.name());
    assert!(!reads("skills", Table::ChannelCredentials) && !reads("relay", Table::PoolSecrets));
}

#[tokio::test]
async fn a_call_that_a_role_does_not_allow_is_turned_away() {
    use portcullis_local::access::{Access, Guarded};
    let system = System::start().await;
    seed::pool(&system, "pool-1", None).await;
    let grant = Grant { table: "pools".to_owned(), index: None, action: "GetItem".to_owned() };
    let access = std::sync::Arc::new(Access::new("test", "portcullis-local-", BTreeSet::from([grant.clone()])));
    let aws = system.stack.environment().aws.clone();
    let client = aws.http_client().unwrap();
    let aws = aws.into_builder().http_client(Guarded::new(client, std::sync::Arc::clone(&access))).build();
    let store = portcullis_store::Store::new(
        portcullis_store::client(&aws),
        "portcullis-local-",
        std::sync::Arc::new(portcullis_store::FixedKeys::derived_from(
            &portcullis_crypto::Keyring::from_single_key(&"01".repeat(32)).unwrap(),
        )),
        system.clock.clone(),
        std::sync::Arc::new(portcullis_runtime::SystemRandomness),
    );
    let pool = "pool-1".parse().unwrap();
    assert_eq!(access.unused(), [grant]);
    assert!(store.get_pool(&pool).await.unwrap().is_some());
    assert!(access.unused().is_empty());
    let refused =
        Err(PoolError::Store(portcullis_store::StoreError::Refused { code: "AccessDeniedException".to_owned() }));
    assert_eq!(store.raise_skill_generation(&pool, PoolReach::Any).await, refused);
    assert_eq!(store.terminate(&pool).await.unwrap_err().to_string(), "DynamoDB refused: AccessDeniedException");
    assert!(store.secrets_of_pool(&pool).await.is_err());
    assert!(store.pool_configuration(&pool, PoolReach::Any).await.is_err());
}
