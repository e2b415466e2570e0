//! What was given up on, and how it is sent again.

use jiff::Timestamp;
use portcullis_runtime::queue::QueueError;

use super::{TableQueue, rows::Overwrite};

/// A message that was given up on. It shows nothing of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The deduplication id, as hex.
    pub deduplication: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How often its delivery was tried.
    pub receive_count: u32,
    /// How long its body is.
    pub bytes: usize,
}

impl TableQueue {
    /// Everything that was given up on, in the order in which it was sent.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        let mut letters = self.dead_letters.load().await?.messages;
        letters.sort_by_key(|letter| letter.sequence);
        let letter = |letter: super::Stored| DeadLetter {
            deduplication: letter.deduplication,
            sent_at: letter.sent_at,
            receive_count: letter.receive_count,
            bytes: letter.payload.len(),
        };
        Ok(letters.into_iter().map(letter).collect())
    }

    /// Sends everything that was given up on again, as new messages in their old order; how many there were.
    ///
    /// # Errors
    /// [`QueueError`]; what was not sent yet is still a dead letter then.
    pub async fn redrive(&self) -> Result<usize, QueueError> {
        let mut letters = self.dead_letters.load().await?.messages;
        letters.sort_by_key(|letter| letter.sequence);
        let count = letters.len();
        for letter in letters {
            let (group, deduplication) = (letter.group.clone(), letter.deduplication.clone());
            // Where one that is the same waits already, that one is enough.
            let content = (letter.body.clone(), letter.payload.clone());
            self.store(group, deduplication, content, Overwrite::Tombstones).await?;
            // A dead letter leaves no tombstone.
            self.dead_letters.remove(&letter, Timestamp::MAX).await?;
        }
        Ok(count)
    }
}
