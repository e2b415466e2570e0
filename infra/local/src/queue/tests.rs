//! What the table adds to the queue's promises: restarts, bodies of several rows, writes whose answer was lost. The
//! promises themselves are held in `tests/`, where SQS is held to them as well.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_types::SdkConfig;
use futures_util::FutureExt;
use portcullis_crypto::Digest;

use super::*;
use crate::database::Database;

struct MovableClock(Mutex<Timestamp>);

impl MovableClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::from_second(1_800_000_000).unwrap())))
    }

    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Setting {
    clock: Arc<MovableClock>,
    database: Database,
}

impl Setting {
    fn new() -> Self {
        let clock = MovableClock::new();
        let database = Database::start(None, clock.clone()).unwrap();
        Self { clock, database }
    }

    /// The queue as it is after a restart of the process.
    async fn open(&self) -> TableQueue {
        self.open_through(&self.database.sdk_config()).await
    }

    async fn open_through(&self, aws: &SdkConfig) -> TableQueue {
        TableQueue::open(Client::new(aws), self.clock.clone()).await.unwrap()
    }
}

fn message(group: &str, deduplication: &str, body: &str) -> NewMessage {
    let digest = |text: &str| Digest::of(text.as_bytes());
    NewMessage {
        group: digest(group),
        deduplication: digest(deduplication),
        body: body.to_owned(),
        payload: Bytes::new(),
    }
}

async fn now(queue: &TableQueue) -> Vec<ReceivedMessage> {
    queue.receive(10, Duration::from_millis(100)).await.unwrap()
}

fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[tokio::test]
async fn after_a_restart_everything_unacknowledged_is_due_at_once_in_its_old_order() {
    let setting = Setting::new();
    let queue = setting.open().await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")] {
        queue.send(&message(group, body, body)).await.unwrap();
    }
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["a1", "b1", "c1"]);
    queue.defer(&out[0], Duration::from_hours(1)).await.unwrap();
    queue.acknowledge(&out[2]).await.unwrap();
    drop(queue);

    let queue = setting.open().await;
    let again = now(&queue).await;
    assert_eq!(bodies(&again), ["a1", "b1"], "the deferred one, the one in flight, and not the acknowledged one");
    assert_eq!(again[0].receive_count, 2, "a deferral is remembered");
    queue.acknowledge(&again[0]).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["a2"]);
    queue.send(&message("c", "c2", "c2")).await.unwrap();
    let later = now(&queue).await;
    assert!(later[0].id > again[1].id, "what is sent after the restart comes after what was sent before");
}

#[tokio::test]
async fn a_duplicate_is_recognised_after_a_restart_until_its_window_has_passed() {
    let setting = Setting::new();
    let queue = setting.open().await;
    queue.send(&message("a", "1", "first")).await.unwrap();
    queue.acknowledge(&now(&queue).await[0]).await.unwrap();
    drop(queue);

    let queue = setting.open().await;
    queue.send(&message("a", "1", "second")).await.unwrap();
    assert!(now(&queue).await.is_empty());
    setting.clock.advance(portcullis_runtime::queue::DEDUPLICATION_WINDOW);
    queue.send(&message("a", "1", "third")).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["third"]);
}

#[tokio::test]
async fn a_payload_of_several_rows_comes_back_whole_and_leaves_nothing_behind() {
    let setting = Setting::new();
    let queue = setting.open().await;
    let payload = Bytes::from(vec![0xff; MESSAGE_LIMIT - 1]);
    let large = NewMessage { payload: payload.clone(), ..message("a", "1", "x") };
    queue.send(&large).await.unwrap();
    queue.send(&large).await.unwrap();
    drop(queue);
    let queue = setting.open().await;
    let out = now(&queue).await;
    assert!(out.len() == 1 && out[0].payload == payload);
    queue.dead_letter(&out[0]).await.unwrap();
    setting.clock.advance(portcullis_runtime::queue::DEDUPLICATION_WINDOW);
    queue.acknowledge(&out[0]).await.unwrap();
    let client = Client::new(&setting.database.sdk_config());
    let left = client.scan().table_name(QUEUE_TABLE).send().await.unwrap();
    assert_eq!(left.count, 0);
    assert_eq!(queue.dead_letters().await.unwrap()[0].bytes, payload.len());
    assert_eq!(queue.redrive().await.unwrap(), 1);
    assert!(now(&queue).await[0].payload == payload);
    let too_long = queue.send(&message("a", "2", &"x".repeat(MESSAGE_LIMIT + 1))).await.unwrap_err();
    assert!(matches!(too_long, QueueError::Refused(_)), "{too_long}");
}

#[tokio::test]
async fn dead_letters_are_listed_and_sent_again_in_their_order_with_a_new_time() {
    let setting = Setting::new();
    let queue = setting.open().await;
    for body in ["one", "two"] {
        queue.send(&message("a", body, body)).await.unwrap();
        let out = now(&queue).await;
        queue.dead_letter(&out[0]).await.unwrap();
        queue.acknowledge(&out[0]).await.unwrap();
    }
    let letters = queue.dead_letters().await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.bytes).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(letters[0].receive_count, 1);
    setting.clock.advance(Duration::from_mins(1));
    assert_eq!(queue.redrive().await.unwrap(), 2, "though both are within their deduplication window");
    assert_eq!(queue.dead_letters().await.unwrap(), []);
    let first = now(&queue).await;
    assert_eq!((bodies(&first), first[0].receive_count), (vec!["one"], 1));
    assert_eq!(first[0].sent_at, setting.clock.now());
    queue.acknowledge(&first[0]).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["two"]);
    assert_eq!(queue.redrive().await.unwrap(), 0);
}

/// Passes calls on, but loses the answer to the first write of an item.
#[derive(Debug)]
struct LosesFirstAnswer {
    connector: SharedHttpConnector,
    lost: Arc<AtomicBool>,
}

impl HttpConnector for LosesFirstAnswer {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_write = request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(".PutItem"));
        let (connector, lost) = (self.connector.clone(), Arc::clone(&self.lost));
        HttpConnectorFuture::new(async move {
            let answer = connector.call(request).await?;
            if is_write && !lost.swap(true, Ordering::Relaxed) {
                return Err(ConnectorError::io("the connection broke".into()));
            }
            Ok(answer)
        })
    }
}

fn lose_first_answer(aws: &SdkConfig) -> SdkConfig {
    let (client, lost) = (aws.http_client().unwrap(), Arc::new(AtomicBool::new(false)));
    let client = http_client_fn(move |settings: &HttpConnectorSettings, components: &RuntimeComponents| {
        let connector = client.http_connector(settings, components);
        SharedHttpConnector::new(LosesFirstAnswer { connector, lost: Arc::clone(&lost) })
    });
    aws.to_builder().http_client(client).build()
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_delivered_once() {
    let setting = Setting::new();
    let queue = setting.open_through(&lose_first_answer(&setting.database.sdk_config())).await;
    // The client may try again by itself, or give up; Slack then sends again.
    let _ = queue.send(&message("a", "1", "body")).await;
    queue.send(&message("a", "1", "body")).await.unwrap();
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["body"]);
    queue.acknowledge(&out[0]).await.unwrap();
    assert!(now(&queue).await.is_empty());
}

#[tokio::test]
async fn a_message_whose_sender_gave_up_waiting_is_found() {
    let setting = Setting::new();
    let queue = setting.open().await;
    let other = setting.open().await;
    // Stored by another hand: as if the sender had gone between the write and its answer.
    other.send(&message("a", "1", "body")).await.unwrap();
    assert!(now(&queue).await.is_empty(), "it is not known yet");
    queue.lock().doubt(message_id("a", "1"));
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["body"]);
    assert!(queue.lock().doubts.is_empty());
    // A send that is dropped before its end is doubted.
    let dropped = message("b", "2", "other");
    assert!(queue.send(&dropped).now_or_never().is_none());
    assert_eq!(queue.lock().doubts.len(), 1);
}

fn message_id(group: &str, deduplication: &str) -> String {
    let message = message(group, deduplication, "");
    format!("{}/{}", message.group.to_hex(), message.deduplication.to_hex())
}
