//! Storing one document: two calls.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::SignedDuration;
use portcullis_auth::LibraryName;
use portcullis_crypto::Digest;
use uuid::{Builder, Uuid};

use super::{
    CONTENTS, Contents, Entry, Library, MAXIMUM_ACTIVE_BYTES, MAXIMUM_ANSWER_BYTES, MAXIMUM_DOCUMENTS, VERSION,
    library_row,
};
use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, bytes, epoch_seconds, names, number, schema, text, time},
    backoff::Backoff,
    error::CallError,
    store::built,
};

/// Bytes of a piece: a DynamoDB row holds 400 KB with its names.
const PIECE_BYTES: usize = 350_000;

/// Retention of replaced pieces, for readers of the previous contents.
const REPLACED_RETENTION: SignedDuration = SignedDuration::from_hours(1);

/// Document to store under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Whether pools get it.
    pub is_active: bool,
    /// Opaque content, at most 1.5 MiB, since all of it is one transaction of at most 4 MB.
    pub content: Vec<u8>,
    /// Bytes that count towards [`MAXIMUM_ACTIVE_BYTES`].
    pub bytes: usize,
    /// Bytes that count towards [`MAXIMUM_ANSWER_BYTES`].
    pub answer_bytes: usize,
}

/// Reason why a document was not stored; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutDocumentError {
    /// The library has [`MAXIMUM_DOCUMENTS`].
    #[error("there can be {MAXIMUM_DOCUMENTS} at the most, inactive ones included")]
    TooMany,
    /// The active documents would be larger than [`MAXIMUM_ACTIVE_BYTES`].
    #[error("all active ones together must be at most {MAXIMUM_ACTIVE_BYTES} bytes")]
    TooLarge,
    /// The active documents would not fit into an answer ([`MAXIMUM_ANSWER_BYTES`]).
    #[error("all active ones together must be at most {MAXIMUM_ANSWER_BYTES} bytes as JSON within JSON")]
    AnswerTooLarge,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores a document in place of the one with its name, and returns the library's version, which rises where the
    /// active documents have changed.
    ///
    /// # Errors
    /// [`PutDocumentError`].
    pub async fn put_document(
        &self,
        library: Library,
        name: &LibraryName,
        document: Document,
    ) -> Result<u64, PutDocumentError> {
        let entry = Entry {
            is_active: document.is_active,
            digest: Digest::of(&document.content),
            bytes: document.bytes,
            answer_bytes: document.answer_bytes,
            write: self.new_write_id().to_string(),
            pieces: document.content.chunks(PIECE_BYTES).count(),
        };
        let mut backoff = Backoff::of_race();
        loop {
            let read = self.library(library).await?;
            let kept = read.entries.get(name);
            if kept.is_some_and(|kept| (kept.digest, kept.is_active) == (entry.digest, entry.is_active)) {
                return Ok(read.version);
            }
            let next = self.next_contents(&read, |entries| drop(entries.insert(name.clone(), entry.clone())));
            check(&next)?;
            let mut actions = self.contents_actions(library.table(), &read, &next)?;
            let pieces = entry.piece_keys().zip(document.content.chunks(PIECE_BYTES));
            for (key, piece) in pieces {
                actions.push(self.put_row(library.table(), piece_row(name, &key, piece), None)?);
            }
            for key in kept.into_iter().flat_map(Entry::piece_keys) {
                actions.push(self.let_expire(library.table(), name, &key)?);
            }
            match self.transact_write(actions).await {
                Ok(()) => return Ok(next.version),
                Err(CallError::Conditions(_)) => self.wait_after_race(&mut backoff).await?,
                Err(CallError::Store(error)) => return Err(error.into()),
            }
        }
    }

    fn new_write_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.randomness().fill(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Contents after a change; the version rises if the active documents change.
    pub(super) fn next_contents(
        &self,
        read: &Contents,
        change: impl FnOnce(&mut BTreeMap<LibraryName, Entry>),
    ) -> Contents {
        let mut next = read.clone();
        next.revision += 1;
        change(&mut next.entries);
        if next.hash() != read.hash() {
            next.version += 1;
            next.created_at = self.now();
        }
        next
    }

    /// Actions that replace the library's contents by `next`, on the condition that they are as they were read.
    pub(super) fn contents_actions(
        &self,
        table: Table,
        read: &Contents,
        next: &Contents,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let entries = next.entries.iter();
        let documents = entries.map(|(name, entry)| (name.to_string(), AttributeValue::M(entry.to_item()))).collect();
        let mut row = library_row(CONTENTS, next.version);
        row.extend(attributes([
            ("createdAt", time(next.created_at)),
            ("revision", number(next.revision)),
            ("documents", AttributeValue::M(documents)),
        ]));
        let condition = match read.revision {
            0 => ("attribute_not_exists(#name)", None),
            revision => ("#revision = :read", Some(attributes([(":read", number(revision))]))),
        };
        let mut actions = vec![self.put_row(table, row, Some(condition))?];
        if next.version != read.version {
            actions.push(self.put_row(table, library_row(VERSION, next.version), None)?);
        }
        Ok(actions)
    }

    fn put_row(
        &self,
        table: Table,
        row: Item,
        condition: Option<(&str, Option<Item>)>,
    ) -> Result<TransactWriteItem, StoreError> {
        let (expression, values) = condition.unzip();
        let put = Put::builder()
            .table_name(self.table_name(table))
            .set_item(Some(row))
            .set_expression_attribute_names(expression.and_then(|expression| names(&[expression])))
            .set_expression_attribute_values(values.flatten())
            .set_condition_expression(expression.map(str::to_owned));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    pub(super) fn let_expire(
        &self,
        table: Table,
        name: &LibraryName,
        piece: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = "SET #expiresAt = :until";
        let condition = "attribute_exists(#name)";
        let update = Update::builder()
            .table_name(self.table_name(table))
            .set_key(Some(attributes([("name", text(name)), ("part", text(piece))])))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names(&[update, condition]))
            .expression_attribute_values(":until", epoch_seconds(self.now() + REPLACED_RETENTION));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}

fn piece_row(name: &LibraryName, key: &str, piece: &[u8]) -> Item {
    attributes([(SCHEMA, schema()), ("name", text(name)), ("part", text(key)), ("bytes", bytes(piece.to_vec()))])
}

fn check(next: &Contents) -> Result<(), PutDocumentError> {
    if next.entries.len() > MAXIMUM_DOCUMENTS {
        return Err(PutDocumentError::TooMany);
    }
    if next.active().map(|(_, entry)| entry.bytes).sum::<usize>() > MAXIMUM_ACTIVE_BYTES {
        return Err(PutDocumentError::TooLarge);
    }
    if next.active().map(|(_, entry)| entry.answer_bytes).sum::<usize>() > MAXIMUM_ANSWER_BYTES {
        return Err(PutDocumentError::AnswerTooLarge);
    }
    Ok(())
}
