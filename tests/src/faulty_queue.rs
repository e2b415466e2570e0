//! Fault injection for the queue: asks a [`FaultProxy`](crate::FaultProxy), which may be in another process, before
//! each call.

use std::{sync::Arc, time::Duration};

use portcullis_runtime::queue::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage};

use crate::{
    faults::{QUEUE_TARGET, Verdict},
    system::pause,
};

/// A queue whose calls are subject to a proxy's rule, under SQS's action names.
pub struct FaultyQueue {
    inner: Arc<dyn EventQueue>,
    proxy: String,
    client: reqwest::Client,
}

impl FaultyQueue {
    /// Wraps `inner`, subject to the rule of the proxy at the URL `proxy`.
    #[must_use]
    pub fn new(inner: Arc<dyn EventQueue>, proxy: String) -> Self {
        Self { inner, proxy, client: reqwest::Client::new() }
    }

    /// Makes `call` as the proxy's verdict says. `call` borrows nothing, so that a delayed call runs on after its
    /// caller has given up.
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

    // Receives are exempt: they wait for minutes, and a failed one loses nothing.
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
