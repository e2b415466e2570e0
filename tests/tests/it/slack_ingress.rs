//! Slack's requests are accepted, and forged ones are refused.

mod bodies;
mod channels;
mod ends;
mod forms;
mod headers;
mod traffic;

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use jiff::{Timestamp, ToSpan};
use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::Table;
use portcullis_tests::{
    Answer, StandInPool, System,
    seed::{self, Connected},
    slack::{self, signature},
    system::{eventually, random_hex, send},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const EVENTS: &str = "/api/slack/events";

fn refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (401, "Invalid signature"), "{what}");
}

fn accepted(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": true })), "{what}");
}

fn message(of: &Connected, number: u32) -> Value {
    slack::message(&of.team, &of.app, "C0GENERAL", number)
}

/// An event of this channel, signed with this secret at the current time.
fn event(system: &System, secret: &str, body: &Value) -> RequestBuilder {
    slack::signed(system, EVENTS, secret, body.to_string(), system.clock.now())
}

/// A request with these two headers byte for byte; `None` omits one.
fn raw(system: &System, timestamp: Option<&[u8]>, signature: Option<&[u8]>, body: Vec<u8>) -> RequestBuilder {
    let mut request = system.request(Method::POST, EVENTS).header("content-type", "application/json").body(body);
    for (name, value) in [("x-slack-request-timestamp", timestamp), ("x-slack-signature", signature)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request
}

async fn items_of(system: &System, table: Table) -> Vec<HashMap<String, AttributeValue>> {
    let scan = Client::new(&system.stack.environment().aws).scan().consistent_read(true);
    let rows = scan.table_name(format!("portcullis-local-{}", table.name())).send().await;
    rows.expect("the table is read").items.unwrap_or_default()
}

async fn rows_of(system: &System, table: Table) -> usize {
    items_of(system, table).await.len()
}

#[tokio::test]
async fn a_signature_that_is_missing_stale_or_wrong_in_any_way_is_refused() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let body = message(&connected, 1).to_string().into_bytes();
    let now = system.clock.now().as_second();
    let good = |timestamp: &str| signature(&connected.signing_secret, timestamp, &body);
    let at = now.to_string();
    let right = good(&at);

    let multibyte = format!("v0={}", "é".repeat(64)).into_bytes();
    let signatures: [(&str, Option<Vec<u8>>); 10] = [
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("cut", Some(right.as_bytes()[..66].to_vec())),
        ("one digit longer", Some(format!("{right}0").into_bytes())),
        ("upper-case hex", Some(right.to_uppercase().replace("V0=", "v0=").into_bytes())),
        ("without v0=", Some(right.as_bytes()["v0=".len()..].to_vec())),
        ("another version", Some(right.replace("v0=", "v1=").into_bytes())),
        ("64 multibyte characters", Some(multibyte)),
        ("not UTF-8", Some([b"v0=".as_slice(), &[0xff; 64]].concat())),
        ("another secret's", Some(signature(&random_hex(16), &at, &body).into_bytes())),
    ];
    for (what, signature) in signatures {
        refused(&send(raw(&system, Some(at.as_bytes()), signature.as_deref(), body.clone())).await, what);
    }

    for timestamp in ["", "0", "-1", "+1", "1e9", "0x5f", "1.0", "99999999999999999999", "١٨٠٠٠١٤٤٠٠", "now"]
    {
        let request = raw(&system, Some(timestamp.as_bytes()), Some(good(timestamp).as_bytes()), body.clone());
        refused(&send(request).await, timestamp);
    }
    let with_zero = format!("0{at}");
    refused(
        &send(raw(&system, Some(with_zero.as_bytes()), Some(good(&with_zero).as_bytes()), body.clone())).await,
        "0…",
    );
    refused(&send(raw(&system, None, Some(right.as_bytes()), body.clone())).await, "no timestamp");
    for off in [-301, 301] {
        let at = (now + off).to_string();
        refused(&send(raw(&system, Some(at.as_bytes()), Some(good(&at).as_bytes()), body.clone())).await, &at);
    }
    let twice = raw(&system, Some(at.as_bytes()), Some(right.as_bytes()), body.clone());
    refused(&send(twice.header("x-slack-signature", &right)).await, "the signature twice");
    let mut changed = body.clone();
    changed[0] ^= 1;
    refused(
        &send(raw(&system, Some(at.as_bytes()), Some(right.as_bytes()), changed)).await,
        "a bit of the body changed",
    );

    assert_eq!(system.counted(Metric::EventAccepted), 0);
    for (number, off) in [(2, -300), (3, 300)] {
        let request = slack::signed(
            &system,
            EVENTS,
            &connected.signing_secret,
            message(&connected, number).to_string(),
            Timestamp::from_second(now + off).unwrap(),
        );
        accepted(&send(request).await, "at the very border");
    }
    pool.wait_for(2).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_which_workspaces_are_connected() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let secret = random_hex(16);
    let known = send(event(&system, &secret, &message(&connected, 1))).await;
    let unknown = send(event(&system, &secret, &slack::message("T0NOBODY", "A0NOBODY", "C0GENERAL", 1))).await;
    refused(&known, "a known team");
    refused(&unknown, "an unknown team");
    let shape = |answer: &Answer| {
        let mut body = answer.json();
        body["requestId"] = json!("-");
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        (body, names)
    };
    assert_eq!(shape(&known), shape(&unknown));
    assert_eq!(system.counted(Metric::Unauthenticated), 2);
}

#[tokio::test]
async fn the_platforms_app_in_a_workspace_that_is_not_connected_gets_200_and_nothing_happens() {
    let system = System::start().await;
    let body = slack::message("T0GONE", "A0PLATFORM", "C0GENERAL", 1);
    let secret = system.settings.slack_signing_secret.clone();
    accepted(&send(event(&system, &secret, &body)).await, "nobody's");
    assert_eq!(system.counted(Metric::EventAccepted), 0, "nothing was queued");
}

#[tokio::test]
async fn a_url_verification_is_answered_where_it_is_signed_by_whom_it_asks_about() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let body = json!({ "token": "deprecated", "challenge": "3eZbrw1a", "type": "url_verification" }).to_string();
    let own_path = format!("{EVENTS}/channel-1");
    let ask = async |path: &str, secret: &str| {
        send(slack::signed(&system, path, secret, body.clone(), system.clock.now())).await
    };
    let platforms = system.settings.slack_signing_secret.clone();
    for (path, secret) in [(EVENTS, &platforms), (&own_path, &connected.signing_secret)] {
        let answer = ask(path, secret).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "challenge": "3eZbrw1a" })), "{path}");
    }
    for (path, secret) in [(EVENTS, &connected.signing_secret), (&own_path, &platforms), (&own_path, &random_hex(16))] {
        refused(&ask(path, secret).await, path);
    }
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_a_400_and_unsigned_it_is_a_401() {
    let system = System::start().await;
    let secret = system.settings.slack_signing_secret.clone();
    let bodies: [(&str, &[u8]); 9] = [
        ("empty", b""),
        ("not JSON", b"payload=%7B%7D"),
        ("no object", b"[1]"),
        ("not UTF-8", b"{\"team_id\":\"T0ONE\",\"api_app_id\":\"A0ONE\",\"x\":\"\xff\"}"),
        ("a NUL", b"{\"team_id\":\"T0\0\"}"),
        ("two teams", br#"{"team_id":"T0ONE","api_app_id":"A0ONE","team_id":"T0TWO","type":"event_callback"}"#),
        ("no team", br#"{"api_app_id":"A0ONE","type":"event_callback"}"#),
        ("no app", br#"{"team_id":"T0ONE","type":"event_callback"}"#),
        ("a challenge without one", br#"{"type":"url_verification"}"#),
    ];
    for (what, body) in bodies {
        let answer = send(slack::signed(&system, EVENTS, &secret, body, system.clock.now())).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        refused(&send(slack::signed(&system, EVENTS, &random_hex(16), body, system.clock.now())).await, what);
    }
}

#[tokio::test]
async fn a_body_past_1_mib_is_refused_whole() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let mut body = message(&connected, 1);
    let empty = body.to_string().len();
    body["padding"] = json!("");
    let frame = body.to_string().len();
    assert!(frame > empty);
    body["padding"] = json!("x".repeat(1024 * 1024 - frame));
    accepted(&send(event(&system, &connected.signing_secret, &body)).await, "1 MiB");
    let delivered = pool.wait_for(1).await;
    assert_eq!(delivered[0].body.len(), 1024 * 1024);
    body["padding"] = json!("x".repeat(1024 * 1024 - frame + 1));
    let answer = send(event(&system, &connected.signing_secret, &body)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (413, json!("body_too_large")));
    system.shutdown().await;
}

/// Channels of two customers, each with its own app and workspace.
async fn two_customers(system: &System) -> (Connected, Connected, StandInPool) {
    let stand_in = StandInPool::start().await;
    let pool = seed::pool(system, "pool-1", Some(&stand_in.address().to_string())).await;
    let one = seed::bot(system, "bot-1", &pool).await;
    let two = seed::bot(system, "bot-2", &pool).await;
    let one = seed::channel(system, "channel-1", &one, &pool, "T0ONE", "A0ONE").await;
    let two = seed::channel(system, "channel-2", &two, &pool, "T0TWO", "A0TWO").await;
    (one, two, stand_in)
}

#[tokio::test]
async fn a_customers_secret_signs_for_that_customer_alone() {
    let system = System::start().await;
    let (one, two, pool) = two_customers(&system).await;
    refused(&send(event(&system, &one.signing_secret, &message(&two, 1))).await, "one's secret, two's team and app");
    let mixed = slack::message(&two.team, &one.app, "C0GENERAL", 1);
    refused(&send(event(&system, &one.signing_secret, &mixed)).await, "two's team, one's app");
    let platforms = system.settings.slack_signing_secret.clone();
    refused(&send(event(&system, &platforms, &message(&one, 1))).await, "the platform's secret, a customer's app");

    let own_path = |of: &Connected| format!("{EVENTS}/{}", of.channel);
    let on = |path: String, secret: &str, body: &Value| {
        slack::signed(&system, &path, secret, body.to_string(), system.clock.now())
    };
    refused(&send(on(own_path(&one), &one.signing_secret, &message(&two, 1))).await, "one's path, two's body");
    refused(&send(on(own_path(&one), &two.signing_secret, &message(&two, 1))).await, "one's path, two's everything");
    for id in ["no-such-channel", "channel-1%00", "..%2Fchannel-1", &"c".repeat(4_000), "%ff"] {
        let answer = send(on(format!("{EVENTS}/{id}"), &one.signing_secret, &message(&one, 1))).await;
        refused(&answer, id);
    }
    assert_eq!(system.counted(Metric::EventAccepted), 0);
    accepted(&send(on(own_path(&one), &one.signing_secret, &message(&one, 1))).await, "one's path, one's body");
    accepted(&send(event(&system, &two.signing_secret, &message(&two, 1))).await, "two's");
    let mut paths: Vec<_> = pool.wait_for(2).await.into_iter().map(|delivery| delivery.path).collect();
    paths.sort();
    assert_eq!(paths, [one.delivery_path(), two.delivery_path()]);
    system.shutdown().await;
}

#[tokio::test]
async fn in_a_shared_channel_and_an_org_wide_install_the_authorized_installation_counts() {
    let system = System::start().await;
    let (one, _two, pool) = two_customers(&system).await;
    let mut shared = message(&one, 1);
    shared["team_id"] = json!("T0ELSEWHERE");
    accepted(&send(event(&system, &one.signing_secret, &shared)).await, "a shared channel");
    pool.wait_for(1).await;

    let bot = seed::bot(&system, "bot-3", &one.pool).await;
    let org = seed::channel(&system, "channel-3", &bot, &one.pool, "E0ORG", "A0ORG").await;
    let mut wide = slack::message("T0MEMBER", "A0ORG", "C0GENERAL", 2);
    wide["authorizations"] =
        json!([{ "enterprise_id": "E0ORG", "team_id": "T0MEMBER", "is_enterprise_install": true }]);
    accepted(&send(event(&system, &org.signing_secret, &wide)).await, "an org-wide install");
    assert_eq!(pool.wait_for(2).await[1].path, org.delivery_path());
    system.shutdown().await;
}

#[tokio::test]
async fn events_that_have_objects_where_others_have_ids_are_taken_as_well() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let mut created = message(&connected, 1);
    created["event"] = json!({
        "type": "channel_created", "channel": { "id": "C0NEW", "name": "new" }, "event_ts": "1800014400.000100",
    });
    let mut joined = message(&connected, 2);
    joined["event"] = json!({ "type": "team_join", "user": { "id": "U0NEW" }, "event_ts": "1800014400.000200" });
    for body in [&created, &joined] {
        accepted(&send(event(&system, &connected.signing_secret, body)).await, &body.to_string());
    }
    pool.wait_for(2).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_known_channel_costs_no_store_call_for_a_minute() {
    let system = System::start().await;
    let (connected, _pool) = seed::connected(&system).await;
    let rounds = async |number: u32| {
        let id = format!("cache-{}-{number}", random_hex(4));
        let request = event(&system, &connected.signing_secret, &message(&connected, number));
        accepted(&send(request.header("x-request-id", &id)).await, "an event");
        let lines = system.logs.of_request(&id);
        let line = lines.iter().find(|line| line["message"] == "request").expect("a request is logged");
        line["storeRounds"].as_u64().expect("rounds are counted")
    };
    assert_eq!(rounds(1).await, 2);
    assert_eq!(rounds(2).await, 0);
    system.clock.advance(Duration::from_secs(59));
    assert_eq!(rounds(3).await, 0);
    system.clock.advance(Duration::from_secs(1));
    assert_eq!(rounds(4).await, 2);
    system.shutdown().await;
}

#[tokio::test]
async fn a_channel_that_is_connected_is_found_after_ten_seconds_at_most() {
    let system = System::start().await;
    let pool = seed::pool(&system, "pool-1", None).await;
    let bot = seed::bot(&system, "bot-1", &pool).await;
    let body = slack::message("T0ONE", "A0ONE", "C0GENERAL", 1);
    refused(&send(event(&system, &random_hex(16), &body)).await, "before");
    let connected = seed::channel(&system, "channel-1", &bot, &pool, "T0ONE", "A0ONE").await;
    refused(&send(event(&system, &connected.signing_secret, &body)).await, "still remembered as unknown");
    system.clock.advance(Duration::from_secs(10));
    accepted(&send(event(&system, &connected.signing_secret, &body)).await, "looked up again");
}

#[tokio::test]
async fn many_strangers_get_the_same_answer_and_a_customer_still_gets_through() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 1))).await, "before");
    for number in 0..200 {
        let body = slack::message(&format!("T0STRANGER{number}"), "A0NOBODY", "C0GENERAL", 1);
        refused(&send(event(&system, &connected.signing_secret, &body)).await, "a stranger");
    }
    let endless = slack::message(&"T".repeat(100_000), "A0NOBODY", "C0GENERAL", 1);
    refused(&send(event(&system, &connected.signing_secret, &endless)).await, "an id of 100,000 characters");
    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 2))).await, "after");
    eventually("both are delivered", async || pool.seen().len() == 2).await;
    system.shutdown().await;
}

#[tokio::test]
async fn no_other_method_is_answered_before_the_signature_is_checked() {
    let system = System::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        refused(&send(system.request(method.clone(), EVENTS)).await, method.as_str());
    }
    let at = (system.clock.now() - 1.second()).as_second().to_string();
    let secret = system.settings.slack_signing_secret.clone();
    let body = json!({ "type": "url_verification", "challenge": "c" }).to_string();
    let request = system
        .request(Method::PUT, EVENTS)
        .header("x-slack-signature", signature(&secret, &at, body.as_bytes()))
        .header("x-slack-request-timestamp", at)
        .body(body);
    assert_eq!(send(request).await.status, 405);
}
