//! A queue that fails on request: it asks a [`FaultProxy`](crate::FaultProxy) before each call, in whichever process it is.

use std::{sync::Arc, time::Duration};

use portcullis_runtime::queue::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage};

use crate::{
    faults::{QUEUE_TARGET, Verdict},
    system::pause,
};

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

    /// Makes `call` as the proxy's rule wants it. It borrows nothing, so that a late one goes on after its caller has gone.
    async fn ask<T: Send + 'static>(&self, action: &str, call: QueueFuture<'static, T>) -> Result<T, QueueError> {
        let request = self.client.post(&self.proxy).header("x-amz-target", format!("{QUEUE_TARGET}{action}"));
        let unavailable = |error: reqwest::Error| QueueError::Unavailable(error.to_string());
        let verdict = request.send().await.map_err(unavailable)?.bytes().await.map_err(unavailable)?;
        match serde_json::from_slice(&verdict).expect("a verdict is JSON") {
            Verdict::Pass => call.await,
            Verdict::PassLate(time) => {
                let late = tokio::spawn(async move {
                    pause(time).await;
                    call.await
                });
                late.await.expect("the call goes through")
            }
            Verdict::Fail => Err(QueueError::Unavailable("failed by the test".to_owned())),
            Verdict::Refuse => Err(QueueError::Refused("refused by the test".to_owned())),
            Verdict::LoseAnswer => {
                call.await?;
                Err(QueueError::Unavailable("the answer is lost".to_owned()))
            }
        }
    }
}

impl EventQueue for FaultyQueue {
    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        let (inner, message) = (Arc::clone(&self.inner), message.clone());
        Box::pin(self.ask("SendMessage", Box::pin(async move { inner.send(&message).await })))
    }

    // A receive waits for minutes, and nothing is lost where it fails.
    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        self.inner.receive(limit, wait)
    }

    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()> {
        let (inner, message) = (Arc::clone(&self.inner), message.clone());
        Box::pin(self.ask("ChangeMessageVisibility", Box::pin(async move { inner.defer(&message, delay).await })))
    }

    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        let (inner, message) = (Arc::clone(&self.inner), message.clone());
        Box::pin(self.ask("DeleteMessage", Box::pin(async move { inner.acknowledge(&message).await })))
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        let (inner, message) = (Arc::clone(&self.inner), message.clone());
        Box::pin(self.ask("SendDeadLetter", Box::pin(async move { inner.dead_letter(&message).await })))
    }
}
