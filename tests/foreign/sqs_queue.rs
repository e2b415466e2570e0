//! Accepted events on their way through SQS: from the front door into a FIFO queue, and in batches into the relay.
//!
//! The real AWS client calls an emulator. The emulator cannot show effects that take minutes on its own clock (the end
//! of a visibility time-out and of the deduplication window), nor that a deduplication id outlives its message: moto
//! drops both together. `queue_promises` tests those on this machine's queue only.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod emulator;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_sqs::{
    Client,
    primitives::Blob,
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use axum::{Router, body::Body};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use emulator::{config, unique_name};
use http::{Request, Response, StatusCode};
use portcullis_auth::{Clock, SignedHeaders, SigningSecret};
use portcullis_runtime::{
    SystemClock, SystemRandomness,
    metrics::Metric,
    queue::{EventQueue, PAYLOAD_ATTRIBUTE, QueueError, SqsQueue},
};
use portcullis_tests::{
    in_process::{Delivery, InProcess, StandInPool},
    queue_promises::{Time, keeps_the_queues_promises},
};
use relay::{GIVE_UP_AFTER, Relay};
use serde_json::json;
use tower::ServiceExt;

const SIGNING_SECRET: &str = "not-a-secret-signing-secret";
const DELIVERY_SECRET: &str = "not-a-secret-delivery-secret";
const PLATFORM_SECRET: &str = "not-a-secret-platform-secret";

/// The real clock, which SQS uses and a test cannot move.
struct RealTime;

impl Time for RealTime {
    #[expect(clippy::disallowed_methods, reason = "the emulator has a clock of its own")]
    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn can_leap(&self) -> bool {
        false
    }

    fn remembers_acknowledged(&self) -> bool {
        false
    }
}

/// The queue and its dead-letter queue, with the template's attributes.
struct Queues {
    client: Client,
    events: String,
    dead: String,
}

impl Queues {
    async fn make() -> Self {
        use QueueAttributeName::{
            ContentBasedDeduplication, DeduplicationScope, FifoQueue, FifoThroughputLimit, MaximumMessageSize,
            QueueArn, RedrivePolicy, VisibilityTimeout,
        };
        let client = Client::new(&config(&emulator::url()));
        let name = unique_name("events");
        let attributes = [
            (FifoQueue, "true"),
            (DeduplicationScope, "messageGroup"),
            (FifoThroughputLimit, "perMessageGroupId"),
            (ContentBasedDeduplication, "false"),
            (MaximumMessageSize, "1048576"),
        ];
        let attributes: HashMap<_, _> = attributes.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
        let dead = client.create_queue().queue_name(format!("{name}-dead.fifo"));
        let dead = dead.set_attributes(Some(attributes.clone())).send().await.unwrap().queue_url.unwrap();
        let found = client.get_queue_attributes().queue_url(&dead).attribute_names(QueueArn).send().await.unwrap();
        let dead_arn = &found.attributes.unwrap()[&QueueArn];
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": 1000 }).to_string();
        let events = client.create_queue().queue_name(format!("{name}.fifo")).set_attributes(Some(attributes));
        let events = events.attributes(VisibilityTimeout, "180").attributes(RedrivePolicy, redrive);
        let events = events.send().await.unwrap().queue_url.unwrap();
        Self { client, events, dead }
    }

    fn queue(&self) -> SqsQueue {
        SqsQueue::new(&config(&emulator::url()), self.events.clone(), Some(self.dead.clone()))
    }

    /// One poll of the event source mapping: receives up to `limit` messages, invokes the relay, and deletes the
    /// messages that are not reported as failed. Returns how many were received and how many failed.
    async fn poll(&self, relay: &Relay, limit: i32) -> (usize, usize) {
        let received = self.client.receive_message().queue_url(&self.events).max_number_of_messages(limit);
        let received = received.wait_time_seconds(1).message_system_attribute_names(MessageSystemAttributeName::All);
        let received = received.message_attribute_names("All");
        let messages = received.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return (0, 0);
        }
        let records: Vec<_> = messages
            .iter()
            .map(|message| {
                let attributes = message.attributes.iter().flatten();
                let attributes: HashMap<_, _> = attributes.map(|(name, value)| (name.as_str(), value)).collect();
                json!({
                    "messageId": message.message_id, "receiptHandle": message.receipt_handle, "body": message.body,
                    "attributes": attributes, "messageAttributes": message_attributes(message), "md5OfBody": message.md5_of_body,
                    "eventSource": "aws:sqs", "awsRegion": "us-east-1",
                    "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:events.fifo",
                })
            })
            .collect();
        let event: SqsEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
        let response = relay::sqs_event::handle(relay, event).await;
        let failed: Vec<_> = response.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
        for message in &messages {
            if !failed.contains(&message.message_id.as_ref().unwrap()) {
                let delete = self.client.delete_message().queue_url(&self.events);
                delete.receipt_handle(message.receipt_handle.as_deref().unwrap()).send().await.unwrap();
            }
        }
        (messages.len(), failed.len())
    }

    /// Text and payload of each dead letter.
    async fn dead_letters(&self) -> Vec<(String, Vec<u8>)> {
        let received = self.client.receive_message().queue_url(&self.dead).max_number_of_messages(10);
        let received = received.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        let content = |message: Message| {
            let payload = message.message_attributes.and_then(|mut attributes| attributes.remove(PAYLOAD_ATTRIBUTE));
            let payload = payload.and_then(|payload| payload.binary_value).map(Blob::into_inner).unwrap_or_default();
            (message.body.unwrap(), payload)
        };
        received.into_iter().map(content).collect()
    }
}

/// Message attributes as Lambda passes them.
fn message_attributes(message: &Message) -> serde_json::Value {
    let attributes = message.message_attributes.iter().flatten().map(|(name, value)| {
        let binary = value.binary_value.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes.as_ref()));
        (name.clone(), json!({ "dataType": value.data_type, "binaryValue": binary, "stringListValues": [], "binaryListValues": [] }))
    });
    attributes.collect::<serde_json::Map<_, _>>().into()
}

/// The front door and the relay with SQS between them.
struct Path {
    queues: Queues,
    machine: InProcess,
    slack: Router,
    relay: Relay,
    pool: StandInPool,
}

impl Path {
    async fn to_pool(answer: impl Fn(&Delivery) -> StatusCode + Clone + Send + Sync + 'static) -> Self {
        let queues = Queues::make().await;
        // The real time, because SQS stamps messages with it.
        let mut machine = InProcess::start([("SLACK_SIGNING_SECRET", PLATFORM_SECRET)], SystemClock.now()).await;
        machine.environment.queue = Some(Arc::new(queues.queue()));
        let pool = StandInPool::start(answer).await;
        machine.connect_demo(pool.address, SIGNING_SECRET, DELIVERY_SECRET).await;
        let slack = slack::start(&machine.environment).await.unwrap();
        let relay = Relay::start(&machine.environment).await.unwrap();
        Self { queues, machine, slack, relay, pool }
    }

    /// Sends a message of a Slack channel to the front door.
    async fn say(&self, slack_channel: &str, id: u32, text: &str) -> Response<Body> {
        let body = json!({
            "type": "event_callback", "team_id": "T00DEMO", "api_app_id": "A00DEMO", "event_id": format!("Ev{id}"),
            "event": {
                "type": "message", "channel": slack_channel, "user": "U1", "text": text, "event_ts": format!("17.{id}"),
            },
        });
        let body = body.to_string();
        let timestamp = self.machine.clock.now().as_second().to_string();
        let signature = SigningSecret::new(SIGNING_SECRET.into()).sign(&timestamp, body.as_bytes());
        let request = Request::post("/api/slack/events")
            .header("content-type", "application/json")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature)
            .body(Body::from(body))
            .unwrap();
        self.slack.clone().oneshot(request).await.unwrap()
    }

    /// Polls until the pool has received `count` deliveries; panics after a time-out.
    async fn poll_until_received(&self, count: usize) {
        let polls = async {
            while self.pool.received().len() < count {
                self.queues.poll(&self.relay, 1).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), polls).await.expect("the deliveries arrive");
    }

    /// Texts of the pool's deliveries, in order.
    fn texts(&self) -> Vec<String> {
        self.pool.received().iter().map(text).collect()
    }
}

fn text(delivery: &Delivery) -> String {
    let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
    body["event"]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_sqs_queue_keeps_the_promises_of_every_queue() {
    let queues = Queues::make().await;
    keeps_the_queues_promises(&queues.queue(), &RealTime, &SystemRandomness).await;
}

#[tokio::test]
async fn an_event_goes_through_sqs_to_its_pool_once_and_signed() {
    let path = Path::to_pool(|_| StatusCode::OK).await;
    for _ in 0..3 {
        assert_eq!(path.say("C1", 1, "once").await.status(), StatusCode::OK);
    }
    assert_eq!(path.queues.poll(&path.relay, 10).await, (1, 0), "SQS drops what it has seen");
    assert_eq!(path.queues.poll(&path.relay, 10).await, (0, 0), "what was delivered is removed");
    let received = path.pool.received();
    let [delivery] = received.as_slice() else { panic!("{received:?}") };
    let header = |name: &str| delivery.headers.get(name).map(http::HeaderValue::as_bytes);
    let (timestamp, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
    let signed = SignedHeaders::parse(timestamp, signature, path.machine.clock.now()).unwrap();
    signed.verify(&SigningSecret::new(DELIVERY_SECRET.into()), &delivery.body).unwrap();
    path.machine.end().await;
}

#[tokio::test]
async fn an_event_that_sqs_has_forgotten_is_still_delivered_once() {
    let path = Path::to_pool(|_| StatusCode::OK).await;
    assert_eq!(path.say("C1", 1, "once").await.status(), StatusCode::OK);
    path.poll_until_received(1).await;
    // A new queue has no deduplication history, as SQS after its five minutes.
    let fresh = Queues::make().await;
    let mut environment = path.machine.environment.clone();
    environment.queue = Some(Arc::new(fresh.queue()));
    let slack = slack::start(&environment).await.unwrap();
    let again = Path { slack, relay: Relay::start(&environment).await.unwrap(), queues: fresh, ..path };
    assert_eq!(again.say("C1", 1, "once").await.status(), StatusCode::OK);
    assert_eq!(again.queues.poll(&again.relay, 10).await, (1, 0));
    assert_eq!(again.texts(), ["once"]);
    assert_eq!(again.machine.environment.metrics.total(Metric::EventDuplicate), 1);
    again.machine.end().await;
}

#[tokio::test]
async fn a_refused_delivery_comes_again_in_order_and_holds_up_no_other_conversation() {
    let refusals = Arc::new(AtomicUsize::new(2));
    let path = Path::to_pool(move |delivery| {
        let is_slow = text(delivery).starts_with("slow");
        let refused =
            is_slow && refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if refused { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    })
    .await;
    for (channel, id, text) in [("C1", 1, "slow 1"), ("C1", 2, "slow 2"), ("C2", 3, "quick 1"), ("C2", 4, "quick 2")] {
        assert_eq!(path.say(channel, id, text).await.status(), StatusCode::OK);
    }
    path.poll_until_received(6).await;
    let texts = path.texts();
    let of = |start: &str| texts.iter().filter(|text| text.starts_with(start)).cloned().collect::<Vec<_>>();
    assert_eq!(of("slow"), ["slow 1", "slow 1", "slow 1", "slow 2"]);
    assert_eq!(of("quick"), ["quick 1", "quick 2"]);
    let last_quick = texts.iter().position(|text| text == "quick 2").unwrap();
    let second_try = texts.iter().enumerate().filter(|(_, text)| *text == "slow 1").nth(2).unwrap().0;
    assert!(last_quick < second_try, "{texts:?}");
    assert_eq!(path.machine.environment.metrics.total(Metric::DeliveryFailed), 2);
    path.machine.end().await;
}

#[tokio::test]
async fn a_message_is_not_delivered_before_a_failed_one_of_its_group() {
    let path = Path::to_pool(|_| StatusCode::SERVICE_UNAVAILABLE).await;
    for id in 1..=3 {
        assert_eq!(path.say("C1", id, &format!("message {id}")).await.status(), StatusCode::OK);
    }
    // Only the first message of the group is tried, however many of them the batch holds.
    let (taken, failed) = path.queues.poll(&path.relay, 10).await;
    assert_eq!((taken, failed), (failed, taken), "all that was taken comes back");
    assert_eq!(path.texts(), ["message 1"]);
    path.machine.end().await;
}

#[tokio::test]
async fn the_largest_body_goes_through_as_it_was() {
    let path = Path::to_pool(|_| StatusCode::OK).await;
    // Characters that SQS accepts in no message body.
    let text = "\u{fffe}\u{ffff}".repeat(170 * 1024);
    assert_eq!(path.say("C1", 1, &text).await.status(), StatusCode::OK);
    path.poll_until_received(1).await;
    assert!(path.texts() == [text]);
    path.machine.end().await;
}

#[tokio::test]
async fn a_message_that_is_no_event_lies_in_the_dead_letter_queue_and_holds_up_nothing() {
    let path = Path::to_pool(|_| StatusCode::OK).await;
    let send = path.queues.client.send_message().queue_url(&path.queues.events).message_group_id("group");
    send.message_deduplication_id("1").message_body("this is not an event").send().await.unwrap();
    assert_eq!(path.queues.poll(&path.relay, 10).await, (1, 0));
    assert_eq!(path.queues.dead_letters().await, [("this is not an event".to_owned(), Vec::new())]);
    assert_eq!(path.queues.poll(&path.relay, 10).await, (0, 0));
    path.machine.end().await;
}

#[tokio::test]
async fn an_event_that_could_not_be_delivered_for_24_hours_lies_in_the_dead_letter_queue() {
    let path = Path::to_pool(|_| StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(path.say("C1", 1, "never").await.status(), StatusCode::OK);
    assert_eq!(path.queues.poll(&path.relay, 10).await, (1, 1));
    path.machine.clock.advance(GIVE_UP_AFTER + Duration::from_hours(1));
    let buried = async { while path.queues.poll(&path.relay, 10).await != (1, 0) {} };
    tokio::time::timeout(Duration::from_secs(10), buried).await.expect("it comes again");
    let dead = path.queues.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert!(String::from_utf8_lossy(&dead[0].1).contains("never"), "{dead:?}");
    assert_eq!(path.texts(), ["never"], "it was tried once, and not after its time");
    path.machine.end().await;
}

#[tokio::test]
async fn while_sqs_is_away_slack_is_asked_to_send_again() {
    let path = Path::to_pool(|_| StatusCode::OK).await;
    let proxy = emulator::Proxy::start().await;
    let mut environment = path.machine.environment.clone();
    environment.queue = Some(Arc::new(SqsQueue::new(&config(&proxy.url), path.queues.events.clone(), None)));
    let slack = slack::start(&environment).await.unwrap();
    let path = Path { slack, ..path };
    proxy.cut();
    let answer = path.say("C1", 1, "later").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    proxy.recover();
    assert_eq!(path.say("C1", 1, "later").await.status(), StatusCode::OK);
    path.poll_until_received(1).await;
    path.machine.end().await;
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_a_refusal_and_one_that_is_away_is_not() {
    let queues = Queues::make().await;
    let missing = SqsQueue::new(&config(&emulator::url()), format!("{}-not-there.fifo", emulator::url()), None);
    assert!(matches!(missing.receive(1, Duration::ZERO).await, Err(QueueError::Refused(_))));
    let proxy = emulator::Proxy::start().await;
    proxy.cut();
    let away = SqsQueue::new(&config(&proxy.url), queues.events.clone(), None);
    assert!(matches!(away.receive(1, Duration::ZERO).await, Err(QueueError::Unavailable(_))));
}
