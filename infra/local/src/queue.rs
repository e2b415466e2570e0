//! The queue of accepted events on this machine: a table of the embedded database, with the rules of SQS FIFO.
//!
//! A message is in the table before `send` returns, and stays there until it is acknowledged; which one is due next is
//! kept in memory. After the death of the process everything that was not acknowledged is due at once, in its old order.

mod dead_letters;
mod index;
mod rows;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use bytes::Bytes;
use jiff::Timestamp;
use portcullis_auth::Clock;
use portcullis_runtime::queue::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage, VISIBILITY};
use tokio::{sync::Notify, time::timeout};

pub use dead_letters::DeadLetter;
use index::Index;
use rows::{Outcome, Overwrite, Rows, Stored};

const QUEUE_TABLE: &str = "local_event_queue";
const DEAD_LETTER_TABLE: &str = "local_dead_letters";

/// The largest message, text and payload together, as with SQS, in bytes.
const MESSAGE_LIMIT: usize = 1024 * 1024;
/// How often a waiting receive looks at the clock, which a test may have moved.
const TICK: Duration = Duration::from_millis(20);
/// How many ticks long a write of unknown outcome is looked for: the engine's own time-outs are shorter.
const LOOKS: u32 = 500;

/// A queue in the embedded database. One process alone may have it open: the order is in its memory.
///
/// Stricter than SQS in one point: where a message is still queued after the deduplication window, another one with its
/// ids is still a duplicate.
pub struct TableQueue {
    rows: Rows,
    dead_letters: Rows,
    clock: Arc<dyn Clock>,
    next_sequence: AtomicU64,
    state: Mutex<State>,
    /// Tells a waiting receive that there may be something for it.
    arrived: Notify,
    /// One look for lost writes at a time.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    index: Index,
    /// The sequence numbers of messages whose write is under way.
    sending: HashSet<u64>,
    /// Writes that may have happened though nobody was told.
    doubts: Vec<Doubt>,
    /// What was removed while there were doubts, so that a look that began before does not bring it back.
    removed: HashSet<u64>,
}

#[derive(Clone)]
struct Doubt {
    id: String,
    looks: u32,
}

impl State {
    fn doubt(&mut self, id: String) {
        if self.doubts.iter().all(|doubt| doubt.id != id) {
            self.doubts.push(Doubt { id, looks: LOOKS });
        }
    }

    fn remove(&mut self, sequence: u64) {
        self.index.remove(sequence);
        if !self.doubts.is_empty() {
            self.removed.insert(sequence);
        }
    }
}

/// A write that is under way. Where its future is dropped or it fails, the message may have been stored all the same: it
/// is then looked for, so that it does not lie in the table unseen until the next start.
struct Sending<'a> {
    queue: &'a TableQueue,
    sequence: u64,
    id: Option<String>,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let mut state = self.queue.lock();
            state.sending.remove(&self.sequence);
            state.doubt(id);
        }
    }
}

impl TableQueue {
    /// Opens the queue: makes its tables where they are not there, and loads what waits. All of it is due at once.
    ///
    /// # Errors
    /// [`QueueError`] where the database does not answer, or holds what no queue wrote.
    pub async fn open(client: Client, clock: Arc<dyn Clock>) -> Result<Self, QueueError> {
        let rows = Rows::open(client.clone(), QUEUE_TABLE).await?;
        let dead_letters = Rows::open(client, DEAD_LETTER_TABLE).await?;
        let loaded = rows.load().await?;
        // Counting on from the time keeps ids apart where every trace of earlier messages has expired.
        let now = u64::try_from(clock.now().as_microsecond()).unwrap_or(0);
        let mut state = State::default();
        for message in loaded.messages {
            state.index.insert(message);
        }
        Ok(Self {
            rows,
            dead_letters,
            clock,
            next_sequence: AtomicU64::new(now.max(loaded.highest.saturating_add(1))),
            state: Mutex::new(state),
            arrived: Notify::new(),
            looking: tokio::sync::Mutex::new(()),
        })
    }

    /// Every change of the state is whole before anything in it can panic, so a poisoned lock still guards a good one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a message and lists it. Whether it was stored; if not, it is a duplicate.
    async fn store(
        &self,
        group: String,
        deduplication: String,
        (body, payload): (String, Bytes),
        overwrite: Overwrite,
    ) -> Result<bool, QueueError> {
        let sequence = self.next_sequence.fetch_add(1, Ordering::Relaxed);
        let message =
            Stored { sequence, group, deduplication, body, payload, sent_at: self.clock.now(), receive_count: 0 };
        let id = message.id();
        self.lock().sending.insert(sequence);
        let mut sending = Sending { queue: self, sequence, id: Some(id.clone()) };
        let outcome = self.rows.put(&message, overwrite).await?;
        sending.id = None;
        let mut state = self.lock();
        let is_ours_to_list = state.sending.remove(&sequence);
        match outcome {
            // The client's own retry of a write whose answer was lost meets that write.
            Outcome::Stored | Outcome::Duplicate { of: Some(_) } if outcome_is_own(&outcome, sequence) => {
                if is_ours_to_list {
                    state.index.insert(message);
                    self.arrived.notify_one();
                }
                Ok(true)
            }
            Outcome::Duplicate { of: Some(other) }
                if !state.index.contains(other) && !state.removed.contains(&other) =>
            {
                state.doubt(id);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    async fn receive_due(&self, limit: usize) -> Vec<ReceivedMessage> {
        loop {
            self.look_for_lost_writes().await;
            let now = self.clock.now();
            let until = now.saturating_add(VISIBILITY).unwrap_or(Timestamp::MAX);
            let taken = self.lock().index.take(limit.clamp(1, 10), now, until);
            if !taken.is_empty() {
                return taken.into_iter().map(received).collect();
            }
            let _ = timeout(TICK, self.arrived.notified()).await;
        }
    }

    /// Lists what was stored though its sender was not told so.
    async fn look_for_lost_writes(&self) {
        let doubts = self.lock().doubts.clone();
        if doubts.is_empty() {
            return;
        }
        let Ok(_alone) = self.looking.try_lock() else { return };
        for doubt in doubts {
            // A database that does not answer is asked again at the next look.
            let Ok(found) = self.rows.get(&doubt.id).await else { continue };
            let mut state = self.lock();
            let is_settled = found.is_some();
            if let Some(message) = found
                && !state.removed.contains(&message.sequence)
            {
                state.sending.remove(&message.sequence);
                state.index.insert(message);
            }
            for known in state.doubts.iter_mut().filter(|known| known.id == doubt.id) {
                known.looks = if is_settled { 0 } else { known.looks.saturating_sub(1) };
            }
            state.doubts.retain(|known| known.looks > 0);
            if state.doubts.is_empty() {
                state.removed.clear();
            }
        }
    }
}

fn outcome_is_own(outcome: &Outcome, sequence: u64) -> bool {
    matches!(outcome, Outcome::Stored) || *outcome == Outcome::Duplicate { of: Some(sequence) }
}

fn received(message: Stored) -> ReceivedMessage {
    ReceivedMessage {
        id: message.sequence.to_string(),
        receipt: format!("{}.{}", message.sequence, message.receive_count),
        group: message.group,
        deduplication: message.deduplication,
        body: message.body,
        payload: message.payload,
        sent_at: message.sent_at,
        receive_count: message.receive_count,
    }
}

/// The message that was handed out.
fn stored(message: &ReceivedMessage) -> Result<Stored, QueueError> {
    let sequence =
        message.id.parse().map_err(|_| QueueError::Refused("the message is not of this queue".to_owned()))?;
    Ok(Stored {
        sequence,
        group: message.group.clone(),
        deduplication: message.deduplication.clone(),
        body: message.body.clone(),
        payload: message.payload.clone(),
        sent_at: message.sent_at,
        receive_count: message.receive_count,
    })
}

impl EventQueue for TableQueue {
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let bytes = message.body.len() + message.payload.len();
            if message.body.is_empty() || bytes > MESSAGE_LIMIT {
                return Err(QueueError::Refused(format!("a message must be of 1 to {MESSAGE_LIMIT} bytes")));
            }
            let (group, deduplication) = (message.group.to_hex(), message.deduplication.to_hex());
            let overwrite = Overwrite::ForgottenAt(self.clock.now());
            let content = (message.body.clone(), message.payload.clone());
            self.store(group, deduplication, content, overwrite).await.map(drop)
        })
    }

    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        // What is taken is returned in the same step, so that the end of the wait loses nothing.
        Box::pin(async move { Ok(timeout(wait, self.receive_due(limit)).await.unwrap_or_default()) })
    }

    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let until = self.clock.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
            let deferred = self.lock().index.defer(stored(message)?.sequence, message.receive_count, until);
            let deferred = deferred.ok_or_else(|| QueueError::Refused("the receipt has expired".to_owned()))?;
            self.arrived.notify_one();
            self.rows.count(&deferred).await
        })
    }

    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let message = stored(message)?;
            self.rows.remove(&message, self.clock.now()).await?;
            self.lock().remove(message.sequence);
            self.arrived.notify_one();
            Ok(())
        })
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move { self.dead_letters.put(&stored(message)?, Overwrite::Everything).await.map(drop) })
    }
}

#[cfg(test)]
mod tests;
