//! Real bodies of Slack, from public bug reports: each is accepted and reaches the pool byte for byte.

use portcullis_auth::Clock;
use portcullis_runtime::metrics::Metric;
use portcullis_store::ChannelStatus;
use portcullis_tests::{
    System, seed, slack,
    system::{eventually, send},
};
use serde_json::{Value, json};

use super::{EVENTS, accepted, event, message};

/// A message whose text is this JSON literal.
fn with_text(of: &seed::Connected, number: u32, literal: &str) -> String {
    let mut body = message(of, number);
    body["event"]["text"] = json!("@");
    body.to_string().replace("\"@\"", literal)
}

#[tokio::test]
async fn text_that_javascript_takes_is_delivered_to_the_byte() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let literals = [
        r#""cut \ud83d""#,
        r#""\ude00\ud83d\ud83d\ude00""#,
        "1e400",
        "-1e999",
        r#"{"\ud83d":1}"#,
        "\"\u{fffe}\u{ffff}\u{10ffff}\u{7f}\"",
        &deep,
    ];
    for (number, literal) in (1..).zip(literals) {
        let body = with_text(&connected, number, literal);
        let request = slack::signed(&system, EVENTS, &connected.signing_secret, body.clone(), system.clock.now());
        accepted(&send(request).await, &literal[..literal.len().min(20)]);
        let count = usize::try_from(number).expect("a few");
        let seen = pool.wait_for(count).await;
        assert!(seen.iter().any(|delivery| delivery.body == body.as_bytes()), "{literal:.20}");
    }
    system.shutdown().await;
}

#[tokio::test]
async fn an_id_of_more_than_255_characters_is_refused_before_it_is_queued() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let mut number = 0;
    for length in [255, 256, 150_000] {
        for path in ["channel", "user", "thread_ts", "event_ts", "ts", "subtype", "bot_id"] {
            number += 1;
            let mut body = message(&connected, number);
            body["event"][path] = json!("é".repeat(length));
            let answer = send(event(&system, &connected.signing_secret, &body)).await;
            if length == 255 {
                accepted(&answer, path);
            } else {
                assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!("malformed_json")), "{path}");
            }
        }
    }
    pool.wait_for(7).await;
    eventually("what was accepted is delivered", async || system.counted(Metric::EventDelivered) == 7).await;
    system.shutdown().await;
}

#[tokio::test]
async fn a_long_post_in_characters_of_three_bytes_and_its_earlier_state_fit() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let text = "漢".repeat(40_000);
    let mut body = message(&connected, 1);
    body["event"] = json!({
        "type": "message", "subtype": "message_changed", "channel": "C0GENERAL", "channel_type": "channel",
        "ts": "1800014401.000001", "event_ts": "1800014401.000001",
        "message": { "type": "message", "user": "U0PERSON", "text": text, "ts": "1800014400.000001",
            "edited": { "user": "U0PERSON", "ts": "1800014401.000000" },
            "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] },
        "previous_message": { "type": "message", "user": "U0PERSON", "text": text, "ts": "1800014400.000001",
            "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] },
    });
    assert!(body.to_string().len() > 469 * 1024);
    accepted(&send(event(&system, &connected.signing_secret, &body)).await, "a changed post");
    assert_eq!(pool.wait_for(1).await[0].body, body.to_string().as_bytes());
    system.shutdown().await;
}

#[tokio::test]
async fn each_edited_state_of_a_mention_is_an_event() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let mention = |number: u32, text: &str, edited: Option<&str>| {
        let mut body = message(&connected, 1);
        body["event_id"] = json!(format!("Ev0STATE{number}"));
        body["event"]["type"] = json!("app_mention");
        body["event"]["text"] = json!(text);
        if let Some(edited) = edited {
            body["event"]["edited"] = json!({ "user": "U0PERSON", "ts": edited });
        }
        body
    };
    let states = [
        mention(1, "He", None),
        mention(2, "Hello", Some("1800014401.000000")),
        mention(3, "Hello, bot", Some("1800014402.000000")),
    ];
    for body in states.iter().chain(&states) {
        accepted(&send(event(&system, &connected.signing_secret, body)).await, "a state");
    }
    let seen = pool.wait_for(3).await;
    let texts: Vec<_> = seen.iter().map(portcullis_tests::pool::Delivery::text).collect();
    assert_eq!(texts, ["He", "Hello", "Hello, bot"], "in order, and each once");
    system.shutdown().await;
}

#[tokio::test]
async fn a_notice_of_a_rate_limit_is_kept_here_and_holds_up_nothing() {
    let system = System::start().await;
    let (connected, pool) = seed::connected(&system).await;
    let notice = |of: &seed::Connected| {
        json!({
            "token": "deprecated", "type": "app_rate_limited", "team_id": of.team, "api_app_id": of.app,
            "minute_rate_limited": 1_800_014_400,
        })
    };
    accepted(&send(event(&system, &connected.signing_secret, &notice(&connected))).await, "a notice");
    assert_eq!((system.counted(Metric::AppRateLimited), system.counted(Metric::EventAccepted)), (1, 0));
    let channel = system.store().get_channel(&connected.channel).await.expect("it is read").expect("it is there");
    assert_eq!((channel.rate_limited_at, channel.status), (Some(system.clock.now()), ChannelStatus::Connected));
    let stranger = seed::Connected { team: "T0GONE".to_owned(), ..connected.clone() };
    let platforms = system.settings.slack_signing_secret.clone();
    accepted(&send(event(&system, &platforms, &notice(&stranger))).await, "of a workspace that is not connected");

    accepted(&send(event(&system, &connected.signing_secret, &message(&connected, 1))).await, "a message");
    let seen = pool.wait_for(1).await;
    assert_eq!(seen.len(), 1, "the pool gets no notice");
    system.shutdown().await;
}

#[tokio::test]
async fn in_a_shared_channel_the_team_that_is_connected_counts() {
    let system = System::start().await;
    let (_, pool) = seed::connected(&system).await;
    let bot = seed::bot(&system, "bot-2", &"pool-1".parse().expect("an id")).await;
    let ours = seed::platform_channel(&system, "channel-2", &bot, &"pool-1".parse().expect("an id"), "T0OURS").await;
    for (number, field) in (1..).zip(["team_id", "context_team_id"]) {
        let mut body: Value = message(&ours, number);
        body["team_id"] = json!("T0ELSEWHERE");
        body[field] = json!("T0OURS");
        body["authorizations"][0]["team_id"] = json!("T0THEIRS");
        accepted(&send(event(&system, &ours.signing_secret, &body)).await, field);
        let count = usize::try_from(number).expect("two");
        assert_eq!(pool.wait_for(count).await[count - 1].path, ours.delivery_path(), "{field}");
    }
    system.shutdown().await;
}
