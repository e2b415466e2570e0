//! A queue that fails on request: it asks a [`FaultProxy`](crate::FaultProxy) before each call, in whichever process it is.

use std::{sync::Arc, time::Duration};

use portcullis_runtime::queue::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage};

use crate::faults::{QUEUE_TARGET, Verdict};

/// A queue whose calls a proxy's rule decides about, by the names that SQS gives them.
pub struct FaultyQueue {
    inner: Arc<dyn EventQueue>,
    proxy: String,
    client: reqwest::Client,
}

impl FaultyQueue {
    /// Puts the rule of the proxy at `proxy`, a URL, before this queue.
    #[must_use]
    pub fn new(inner: Arc<dyn EventQueue>, proxy: String) -> Self {
        Self { inner, proxy, client: reqwest::Client::new() }
    }

    async fn ask<T>(&self, action: &str, call: QueueFuture<'_, T>) -> Result<T, QueueError> {
        let request = self.client.post(&self.proxy).header("x-amz-target", format!("{QUEUE_TARGET}{action}"));
        let unavailable = |error: reqwest::Error| QueueError::Unavailable(error.to_string());
        let verdict = request.send().await.map_err(unavailable)?.bytes().await.map_err(unavailable)?;
        match serde_json::from_slice(&verdict).expect("a verdict is JSON") {
            Verdict::Pass => call.await,
            Verdict::Refuse => Err(QueueError::Unavailable("refused by the test".to_owned())),
            Verdict::LoseAnswer => {
                call.await?;
                Err(QueueError::Unavailable("the answer is lost".to_owned()))
            }
        }
    }
}

impl EventQueue for FaultyQueue {
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        Box::pin(self.ask("SendMessage", self.inner.send(message)))
    }

    // A receive waits for minutes, and nothing is lost where it fails.
    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        self.inner.receive(limit, wait)
    }

    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()> {
        Box::pin(self.ask("ChangeMessageVisibility", self.inner.defer(message, delay)))
    }

    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(self.ask("DeleteMessage", self.inner.acknowledge(message)))
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(self.ask("SendDeadLetter", self.inner.dead_letter(message)))
    }
}
