//! Dead letters: events that were given up on, their list, and their redrive into the queue.

use jiff::Timestamp;
use portcullis_runtime::queue::QueueError;
use rusqlite::params;

use super::{SqliteQueue, malformed, unavailable};

/// A dead letter, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Deduplication id, in hex.
    pub deduplication: String,
    /// Time at which it was sent.
    pub sent_at: Timestamp,
    /// Number of delivery attempts.
    pub receive_count: u32,
    /// Length of its payload.
    pub bytes: usize,
}

impl SqliteQueue {
    /// Lists the dead letters, in the order in which they were sent.
    ///
    /// # Errors
    /// [`QueueError`].
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        self.with(|connection| {
            let sql =
                "SELECT deduplication, sent_at, receive_count, length(payload) FROM dead_letters ORDER BY sequence";
            let mut statement = connection.prepare_cached(sql)?;
            let letters = statement.query_map([], |row| {
                Ok(DeadLetter {
                    deduplication: hex::encode(row.get_ref("deduplication")?.as_bytes()?),
                    sent_at: Timestamp::from_millisecond(row.get("sent_at")?).map_err(malformed)?,
                    receive_count: row.get("receive_count")?,
                    bytes: row.get(3)?,
                })
            })?;
            letters.collect()
        })
    }

    /// Sends all dead letters again, as new messages in their old order. One with the ids of a queued message is
    /// dropped as a duplicate. Returns the number of dead letters.
    ///
    /// # Errors
    /// [`QueueError`]; all of them stay dead letters then.
    pub async fn redrive(&self) -> Result<usize, QueueError> {
        let now = self.now();
        let count = self.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO messages
                     (conversation, deduplication, body, payload, sent_at, receive_count, is_head, due_at)
                 SELECT conversation, deduplication, body, payload, ?1, 0, FALSE, ?1
                 FROM dead_letters WHERE TRUE ORDER BY sequence
                 ON CONFLICT (conversation, deduplication) DO NOTHING",
                params![now],
            )?;
            transaction.execute(
                "UPDATE messages SET is_head = TRUE
                 WHERE sequence IN (SELECT min(sequence) FROM messages GROUP BY conversation)",
                [],
            )?;
            let count = transaction.execute("DELETE FROM dead_letters", [])?;
            transaction.commit()?;
            Ok(count)
        })?;
        self.arrived.notify_one();
        self.sync.durable().await.map_err(unavailable)?;
        Ok(count)
    }
}
