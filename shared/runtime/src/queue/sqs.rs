//! The queue on AWS: SQS FIFO in high-throughput mode.

use std::{pin::Pin, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::{StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{Message, MessageAttributeValue, MessageSystemAttributeName},
};
use aws_types::SdkConfig;
use bytes::Bytes;
use jiff::Timestamp;

use crate::causes::causes;

use super::{EventQueue, NewMessage, QueueError, QueueFuture, ReceivedMessage};

/// Connect time-out: within a region, a slower connection is lost.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time-out of an attempt. A send takes about 10 ms. Two attempts must fit into the 2.5 s that Slack's webhook may
/// take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(900);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait of one receive; SQS allows 20 s.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Message attribute with a message's payload.
pub const PAYLOAD_ATTRIBUTE: &str = "payload";

/// An SQS FIFO queue and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_letter_url: Option<String>,
}

impl SqsQueue {
    /// Creates the queue at `url`. Its dead letters go to `dead_letter_url`, which only a receiver needs.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String, dead_letter_url: Option<String>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(INITIAL_BACKOFF);
        let config = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(retries)
            // The time-outs already bound a stalled response, and this check would cost work on each call.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), url, dead_letter_url }
    }

    async fn send_to(
        &self,
        url: &str,
        group: &str,
        deduplication: &str,
        (body, payload): (&str, &Bytes),
    ) -> Result<(), QueueError> {
        let mut request = self.client.send_message();
        // SQS refuses an empty attribute.
        if !payload.is_empty() {
            let payload = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(&**payload));
            let payload = payload.build().map_err(|error| QueueError::Refused(error.to_string()))?;
            request = request.message_attributes(PAYLOAD_ATTRIBUTE, payload);
        }
        request
            .queue_url(url)
            .message_group_id(group)
            .message_deduplication_id(deduplication)
            .message_body(body)
            .send()
            .await
            .map(drop)
            .map_err(|error| classify(&error))
    }

    async fn receive_up_to(&self, limit: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let wait = wait.min(LONGEST_WAIT);
        // A long poll needs a longer time-out.
        let patient = TimeoutConfig::builder()
            .operation_attempt_timeout(wait + ATTEMPT_TIMEOUT)
            .operation_timeout(wait + OPERATION_TIMEOUT)
            .build();
        let output = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(limit.clamp(1, 10)).unwrap_or(10))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names(PAYLOAD_ATTRIBUTE)
            .customize()
            .config_override(aws_sdk_sqs::Config::builder().timeout_config(patient))
            .send()
            .await
            .map_err(|error| classify(&error))?;
        output.messages.unwrap_or_default().iter().map(received).collect()
    }
}

impl EventQueue for SqsQueue {
    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Err(error) = self.client.get_queue_attributes().queue_url(&self.url).send().await {
                tracing::warn!(error = %causes(&error), "the queue could not be reached at start");
            }
        })
    }

    fn send<'a>(&'a self, message: &'a NewMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let (group, deduplication) = (message.group.to_hex(), message.deduplication.to_hex());
            self.send_to(&self.url, &group, &deduplication, (&message.body, &message.payload)).await
        })
    }

    fn receive(&self, limit: usize, wait: Duration) -> QueueFuture<'_, Vec<ReceivedMessage>> {
        Box::pin(self.receive_up_to(limit, wait))
    }

    fn defer<'a>(&'a self, message: &'a ReceivedMessage, delay: Duration) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            self.client
                .change_message_visibility()
                .queue_url(&self.url)
                .receipt_handle(&message.receipt)
                .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                .send()
                .await
                .map(drop)
                .map_err(|error| classify(&error))
        })
    }

    fn acknowledge<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(&message.receipt);
            delete.send().await.map(drop).map_err(|error| classify(&error))
        })
    }

    fn dead_letter<'a>(&'a self, message: &'a ReceivedMessage) -> QueueFuture<'a, ()> {
        Box::pin(async move {
            let url = self.dead_letter_url.as_deref();
            let url = url.ok_or_else(|| QueueError::Refused("DEAD_LETTER_QUEUE_URL is not set".to_owned()))?;
            self.send_to(url, &message.group, &message.deduplication, (&message.body, &message.payload)).await
        })
    }
}

/// Classifies a failure of SQS: the only place that decides which failures are retried.
fn classify<E, R>(error: &SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let is_refusal = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            ["AccessDenied", "NonExistentQueue", "QueueDoesNotExist", "Invalid", "Validation", "ReceiptHandle"]
                .iter()
                .any(|refusal| code.contains(refusal))
        }
        SdkError::ConstructionFailure(_) => true,
        _ => false,
    };
    let text = causes(error);
    if is_refusal { QueueError::Refused(text) } else { QueueError::Unavailable(text) }
}

fn received(message: &Message) -> Result<ReceivedMessage, QueueError> {
    let attribute = |name: MessageSystemAttributeName| {
        let value = message.attributes.as_ref().and_then(|attributes| attributes.get(&name)).cloned();
        value.ok_or_else(|| QueueError::Refused(format!("a message came without {}", name.as_str())))
    };
    let text = |value: Option<&str>, name: &str| {
        value.map(ToOwned::to_owned).ok_or_else(|| QueueError::Refused(format!("a message came without its {name}")))
    };
    let number = |name: MessageSystemAttributeName| {
        attribute(name.clone())?
            .parse::<i64>()
            .map_err(|_| QueueError::Refused(format!("a message came with a malformed {}", name.as_str())))
    };
    let sent_at = Timestamp::from_millisecond(number(MessageSystemAttributeName::SentTimestamp)?)
        .map_err(|_| QueueError::Refused("a message came with an impossible time".to_owned()))?;
    let payload = message.message_attributes().and_then(|attributes| attributes.get(PAYLOAD_ATTRIBUTE));
    let payload =
        payload.and_then(|payload| payload.binary_value()).map(|payload| Bytes::copy_from_slice(payload.as_ref()));
    Ok(ReceivedMessage {
        id: text(message.message_id(), "id")?,
        receipt: text(message.receipt_handle(), "receipt handle")?,
        group: attribute(MessageSystemAttributeName::MessageGroupId)?,
        deduplication: attribute(MessageSystemAttributeName::MessageDeduplicationId)?,
        body: text(message.body(), "body")?,
        payload: payload.unwrap_or_default(),
        sent_at,
        receive_count: u32::try_from(number(MessageSystemAttributeName::ApproximateReceiveCount)?).unwrap_or(u32::MAX),
    })
}
