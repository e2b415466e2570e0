//! Promises of the SQLite file beyond those of every queue: restarts, senders that give up, a file that fails. `tests/`
//! checks the common promises, also against SQS.

use bytes::Bytes;
use futures_util::FutureExt;
use portcullis_crypto::Digest;

use super::*;

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
    folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        Self { clock: MovableClock::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> String {
        self.folder.path().join("queue.db").to_str().unwrap().to_owned()
    }

    /// Opens the queue as after a restart of the process.
    fn open(&self) -> SqliteQueue {
        SqliteQueue::open(Some(&self.file()), Durability::PowerCut, self.clock.clone()).unwrap()
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

async fn now(queue: &SqliteQueue) -> Vec<ReceivedMessage> {
    queue.receive(10, Duration::from_millis(100)).await.unwrap()
}

fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn rows(queue: &SqliteQueue, table: &str) -> u32 {
    queue
        .with(|connection| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)))
        .unwrap()
}

#[tokio::test]
async fn after_a_restart_everything_unacknowledged_is_due_at_once_in_its_old_order() {
    let setting = Setting::new();
    let queue = setting.open();
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")] {
        queue.send(&message(group, body, body)).await.unwrap();
    }
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["a1", "b1", "c1"]);
    queue.defer(&out[0], Duration::from_hours(1)).await.unwrap();
    queue.acknowledge(&out[2]).await.unwrap();
    drop(queue);

    let queue = setting.open();
    let again = now(&queue).await;
    assert_eq!(bodies(&again), ["a1", "b1"], "the deferred one, the one in flight, and not the acknowledged one");
    assert_eq!(again[0].receive_count, 2, "a deferral is remembered");
    queue.acknowledge(&again[0]).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["a2"]);
    queue.send(&message("c", "c2", "c2")).await.unwrap();
    let later = now(&queue).await;
    let number = |message: &ReceivedMessage| message.id.parse::<u64>().unwrap();
    assert!(number(&later[0]) > number(&again[1]), "a message that is sent after the restart has a higher number");
}

#[tokio::test]
async fn numbers_grow_across_restarts_after_all_messages_are_gone() {
    let setting = Setting::new();
    let mut numbers = Vec::new();
    for body in ["one", "two"] {
        let queue = setting.open();
        queue.send(&message("a", body, body)).await.unwrap();
        let out = now(&queue).await;
        queue.acknowledge(&out[0]).await.unwrap();
        numbers.push(out[0].id.parse::<u64>().unwrap());
    }
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later), "{numbers:?}");
}

#[tokio::test]
async fn a_duplicate_is_recognised_after_a_restart_until_its_window_has_passed() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("a", "1", "first")).await.unwrap();
    queue.acknowledge(&now(&queue).await[0]).await.unwrap();
    drop(queue);

    let queue = setting.open();
    queue.send(&message("a", "1", "second")).await.unwrap();
    assert!(now(&queue).await.is_empty());
    setting.clock.advance(DEDUPLICATION_WINDOW);
    queue.send(&message("a", "1", "third")).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["third"]);
}

#[tokio::test]
async fn ids_of_acknowledged_messages_are_deleted_after_their_window() {
    let setting = Setting::new();
    let queue = setting.open();
    for number in 0..20 {
        queue.send(&message("a", &number.to_string(), "x")).await.unwrap();
        queue.acknowledge(&now(&queue).await[0]).await.unwrap();
    }
    assert_eq!(rows(&queue, "acknowledged"), 20);
    setting.clock.advance(DEDUPLICATION_WINDOW);
    for number in 20..23 {
        queue.send(&message("a", &number.to_string(), "x")).await.unwrap();
        queue.acknowledge(&now(&queue).await[0]).await.unwrap();
    }
    assert_eq!(rows(&queue, "acknowledged"), 3);
}

#[tokio::test]
async fn a_message_of_the_largest_size_comes_back_whole_and_leaves_nothing_behind() {
    let setting = Setting::new();
    let queue = setting.open();
    let payload = Bytes::from(vec![0xff; MESSAGE_LIMIT - 1]);
    let large = NewMessage { payload: payload.clone(), ..message("a", "1", "x") };
    queue.send(&large).await.unwrap();
    queue.send(&large).await.unwrap();
    drop(queue);
    let queue = setting.open();
    let out = now(&queue).await;
    assert!(out.len() == 1 && out[0].payload == payload);
    queue.dead_letter(&out[0]).await.unwrap();
    setting.clock.advance(DEDUPLICATION_WINDOW);
    queue.acknowledge(&out[0]).await.unwrap();
    assert_eq!((rows(&queue, "messages"), rows(&queue, "acknowledged")), (0, 0));
    assert_eq!(queue.dead_letters().unwrap()[0].bytes, payload.len());
    assert_eq!(queue.redrive().await.unwrap(), 1);
    assert!(now(&queue).await[0].payload == payload);
    let too_long = queue.send(&message("a", "2", &"x".repeat(MESSAGE_LIMIT + 1))).await.unwrap_err();
    assert!(matches!(too_long, QueueError::Refused(_)), "{too_long}");
}

#[tokio::test]
async fn dead_letters_are_listed_and_sent_again_in_their_order_with_a_new_time() {
    let setting = Setting::new();
    let queue = setting.open();
    for body in ["one", "two"] {
        queue.send(&message("a", body, body)).await.unwrap();
        let out = now(&queue).await;
        queue.dead_letter(&out[0]).await.unwrap();
        // Repeated, as after a lost answer.
        queue.dead_letter(&out[0]).await.unwrap();
        queue.acknowledge(&out[0]).await.unwrap();
    }
    let letters = queue.dead_letters().unwrap();
    assert_eq!(letters.iter().map(|letter| letter.bytes).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(letters[0].receive_count, 1);
    setting.clock.advance(Duration::from_mins(1));
    assert_eq!(queue.redrive().await.unwrap(), 2, "though both are within their deduplication window");
    assert_eq!(queue.dead_letters().unwrap(), []);
    let first = now(&queue).await;
    assert_eq!((bodies(&first), first[0].receive_count), (vec!["one"], 1));
    assert_eq!(first[0].sent_at, setting.clock.now());
    queue.acknowledge(&first[0]).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["two"]);
    assert_eq!(queue.redrive().await.unwrap(), 0);
}

#[tokio::test]
async fn a_dead_letter_waits_behind_its_conversation_and_a_queued_one_is_enough() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("a", "1", "one")).await.unwrap();
    let out = now(&queue).await;
    queue.dead_letter(&out[0]).await.unwrap();
    queue.acknowledge(&out[0]).await.unwrap();
    queue.send(&message("a", "2", "two")).await.unwrap();
    assert_eq!(queue.redrive().await.unwrap(), 1);
    let second = now(&queue).await;
    assert_eq!(bodies(&second), ["two"], "one of a conversation at a time");
    queue.acknowledge(&second[0]).await.unwrap();
    let first = now(&queue).await;
    assert_eq!(bodies(&first), ["one"]);
    queue.dead_letter(&first[0]).await.unwrap();
    assert_eq!(queue.redrive().await.unwrap(), 1);
    queue.acknowledge(&first[0]).await.unwrap();
    assert!(now(&queue).await.is_empty());
}

#[tokio::test]
async fn a_receipt_that_has_expired_defers_nothing() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("a", "1", "one")).await.unwrap();
    let old = now(&queue).await.remove(0);
    setting.clock.advance(VISIBILITY);
    let current = now(&queue).await.remove(0);
    let refused = queue.defer(&old, Duration::from_hours(1)).await.unwrap_err();
    assert!(matches!(refused, QueueError::Refused(_)), "{refused}");
    queue.defer(&current, Duration::ZERO).await.unwrap();
    let last = now(&queue).await.remove(0);
    queue.acknowledge(&last).await.unwrap();
    let refused = queue.defer(&last, Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, QueueError::Refused(_)), "{refused}");
}

#[tokio::test]
async fn a_sender_that_gives_up_leaves_a_whole_message_or_none() {
    let setting = Setting::new();
    let queue = setting.open();
    let sent = message("a", "1", "body");
    drop(queue.send(&sent));
    assert!(now(&queue).await.is_empty(), "a future that was never polled has done nothing");
    // The sender gives up before it learns that the message is durable; Slack then sends again.
    let _ = queue.send(&sent).now_or_never();
    queue.send(&sent).await.unwrap();
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["body"]);
    queue.acknowledge(&out[0]).await.unwrap();
    assert!(now(&queue).await.is_empty());
}

#[tokio::test]
async fn a_receiver_that_gives_up_takes_no_message_with_it() {
    let setting = Setting::new();
    let queue = setting.open();
    assert!(queue.receive(10, Duration::from_mins(1)).now_or_never().is_none(), "it waits");
    queue.send(&message("a", "1", "body")).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["body"]);
}

#[tokio::test]
async fn a_waiting_receive_gets_a_message_that_is_sent_meanwhile() {
    let setting = Setting::new();
    let queue = setting.open();
    let sent = message("a", "1", "body");
    let (received, sent) = tokio::join!(queue.receive(10, Duration::from_mins(1)), queue.send(&sent));
    sent.unwrap();
    assert_eq!(bodies(&received.unwrap()), ["body"]);
}

#[tokio::test]
async fn a_queue_that_has_ended_refuses_everything() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("a", "1", "one")).await.unwrap();
    let out = now(&queue).await;
    queue.close();
    let refusals = [
        queue.send(&message("a", "2", "two")).await.err(),
        queue.receive(1, Duration::ZERO).await.err(),
        queue.defer(&out[0], Duration::ZERO).await.err(),
        queue.acknowledge(&out[0]).await.err(),
        queue.dead_letter(&out[0]).await.err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(QueueError::Unavailable(_))), "{refusal:?}");
    }
    assert_eq!(bodies(&now(&setting.open()).await), ["one"]);
}

#[tokio::test]
async fn a_file_that_is_no_queue_is_named_with_what_to_do() {
    let setting = Setting::new();
    std::fs::write(setting.file(), "not a database".repeat(1000)).unwrap();
    let refused = SqliteQueue::open(Some(&setting.file()), Durability::PowerCut, setting.clock.clone()).err();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains(&setting.file()) && refused.contains("restore it from a backup"), "{refused}");
}

#[tokio::test]
async fn a_file_that_takes_no_writes_makes_the_queue_unavailable_and_changes_nothing() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("a", "1", "one")).await.unwrap();
    let out = now(&queue).await;
    let takes_writes = |takes: bool| {
        queue.with(|connection| connection.pragma_update(None, "query_only", !takes)).unwrap();
    };
    takes_writes(false);
    let refusals = [
        queue.send(&message("b", "2", "two")).await.err(),
        queue.receive(1, Duration::ZERO).await.err(),
        queue.defer(&out[0], Duration::ZERO).await.err(),
        queue.acknowledge(&out[0]).await.err(),
        queue.dead_letter(&out[0]).await.err(),
        queue.redrive().await.err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(QueueError::Unavailable(_))), "{refusal:?}");
    }
    takes_writes(true);
    assert!(now(&queue).await.is_empty(), "one is in flight, and two was not taken");
    assert_eq!(queue.dead_letters().unwrap(), []);
    queue.acknowledge(&out[0]).await.unwrap();
    queue.send(&message("b", "2", "two")).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["two"]);
}

#[tokio::test]
async fn a_sync_that_fails_makes_each_write_unavailable_that_waits_for_it() {
    let setting = Setting::new();
    let queue = setting.open();
    // SQLite keeps its log file open and continues; the sync does not find the file.
    std::fs::remove_file(format!("{}-wal", setting.file())).unwrap();
    let refused = queue.send(&message("a", "1", "one")).await.unwrap_err();
    assert!(matches!(refused, QueueError::Unavailable(_)), "{refused}");
    let out = now(&queue).await;
    assert_eq!(bodies(&out), ["one"], "its sender sends it again, and that is a duplicate");
    let refused = queue.dead_letter(&out[0]).await.unwrap_err();
    assert!(matches!(refused, QueueError::Unavailable(_)), "{refused}");
}

#[tokio::test]
async fn everything_is_due_after_a_restart_though_the_clock_was_set_back() {
    let setting = Setting::new();
    let queue = setting.open();
    for body in ["one", "two"] {
        queue.send(&message("a", body, body)).await.unwrap();
    }
    drop(queue);
    *setting.clock.0.lock().unwrap() -= Duration::from_hours(1);
    let queue = setting.open();
    let first = now(&queue).await;
    assert_eq!(bodies(&first), ["one"]);
    queue.acknowledge(&first[0]).await.unwrap();
    assert_eq!(bodies(&now(&queue).await), ["two"]);
}

#[tokio::test]
async fn a_retry_is_not_kept_waiting_by_conversations_that_came_later() {
    let setting = Setting::new();
    let queue = setting.open();
    queue.send(&message("old", "1", "retried")).await.unwrap();
    let out = now(&queue).await;
    queue.defer(&out[0], Duration::from_secs(1)).await.unwrap();
    setting.clock.advance(Duration::from_secs(2));
    for number in 0..20 {
        queue.send(&message(&number.to_string(), "1", "new")).await.unwrap();
    }
    assert_eq!(bodies(&queue.receive(1, Duration::ZERO).await.unwrap()), ["retried"]);
}

#[tokio::test]
async fn the_files_of_a_queue_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let setting = Setting::new();
    let folder = crate::database::DataFolder::take(setting.folder.path()).unwrap();
    let file = folder.queue_file().unwrap();
    let queue = SqliteQueue::open(Some(&file), Durability::PowerCut, setting.clock.clone()).unwrap();
    queue.send(&message("a", "1", "one")).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{file}{suffix}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}{suffix}");
    }
}

/// Finding the next message must not scan the queue.
#[tokio::test]
async fn every_statement_of_the_queue_uses_an_index_at_each_step() {
    let setting = Setting::new();
    let queue = setting.open();
    let plan = |sql: &str| {
        queue
            .with(|connection| {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let parameters = vec![1; statement.parameter_count()];
                let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))?;
                rows.collect::<rusqlite::Result<Vec<String>>>()
            })
            .unwrap()
    };
    for sql in [SEND, RECEIVE, DEFER, REMOVE, FORGET, PROMOTE, DEAD_LETTER] {
        let plan = plan(sql);
        let is_scan = |step: &String| step.contains("SCAN ") && !step.contains("CONSTANT ROW");
        let is_sort = |step: &String| step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{sql}: {plan:#?}");
    }
}
