//! Interactions and slash commands: forms that are verified like events, queued, and answered with an empty body.

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{
    Answer, System,
    seed::{self, Connected},
    slack,
    system::{eventually, random_hex, send},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{refused, two_customers};

const INTERACTIONS: &str = "/api/slack/interactions";
const COMMANDS: &str = "/api/slack/commands";
const FORM: &str = "application/x-www-form-urlencoded";

fn form(system: &System, path: &str, secret: &str, form: &str) -> RequestBuilder {
    slack::signed_form(system, path, secret, form, system.clock.now())
}

fn click(of: &Connected, number: u32) -> String {
    slack::payload_form(&slack::click(&of.team, &of.app, "C0GENERAL", number))
}

fn command(of: &Connected, number: u32) -> String {
    slack::command(&of.team, &of.app, "C0GENERAL", number)
}

/// Asserts a 200 with an empty body: Slack shows any text to the user.
fn taken(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"".as_slice()), "{what}");
}

fn malformed(answer: &Answer, code: &str, what: &str) {
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!(code)), "{what}: {answer:?}");
}

#[tokio::test]
async fn a_click_and_a_command_reach_the_pool_as_the_form_that_they_came_as_signed_anew() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let own = |path: &str| format!("{path}/{}", connected.channel);
    let sent = [
        (INTERACTIONS.to_owned(), click(&connected, 1)),
        (own(INTERACTIONS), click(&connected, 2)),
        (COMMANDS.to_owned(), command(&connected, 3)),
        (own(COMMANDS), command(&connected, 4)),
    ];
    for (path, body) in &sent {
        let request = form(&system, path, &connected.signing_secret, body);
        taken(&send(request.header("x-request-id", "a-callers-id")).await, path);
    }
    // All belong to one conversation, so they arrive in order.
    let seen = pool.wait_for(4).await;
    for (delivery, (path, body)) in seen.iter().zip(&sent) {
        assert_eq!(delivery.body, body.as_bytes(), "{path}: to the byte");
        assert_eq!(delivery.path, connected.delivery_path());
        assert_eq!(delivery.headers["content-type"], FORM);
        assert_eq!(delivery.headers["x-request-id"], "a-callers-id");
        assert!(delivery.is_signed_with(&connected.delivery_secret, system.clock.now().as_second()), "{path}");
    }
    eventually("all are done with", async || system.counted(Metric::EventDelivered) == 4).await;
    let sessions = super::rows_of(&system, Table::ChatSessions).await;
    assert_eq!(sessions, 0, "an invocation is no message and makes no session");
    system.shutdown().await;
}

#[tokio::test]
async fn a_form_is_refused_unless_it_is_signed_by_whose_it_is() {
    let system = System::start().await;
    let (one, two, pool) = two_customers(&system).await;
    let platforms = system.settings.slack_signing_secret.clone();
    let (mine, theirs) = (click(&one, 1), click(&two, 1));
    for (path, secret, body, what) in [
        (INTERACTIONS.to_owned(), &random_hex(16), mine.clone(), "another secret"),
        (INTERACTIONS.to_owned(), &platforms, mine.clone(), "the platform's secret, a customer's app"),
        (INTERACTIONS.to_owned(), &one.signing_secret, theirs.clone(), "one's secret, two's click"),
        (COMMANDS.to_owned(), &one.signing_secret, command(&two, 1), "one's secret, two's command"),
        (format!("{INTERACTIONS}/channel-1"), &one.signing_secret, theirs, "one's path, two's click"),
        (format!("{COMMANDS}/channel-1"), &one.signing_secret, command(&two, 1), "one's path, two's command"),
        (format!("{COMMANDS}/channel-1"), &two.signing_secret, command(&two, 1), "one's path, two's everything"),
        (format!("{COMMANDS}/%ff"), &one.signing_secret, command(&one, 1), "a path that names none"),
        (COMMANDS.to_owned(), &one.signing_secret, slack::command("T0NOBODY", "A0NOBODY", "C1", 1), "nobody's"),
    ] {
        refused(&send(form(&system, &path, secret, &body)).await, what);
    }
    // A shortcut names no app: the path's channel has one, and its team must still be the channel's.
    let shortcut =
        |team: &str| slack::payload_form(&json!({ "type": "shortcut", "team": { "id": team }, "trigger_id": "1.2.3" }));
    let own = format!("{INTERACTIONS}/channel-1");
    refused(&send(form(&system, &own, &one.signing_secret, &shortcut(&two.team))).await, "two's shortcut");
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    taken(&send(form(&system, &own, &one.signing_secret, &shortcut(&one.team))).await, "one's shortcut");
    pool.wait_for(1).await;
    malformed(
        &send(form(&system, INTERACTIONS, &platforms, &shortcut(&one.team))).await,
        "missing_origin",
        "a shortcut that names no app, on the common path",
    );
    let stale = system.clock.now() - jiff::SignedDuration::from_secs(301);
    refused(&send(slack::signed_form(&system, COMMANDS, &one.signing_secret, &command(&one, 1), stale)).await, "stale");
    system.shutdown().await;
}

#[tokio::test]
async fn a_signed_form_that_is_none_of_slacks_is_a_400_and_unsigned_it_is_a_401() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let payload = |json: &str| format!("payload={}", json.replace('"', "%22").replace(' ', "+"));
    let (team, app) = (&connected.team, &connected.app);
    let twice = format!(r#"{{"team":{{"id":"{team}"}},"api_app_id":"{app}","actions":[{{"a":1,"a":2}}]}}"#);
    let two_teams = format!(r#"{{"team":{{"id":"T0TWO"}},"api_app_id":"{app}","team":{{"id":"{team}"}}}}"#);
    let long = slack::payload_form(&slack::click(team, app, &"c".repeat(256), 1));
    let bodies = [
        (INTERACTIONS, "empty", String::new()),
        (INTERACTIONS, "no payload", "other=1".to_owned()),
        (INTERACTIONS, "a command", command(&connected, 1)),
        (INTERACTIONS, "a payload that is not JSON", "payload=hello".to_owned()),
        (INTERACTIONS, "JSON in the form's place", slack::click(team, app, "C1", 1).to_string()),
        (INTERACTIONS, "a payload that is no object", "payload=%5B1%5D".to_owned()),
        (INTERACTIONS, "two payloads", format!("{0}&{0}", click(&connected, 1))),
        (INTERACTIONS, "a key twice in the payload", payload(&twice)),
        (INTERACTIONS, "two teams in the payload", payload(&two_teams)),
        (INTERACTIONS, "not UTF-8 in the payload", "payload=%7B%22a%22:%22%FF%22%7D".to_owned()),
        (INTERACTIONS, "half an escape", "payload=%7B%7D%7".to_owned()),
        (INTERACTIONS, "an id of 256 characters", long),
        (COMMANDS, "empty", String::new()),
        (COMMANDS, "no command", format!("team_id={team}&api_app_id={app}")),
        (COMMANDS, "two commands", format!("{}&command=%2Fother", command(&connected, 1))),
        (COMMANDS, "two teams", format!("team_id=T0TWO&{}", command(&connected, 1))),
        (COMMANDS, "a field twice that is not read", format!("{}&x=1&x=1", command(&connected, 1))),
        (COMMANDS, "not UTF-8", format!("{}&x=%ff", command(&connected, 1))),
        (COMMANDS, "1,001 fields", (0..1001).map(|number| format!("n{number}=&")).collect::<Vec<_>>().concat()),
    ];
    for (path, what, body) in bodies {
        let path = format!("{path}/{}", connected.channel);
        let answer = send(form(&system, &path, &connected.signing_secret, &body)).await;
        malformed(&answer, "malformed_form", what);
        refused(&send(form(&system, &path, &random_hex(16), &body)).await, what);
    }
    let huge = format!("{}&x={}", command(&connected, 1), "x".repeat(1024 * 1024));
    let answer = send(form(&system, COMMANDS, &connected.signing_secret, &huge)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (413, json!("body_too_large")));
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    system.shutdown().await;
    assert!(pool.seen().is_empty());
}

#[tokio::test]
async fn the_certificates_check_is_taken_where_it_is_signed_and_reaches_no_pool() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let smuggling = format!("ssl_check=1&{}", click(&connected, 1));
    let platforms = system.settings.slack_signing_secret.clone();
    for path in [INTERACTIONS, COMMANDS] {
        let own = format!("{path}/channel-1");
        for (path, secret) in [(path, &platforms), (own.as_str(), &connected.signing_secret)] {
            taken(&send(form(&system, path, secret, "ssl_check=1&token=deprecated")).await, path);
            refused(&send(form(&system, path, &random_hex(16), "ssl_check=1&token=deprecated")).await, path);
            taken(&send(form(&system, path, secret, &smuggling)).await, "with a payload beside it");
        }
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    system.shutdown().await;
    assert!(pool.seen().is_empty());
}

#[tokio::test]
async fn the_platforms_app_gets_its_clicks_and_a_workspace_that_is_not_connected_gets_200_and_nothing() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let ours = seed::platform_channel(&system, "channel-2", &connected.bot, &connected.pool, "T0OURS").await;
    let gone = Connected { team: "T0GONE".to_owned(), ..ours.clone() };
    let platforms = system.settings.slack_signing_secret.clone();
    taken(&send(form(&system, INTERACTIONS, &platforms, &click(&gone, 1))).await, "a click in no workspace of ours");
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    taken(&send(form(&system, INTERACTIONS, &platforms, &click(&ours, 2))).await, "a click");
    assert_eq!(pool.wait_for(1).await[0].path, ours.delivery_path());
    system.shutdown().await;
}

#[tokio::test]
async fn in_an_org_wide_install_the_enterprise_counts() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let org = seed::channel(&system, "channel-3", &connected.bot, &connected.pool, "E0ORG", "A0ORG").await;
    let mut wide: Value = slack::click("T0MEMBER", "A0ORG", "C0GENERAL", 1);
    wide["enterprise"] = json!({ "id": "E0ORG", "name": "Org" });
    wide["is_enterprise_install"] = json!(true);
    let secret = &org.signing_secret;
    taken(&send(form(&system, INTERACTIONS, secret, &slack::payload_form(&wide))).await, "a click");
    wide["team"] = Value::Null;
    wide["trigger_id"] = json!("2.1800014400.x");
    taken(&send(form(&system, INTERACTIONS, secret, &slack::payload_form(&wide))).await, "a click without a team");
    let command = slack::command("T0MEMBER", "A0ORG", "C0GENERAL", 3)
        .replace("is_enterprise_install=false", "is_enterprise_install=true&enterprise_id=E0ORG");
    taken(&send(form(&system, COMMANDS, secret, &command)).await, "a command");
    assert!(pool.wait_for(3).await.iter().all(|delivery| delivery.path == org.delivery_path()));
    system.shutdown().await;
}

#[tokio::test]
async fn one_trigger_is_delivered_once_and_two_are_two() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let secret = &connected.signing_secret;
    for number in [1, 1, 2] {
        taken(&send(form(&system, COMMANDS, secret, &command(&connected, number))).await, "a command");
    }
    let closed = |view: &str| {
        slack::payload_form(&json!({
            "type": "view_closed", "team": { "id": connected.team }, "api_app_id": connected.app, "view": { "id": view },
        }))
    };
    // Without a trigger id, an identical body is a duplicate.
    for view in ["V1", "V1", "V2"] {
        taken(&send(form(&system, INTERACTIONS, secret, &closed(view))).await, view);
    }
    assert_eq!((system.counted(Metric::EventRepeated), system.counted(Metric::EventAccepted)), (2, 4));
    assert_eq!(pool.wait_for(4).await.len(), 4);
    system.shutdown().await;
    assert_eq!(pool.seen().len(), 4);
}

#[tokio::test]
async fn an_event_and_a_form_do_not_pass_through_each_others_door() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let own = |path: &str| format!("{path}/{}", connected.channel);
    let secret = &connected.signing_secret;
    let event = super::message(&connected, 1).to_string();
    for path in [INTERACTIONS, COMMANDS] {
        malformed(&send(form(&system, &own(path), secret, &event)).await, "malformed_form", path);
    }
    let answer = send(form(&system, &own(super::EVENTS), secret, &click(&connected, 1))).await;
    malformed(&answer, "malformed_json", "a click among the events");
    assert_eq!(system.counted(Metric::EventAccepted), 0);
}
