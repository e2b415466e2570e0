//! Batches of Lambda's event source mapping and the response that lists the failed messages.
//!
//! Source: AWS Lambda, "Using Lambda with Amazon SQS", "Reporting batch item failures".

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::Timestamp;
use portcullis_runtime::queue::{PAYLOAD_ATTRIBUTE, ReceivedMessage};

use crate::{Relay, Settlement};

/// Processes a batch in order. Failed messages come back. Messages behind a failed one of their group are not tried
/// and come back too, which keeps the group's order.
pub async fn handle(relay: &Relay, event: SqsEvent) -> SqsBatchResponse {
    let mut failures = Vec::new();
    let mut left_groups = Vec::new();
    for record in event.records {
        let id = record.message_id.clone().unwrap_or_default();
        let settlement = match received(record) {
            Some(message) if left_groups.contains(&message.group) => Settlement::Leave,
            Some(message) => {
                let settlement = relay.process(&message, &mut || {}).await;
                if settlement == Settlement::Leave {
                    left_groups.push(message.group);
                }
                settlement
            }
            None => {
                tracing::error!(message = id, "a record of the event source lacks a field that SQS always sends");
                Settlement::Leave
            }
        };
        if settlement == Settlement::Leave {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failures.push(failure);
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

fn received(record: SqsMessage) -> Option<ReceivedMessage> {
    let attribute = |name: &str| record.attributes.get(name).cloned();
    let payload = record.message_attributes.get(PAYLOAD_ATTRIBUTE).and_then(|payload| payload.binary_value.clone());
    Some(ReceivedMessage {
        group: attribute("MessageGroupId")?,
        deduplication: attribute("MessageDeduplicationId")?,
        sent_at: Timestamp::from_millisecond(attribute("SentTimestamp")?.parse().ok()?).ok()?,
        receive_count: attribute("ApproximateReceiveCount")?.parse().ok()?,
        id: record.message_id?,
        receipt: record.receipt_handle?,
        body: record.body?,
        payload: payload.map(|payload| payload.0.into()).unwrap_or_default(),
    })
}
