//! The queue of accepted events on this machine: one SQLite file with the rules of SQS FIFO.
//!
//! Each method returns only once its effect is in the file: after the death of the process every message that was not
//! acknowledged is due at once, in its old order. With [`Durability::PowerCut`] messages and dead letters also survive
//! a power cut; acknowledgements and deferrals of its last moment do not, so that a message may be received once more.
//!
//! Stricter than SQS in one point: while a message is still queued after the deduplication window, another one with its
//! ids is still a duplicate.

mod dead_letters;
mod older;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_runtime::queue::{
    DEDUPLICATION_WINDOW, EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage, VISIBILITY,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::{sync::Notify, time::timeout};

use crate::wal_sync::{Durability, WalSync};
pub use dead_letters::DeadLetter;
pub use older::check_no_older_queue;

const SCHEMA: &str = include_str!("queue/schema.sql");

/// Largest message, text and payload together, as with SQS, in bytes.
const MESSAGE_LIMIT: usize = 1024 * 1024;
/// Interval at which a waiting receive reads the clock, which a test may have moved.
const TICK: Duration = Duration::from_millis(20);
/// Most expired ids that one acknowledgement deletes: more than it adds, so that they cannot pile up.
const SWEEP: u32 = 8;
/// Capacity of the cache of prepared statements: more than there are.
const STATEMENTS: usize = 32;

/// Inserts a message, unless its ids are those of another one that is queued or was acknowledged within the window.
const SEND: &str = "
    INSERT INTO messages (conversation, deduplication, body, payload, sent_at, receive_count, is_head, due_at)
    SELECT ?1, ?2, ?3, ?4, ?5, 0, NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1), ?5
    WHERE NOT EXISTS
        (SELECT 1 FROM acknowledged WHERE conversation = ?1 AND deduplication = ?2 AND until > ?5)
    ON CONFLICT (conversation, deduplication) DO NOTHING";

/// Hands out the heads that have been due longest, until their visibility time-out.
const RECEIVE: &str = "
    UPDATE messages SET due_at = ?2, receive_count = receive_count + 1
    WHERE sequence IN
        (SELECT sequence FROM messages WHERE is_head AND due_at <= ?1 ORDER BY due_at, sequence LIMIT ?3)
    RETURNING sequence, conversation, deduplication, body, payload, sent_at, receive_count";

/// Changes the time at which the message of a receipt is due. No change means that the receipt has expired.
const DEFER: &str = "UPDATE messages SET due_at = ?3 WHERE sequence = ?1 AND receive_count = ?2";

/// Removes a message.
const REMOVE: &str = "DELETE FROM messages WHERE sequence = ?1 RETURNING conversation, deduplication, sent_at";

/// Deletes some of the ids whose window has ended.
const FORGET: &str = "
    DELETE FROM acknowledged WHERE (conversation, deduplication) IN
        (SELECT conversation, deduplication FROM acknowledged WHERE until <= ?1 ORDER BY until LIMIT ?2)";

/// Makes the first message of a conversation its head, due now where the clock was set back since it was sent.
const PROMOTE: &str = "
    UPDATE messages SET is_head = TRUE, due_at = min(due_at, ?2)
    WHERE sequence = (SELECT min(sequence) FROM messages WHERE conversation = ?1) AND NOT is_head";

/// Copies a message to the dead letters. A repeated copy replaces the earlier one.
const DEAD_LETTER: &str = "
    INSERT OR REPLACE INTO dead_letters
    SELECT sequence, conversation, deduplication, body, payload, sent_at, receive_count
    FROM messages WHERE sequence = ?1";

/// A queue in a SQLite database. Only one process may have it open.
pub struct SqliteQueue {
    // `None` after the shutdown: an owner that lives longer would hold the file open.
    connection: Mutex<Option<Connection>>,
    sync: WalSync,
    clock: Arc<dyn Clock>,
    /// Wakes a waiting receive.
    arrived: Notify,
}

impl SqliteQueue {
    /// Opens the queue in `file`, or one in memory. All messages in it are due at once.
    ///
    /// # Errors
    /// [`QueueError`] where the file does not open, or not as a queue.
    pub fn open(file: Option<&str>, durability: Durability, clock: Arc<dyn Clock>) -> Result<Self, QueueError> {
        let now = clock.now().as_millisecond();
        let prepared = |connection| prepared(connection, now);
        let Some(file) = file else {
            let connection = Connection::open_in_memory().and_then(prepared).map_err(unavailable)?;
            return Ok(Self::new(connection, WalSync::none(), clock));
        };
        let problem = |error: &dyn std::fmt::Display| {
            let advice = "if it is damaged, restore it from a backup, or move it away and lose what was queued";
            QueueError::Unavailable(format!("{file} does not open as a queue ({error}): {advice}"))
        };
        let connection = Connection::open(file).and_then(prepared).map_err(|error| problem(&error))?;
        let sync = WalSync::start(file, durability).map_err(|error| problem(&error))?;
        Ok(Self::new(connection, sync, clock))
    }

    fn new(connection: Connection, sync: WalSync, clock: Arc<dyn Clock>) -> Self {
        Self { connection: Mutex::new(Some(connection)), sync, clock, arrived: Notify::new() }
    }

    /// Closes the file. Later calls fail.
    pub fn close(&self) {
        drop(self.connection.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs work on the file, on the calling thread.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        // A panic rolls its transaction back, so the data behind a poisoned lock is consistent.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = connection.as_mut().ok_or_else(|| QueueError::Unavailable("it has ended".to_owned()))?;
        work(connection).map_err(unavailable)
    }

    /// Returns the time in Unix milliseconds.
    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn receive_now(&self, limit: usize) -> Result<Vec<ReceivedMessage>, QueueError> {
        let now = self.now();
        self.with(|connection| {
            let mut statement = connection.prepare_cached(RECEIVE)?;
            let rows = statement.query_map(params![now, later(now, VISIBILITY), limit.clamp(1, 10)], received)?;
            let mut messages = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            // SQLite returns changed rows in an arbitrary order.
            messages.sort_by_key(|(sequence, _)| *sequence);
            Ok(messages.into_iter().map(|(_, message)| message).collect())
        })
    }

    async fn receive_due(&self, limit: usize) -> Result<Vec<ReceivedMessage>, QueueError> {
        loop {
            let messages = self.receive_now(limit)?;
            if !messages.is_empty() {
                // Wake another receive: there may be more messages.
                self.arrived.notify_one();
                return Ok(messages);
            }
            let _ = timeout(TICK, self.arrived.notified()).await;
        }
    }
}

/// Prepares a connection: creates the queue's tables, and makes all messages in flight due.
fn prepared(connection: Connection, now: i64) -> rusqlite::Result<Connection> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // `WalSync` provides the durability.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(SCHEMA)?;
    // The clock may have been set back since a message was sent.
    connection.execute("UPDATE messages SET due_at = min(sent_at, ?1) WHERE is_head", [now])?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

/// Parses a message that was handed out; also returns its sequence number.
fn received(row: &Row<'_>) -> rusqlite::Result<(i64, ReceivedMessage)> {
    let (sequence, receive_count): (i64, u32) = (row.get("sequence")?, row.get("receive_count")?);
    let message = ReceivedMessage {
        id: sequence.to_string(),
        receipt: format!("{sequence}.{receive_count}"),
        group: hex::encode(row.get_ref("conversation")?.as_bytes()?),
        deduplication: hex::encode(row.get_ref("deduplication")?.as_bytes()?),
        body: row.get("body")?,
        payload: row.get::<_, Vec<u8>>("payload")?.into(),
        sent_at: Timestamp::from_millisecond(row.get("sent_at")?).map_err(malformed)?,
        receive_count,
    };
    Ok((sequence, message))
}

/// Sequence number of a message that was handed out.
fn sequence(message: &ReceivedMessage) -> Result<i64, QueueError> {
    message.id.parse().map_err(|_| QueueError::Refused("the message is not of this queue".to_owned()))
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, Box::new(error))
}

fn unavailable(error: impl std::fmt::Display) -> QueueError {
    QueueError::Unavailable(error.to_string())
}

impl EventQueue for SqliteQueue {
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let bytes = message.body.len() + message.payload.len();
            if message.body.is_empty() || bytes > MESSAGE_LIMIT {
                return Err(QueueError::Refused(format!("a message must be of 1 to {MESSAGE_LIMIT} bytes")));
            }
            let ids = (message.group.as_bytes(), message.deduplication.as_bytes());
            self.with(|connection| {
                let mut statement = connection.prepare_cached(SEND)?;
                statement.execute(params![ids.0, ids.1, message.body, &*message.payload, self.now()])
            })?;
            self.arrived.notify_one();
            // Duplicates wait too: the write of the original may not be durable yet.
            self.sync.durable().await.map_err(unavailable)
        })
    }

    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        // Messages are returned in the same step in which they are taken, so that the time-out loses none.
        Box::pin(async move { timeout(wait, self.receive_due(limit)).await.unwrap_or_else(|_| Ok(Vec::new())) })
    }

    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let sequence = sequence(message)?;
            let deferred = self.with(|connection| {
                let due_at = later(self.now(), delay);
                connection.prepare_cached(DEFER)?.execute(params![sequence, message.receive_count, due_at])
            })?;
            if deferred == 0 {
                return Err(QueueError::Refused("the receipt has expired".to_owned()));
            }
            // A power cut may undo the deferral: the message is then due earlier.
            Ok(())
        })
    }

    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let (sequence, now) = (sequence(message)?, self.now());
            self.with(|connection| remove(connection, sequence, now))?;
            self.arrived.notify_one();
            // A power cut may undo the removal: the message comes back, and its delivery is recorded.
            Ok(())
        })
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let sequence = sequence(message)?;
            self.with(|connection| connection.prepare_cached(DEAD_LETTER)?.execute([sequence]))?;
            self.sync.durable().await.map_err(unavailable)
        })
    }
}

/// Removes a message; its ids stay for the rest of their window, and the next one of its conversation is due.
fn remove(connection: &mut Connection, sequence: i64, now: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let removed = transaction.prepare_cached(REMOVE)?.query_row([sequence], |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, i64>(2)?))
    });
    // The message may have been removed before.
    let Some((conversation, deduplication, sent_at)) = removed.optional()? else { return Ok(()) };
    let until = later(sent_at, DEDUPLICATION_WINDOW);
    if until > now {
        let sql = "INSERT OR REPLACE INTO acknowledged VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(params![conversation, deduplication, until])?;
    }
    transaction.prepare_cached(FORGET)?.execute(params![now, SWEEP])?;
    transaction.prepare_cached(PROMOTE)?.execute(params![conversation, now])?;
    transaction.commit()
}

#[cfg(test)]
mod tests;
