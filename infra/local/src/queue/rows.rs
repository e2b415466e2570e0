//! The rows of a queue's table.
//!
//! A message is a row, and where it is larger than a DynamoDB item may be, some more with the rest of its payload. Its key is
//! its group and deduplication id, so that one conditional write both stores it and finds out whether it is a duplicate.
//! What is acknowledged leaves a tombstone, a row without a body, for the rest of the deduplication window.

use std::{collections::HashMap, fmt::Display};

use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    primitives::Blob,
    types::{AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use bytes::Bytes;
use jiff::Timestamp;
use portcullis_runtime::queue::{DEDUPLICATION_WINDOW, QueueError};

use crate::{
    database::create_tables,
    template::{Key, KeyAttribute, Table},
};

type Item = HashMap<String, AttributeValue>;

/// The most bytes of a payload in one row: DynamoDB's items hold 400 KB, the text and the names included.
const PART_SIZE: usize = 350_000;

const ID: &str = "id";
const PART: &str = "part";
const PARTS: &str = "parts";
const SEQUENCE: &str = "sequence";
const GROUP: &str = "group";
const DEDUPLICATION: &str = "deduplication";
const BODY: &str = "body";
const PAYLOAD: &str = "payload";
const SENT_AT: &str = "sentAt";
const RECEIVE_COUNT: &str = "receiveCount";
const FORGET_AT: &str = "forgetAt";
const EXPIRES_AT: &str = "expiresAt";

/// A message as it is stored.
#[derive(Clone)]
pub(super) struct Stored {
    /// Its place among all messages.
    pub sequence: u64,
    pub group: String,
    pub deduplication: String,
    pub body: String,
    pub payload: Bytes,
    pub sent_at: Timestamp,
    pub receive_count: u32,
}

impl std::fmt::Debug for Stored {
    /// Without the body and the payload, which are a customer's.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stored").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Stored {
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.group, self.deduplication)
    }

    /// The payload in parts of at most [`PART_SIZE`], at least one.
    fn parts(&self) -> Vec<&[u8]> {
        if self.payload.is_empty() { vec![&[]] } else { self.payload.chunks(PART_SIZE).collect() }
    }

    /// Its rows, the one that says everything first.
    fn items(&self) -> Vec<Item> {
        let id = self.id();
        let parts = self.parts();
        let count = parts.len();
        let items = parts.into_iter().enumerate().map(|(position, part)| {
            let mut item = key(&id, position);
            item.insert(PAYLOAD.to_owned(), AttributeValue::B(Blob::new(part)));
            if position == 0 {
                item.insert(BODY.to_owned(), AttributeValue::S(self.body.clone()));
                item.insert(PARTS.to_owned(), number(count));
                item.insert(SEQUENCE.to_owned(), number(self.sequence));
                item.insert(GROUP.to_owned(), AttributeValue::S(self.group.clone()));
                item.insert(DEDUPLICATION.to_owned(), AttributeValue::S(self.deduplication.clone()));
                item.insert(SENT_AT.to_owned(), number(self.sent_at.as_millisecond()));
                item.insert(RECEIVE_COUNT.to_owned(), number(self.receive_count));
            }
            item
        });
        items.collect()
    }
}

/// What a row that is there already may be for it to be overwritten.
#[derive(Clone, Copy, Debug)]
pub(super) enum Overwrite {
    /// A tombstone whose window has passed.
    ForgottenAt(Timestamp),
    /// Any tombstone.
    Tombstones,
    /// Anything.
    Everything,
}

/// What became of a put.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stored,
    /// Nothing was written: a row is there, either a tombstone or the message with this sequence.
    Duplicate {
        of: Option<u64>,
    },
}

/// That the row is still the message's own.
const IS_OWN: &str = "#sequence = :own";

/// A table of messages.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    client: Client,
    table: &'static str,
}

impl Rows {
    /// Opens the table, made where it is not there yet.
    pub(super) async fn open(client: Client, table: &'static str) -> Result<Self, QueueError> {
        let attribute = |name: &str, kind: &str| KeyAttribute { name: name.to_owned(), kind: kind.to_owned() };
        let definition = Table {
            name: table.to_owned(),
            key: Key { partition: attribute(ID, "S"), sort: Some(attribute(PART, "N")) },
            indexes: Vec::new(),
            ttl_attribute: Some(EXPIRES_AT.to_owned()),
        };
        let created = create_tables(&client, "", &[definition]).await;
        created.map_err(|error| QueueError::Unavailable(error.to_string()))?;
        Ok(Self { client, table })
    }

    /// Stores a message. Once this returns `Stored`, the engine has committed it.
    pub(super) async fn put(&self, message: &Stored, overwrite: Overwrite) -> Result<Outcome, QueueError> {
        let condition = Condition::of(overwrite);
        let mut items = message.items();
        if items.len() == 1 {
            let result = self
                .client
                .put_item()
                .table_name(self.table)
                .set_item(items.pop())
                .set_condition_expression(condition.expression())
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values())
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            return match result {
                Ok(_) => Ok(Outcome::Stored),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                        Ok(Outcome::Duplicate { of: failed.item().and_then(live_sequence) })
                    }
                    _ => Err(classify(&error)),
                },
            };
        }
        let mut first = Some(condition);
        let writes = items.into_iter().map(|item| {
            let put = Put::builder().table_name(self.table).set_item(Some(item));
            let put = match first.take() {
                Some(condition) => put
                    .set_condition_expression(condition.expression())
                    .set_expression_attribute_names(condition.names())
                    .set_expression_attribute_values(condition.values())
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld),
                None => put,
            };
            Ok(TransactWriteItem::builder().put(put.build().map_err(refused)?).build())
        });
        let writes = writes.collect::<Result<Vec<_>, QueueError>>()?;
        match self.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(Outcome::Stored),
            Err(error) => match failed_condition(&error) {
                Some(reason) => Ok(Outcome::Duplicate { of: reason.item().and_then(live_sequence) }),
                None => Err(classify(&error)),
            },
        }
    }

    /// Removes a message; a tombstone stays for the rest of its window after `now`. What is gone already, or has made
    /// way for another message, is left as it is.
    pub(super) async fn remove(&self, message: &Stored, now: Timestamp) -> Result<(), QueueError> {
        let forget_at = message.sent_at.saturating_add(DEDUPLICATION_WINDOW).unwrap_or(Timestamp::MAX);
        let tombstone = (now < forget_at).then(|| tombstone(message, forget_at));
        // A transaction costs several times what a lone write does.
        if message.parts().len() == 1 {
            self.remove_row(message, tombstone).await
        } else {
            self.remove_rows(message, tombstone).await
        }
    }

    async fn remove_row(&self, message: &Stored, tombstone: Option<Item>) -> Result<(), QueueError> {
        let own = number(message.sequence);
        if let Some(tombstone) = tombstone {
            let put = self.client.put_item().table_name(self.table).set_item(Some(tombstone));
            let put = put.condition_expression(IS_OWN).expression_attribute_names("#sequence", SEQUENCE);
            let put = put.expression_attribute_values(":own", own).send().await;
            return put.map(drop).or_else(|error| unless_its_condition_failed(&error));
        }
        let delete = self.client.delete_item().table_name(self.table).set_key(Some(key(&message.id(), 0)));
        let delete = delete.condition_expression(IS_OWN).expression_attribute_names("#sequence", SEQUENCE);
        let delete = delete.expression_attribute_values(":own", own).send().await;
        delete.map(drop).or_else(|error| unless_its_condition_failed(&error))
    }

    async fn remove_rows(&self, message: &Stored, tombstone: Option<Item>) -> Result<(), QueueError> {
        let own = HashMap::from([(":own".to_owned(), number(message.sequence))]);
        let names = HashMap::from([("#sequence".to_owned(), SEQUENCE.to_owned())]);
        let id = message.id();
        let first = if let Some(tombstone) = tombstone {
            let put = Put::builder()
                .table_name(self.table)
                .set_item(Some(tombstone))
                .condition_expression(IS_OWN)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(own));
            TransactWriteItem::builder().put(put.build().map_err(refused)?)
        } else {
            let delete = Delete::builder()
                .table_name(self.table)
                .set_key(Some(key(&id, 0)))
                .condition_expression(IS_OWN)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(own));
            TransactWriteItem::builder().delete(delete.build().map_err(refused)?)
        };
        let mut writes = vec![first.build()];
        for part in 1..message.parts().len() {
            let delete = Delete::builder().table_name(self.table).set_key(Some(key(&id, part)));
            writes.push(TransactWriteItem::builder().delete(delete.build().map_err(refused)?).build());
        }
        match self.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(()),
            Err(error) if failed_condition(&error).is_some() => Ok(()),
            Err(error) => Err(classify(&error)),
        }
    }

    /// Notes how often a message was received.
    pub(super) async fn count(&self, message: &Stored) -> Result<(), QueueError> {
        let update = self
            .client
            .update_item()
            .table_name(self.table)
            .set_key(Some(key(&message.id(), 0)))
            .update_expression("SET #count = :count")
            .condition_expression("#sequence = :own")
            .expression_attribute_names("#count", RECEIVE_COUNT)
            .expression_attribute_names("#sequence", SEQUENCE)
            .expression_attribute_values(":count", number(message.receive_count))
            .expression_attribute_values(":own", number(message.sequence))
            .send()
            .await;
        update.map(drop).or_else(|error| unless_its_condition_failed(&error))
    }

    /// The message of a group and deduplication id, where there is one that is not acknowledged.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Stored>, QueueError> {
        let output = self
            .client
            .query()
            .table_name(self.table)
            .key_condition_expression("#id = :id")
            .expression_attribute_names("#id", ID)
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| classify(&error))?;
        // A message of several parts can be longer than a page of 1 MB: then this is a look-up like that at start.
        if output.last_evaluated_key.is_some() {
            return Ok(self.load().await?.messages.into_iter().find(|message| message.id() == id));
        }
        Ok(assemble(output.items.unwrap_or_default())?.messages.pop())
    }

    /// Everything that is stored.
    pub(super) async fn load(&self) -> Result<Loaded, QueueError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let scan = self.client.scan().table_name(self.table).consistent_read(true).set_exclusive_start_key(from);
            let output = scan.send().await.map_err(|error| classify(&error))?;
            items.extend(output.items.unwrap_or_default());
            from = output.last_evaluated_key;
            if from.is_none() {
                return assemble(items);
            }
        }
    }
}

/// What a table held.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub messages: Vec<Stored>,
    /// The highest sequence number, tombstones' among them.
    pub highest: u64,
}

struct Condition(Overwrite);

impl Condition {
    fn of(overwrite: Overwrite) -> Self {
        Self(overwrite)
    }

    fn expression(&self) -> Option<String> {
        let tombstone = "attribute_not_exists(#id) OR attribute_not_exists(#body)";
        match self.0 {
            Overwrite::ForgottenAt(_) => {
                Some("attribute_not_exists(#id) OR (attribute_not_exists(#body) AND #forget <= :now)".to_owned())
            }
            Overwrite::Tombstones => Some(tombstone.to_owned()),
            Overwrite::Everything => None,
        }
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        let names: &[_] = match self.0 {
            Overwrite::ForgottenAt(_) => &[("#id", ID), ("#body", BODY), ("#forget", FORGET_AT)],
            Overwrite::Tombstones => &[("#id", ID), ("#body", BODY)],
            Overwrite::Everything => return None,
        };
        Some(names.iter().map(|(short, name)| ((*short).to_owned(), (*name).to_owned())).collect())
    }

    fn values(&self) -> Option<Item> {
        match self.0 {
            Overwrite::ForgottenAt(now) => Some(HashMap::from([(":now".to_owned(), number(now.as_millisecond()))])),
            Overwrite::Tombstones | Overwrite::Everything => None,
        }
    }
}

fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(id: &str, part: usize) -> Item {
    HashMap::from([(ID.to_owned(), AttributeValue::S(id.to_owned())), (PART.to_owned(), number(part))])
}

fn tombstone(message: &Stored, forget_at: Timestamp) -> Item {
    let mut item = key(&message.id(), 0);
    item.insert(SEQUENCE.to_owned(), number(message.sequence));
    item.insert(FORGET_AT.to_owned(), number(forget_at.as_millisecond()));
    item.insert(EXPIRES_AT.to_owned(), number(forget_at.as_second()));
    item
}

fn live_sequence(item: &Item) -> Option<u64> {
    item.contains_key(BODY).then(|| integer(item, SEQUENCE).ok()).flatten()
}

/// Puts messages together from their rows, in whatever order these come.
fn assemble(items: Vec<Item>) -> Result<Loaded, QueueError> {
    let mut loaded = Loaded::default();
    let mut rests: HashMap<(String, usize), Vec<u8>> = HashMap::new();
    let mut firsts = Vec::new();
    for item in items {
        match integer::<usize>(&item, PART)? {
            0 => firsts.push(item),
            part => {
                rests.insert((text(&item, ID)?, part), bytes(&item, PAYLOAD)?);
            }
        }
    }
    for item in firsts {
        let sequence = integer(&item, SEQUENCE)?;
        loaded.highest = loaded.highest.max(sequence);
        if !item.contains_key(BODY) {
            continue;
        }
        let mut payload = bytes(&item, PAYLOAD)?;
        for part in 1..integer::<usize>(&item, PARTS)? {
            payload.extend(rests.remove(&(text(&item, ID)?, part)).ok_or_else(|| malformed(PAYLOAD))?);
        }
        loaded.messages.push(Stored {
            sequence,
            group: text(&item, GROUP)?,
            deduplication: text(&item, DEDUPLICATION)?,
            body: text(&item, BODY)?,
            payload: payload.into(),
            sent_at: Timestamp::from_millisecond(integer(&item, SENT_AT)?).map_err(|_| malformed(SENT_AT))?,
            receive_count: integer(&item, RECEIVE_COUNT)?,
        });
    }
    Ok(loaded)
}

fn malformed(attribute: &str) -> QueueError {
    QueueError::Refused(format!("a row of the queue has a malformed {attribute}"))
}

fn text(item: &Item, attribute: &str) -> Result<String, QueueError> {
    item.get(attribute).and_then(|value| value.as_s().ok()).cloned().ok_or_else(|| malformed(attribute))
}

fn bytes(item: &Item, attribute: &str) -> Result<Vec<u8>, QueueError> {
    let value = item.get(attribute).and_then(|value| value.as_b().ok());
    value.map(|value| value.as_ref().to_vec()).ok_or_else(|| malformed(attribute))
}

fn integer<N: std::str::FromStr>(item: &Item, attribute: &str) -> Result<N, QueueError> {
    let value = item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|value| value.parse().ok());
    value.ok_or_else(|| malformed(attribute))
}

fn refused(error: impl Display) -> QueueError {
    QueueError::Refused(error.to_string())
}

/// Where a transaction failed by the condition of its first write: the reason, which holds the row that was in the way.
fn failed_condition<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&CancellationReason> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return None;
    };
    let reason = cancelled.cancellation_reasons().first()?;
    (reason.code() == Some("ConditionalCheckFailed")).then_some(reason)
}

/// The error of a lone write, but for that of its condition: what it was about is no longer there.
fn unless_its_condition_failed<E, R>(error: &SdkError<E, R>) -> Result<(), QueueError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    if error.code() == Some("ConditionalCheckFailedException") { Ok(()) } else { Err(classify(error)) }
}

/// The engine refuses only what was malformed; anything else passes.
fn classify<E, R>(error: &SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let text = DisplayErrorContext(error).to_string();
    let refusals = ["ValidationException", "SerializationException", "ResourceNotFoundException"];
    if error.code().is_some_and(|code| refusals.contains(&code)) {
        QueueError::Refused(text)
    } else {
        QueueError::Unavailable(text)
    }
}
