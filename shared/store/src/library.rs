//! `skills` and `workspace_templates`: the documents that every pool keeps a copy of, one table for each kind.
//!
//! A document's bytes lie in pieces, rows under a name and a write's random id. The library itself is two rows under
//! [`LIBRARY`]: its `contents`, which list each document's pieces, and its `version` alone, small enough for every
//! heartbeat to read. One transaction writes a document's pieces, points `contents` to them and lets the replaced ones
//! expire: a reader finds the old or the new version, never half of one, and a listed piece never expires.

mod delete;
mod put;

use std::{collections::BTreeMap, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use portcullis_auth::LibraryName;
use portcullis_crypto::Digest;

pub use delete::DeleteDocumentError;
pub use put::{Document, PutDocumentError};

use crate::{
    Store, StoreError, Table,
    attribute::{Item, SCHEMA, attributes, number, schema, size, text},
    batch::RowKey,
    row::Row,
};

/// Most documents of one kind, inactive ones included: the row that lists them holds at most 400 KB.
pub const MAXIMUM_DOCUMENTS: usize = 1000;

/// Most bytes of all active documents of one kind: 4 MiB.
pub const MAXIMUM_ACTIVE_BYTES: usize = 4 * 1024 * 1024;

/// Largest answer with all active documents, in bytes on the wire: Lambda's answers end at 6 MB, and hold ours as a
/// JSON string.
///
/// Source: AWS Lambda, "Lambda quotas", invocation payload.
pub const MAXIMUM_ANSWER_BYTES: usize = 5_500_000;

/// Partition key of the library's own rows; not a valid document name.
const LIBRARY: &str = "#library";
const CONTENTS: &str = "contents";
const VERSION: &str = "version";

/// Kind of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Skills of agents.
    Skills,
    /// Files that an agent's workspace starts with, or always has.
    WorkspaceTemplates,
}

impl Library {
    const fn table(self) -> Table {
        match self {
            Self::Skills => Table::Skills,
            Self::WorkspaceTemplates => Table::WorkspaceTemplates,
        }
    }
}

/// List of a library's documents. The default is a library that never held one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Version of the active documents: 1, 2, 3; 0 where none was ever active.
    pub version: u64,
    /// Time of that version; the Unix epoch for version 0.
    pub created_at: Timestamp,
    /// Optimistic lock: raised with each write, of inactive documents too.
    revision: u64,
    entries: BTreeMap<LibraryName, Entry>,
}

/// Metadata of a document, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSummary {
    /// Name of the document.
    pub name: LibraryName,
    /// Whether pools get it.
    pub is_active: bool,
    /// Bytes that count towards [`MAXIMUM_ACTIVE_BYTES`].
    pub bytes: usize,
    /// Digest of its content.
    pub digest: Digest,
}

/// Stored metadata of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    is_active: bool,
    digest: Digest,
    bytes: usize,
    answer_bytes: usize,
    /// Id of the write that made its pieces.
    write: String,
    pieces: usize,
}

impl Contents {
    /// Digest over the active documents.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let parts: Vec<&[u8]> =
            self.active().flat_map(|(name, entry)| [name.as_str().as_bytes(), entry.digest.as_bytes()]).collect();
        Digest::of_parts(&parts)
    }

    /// All documents in the order of their names, inactive ones too.
    pub fn documents(&self) -> impl Iterator<Item = DocumentSummary> {
        self.entries.iter().map(|(name, entry)| DocumentSummary {
            name: name.clone(),
            is_active: entry.is_active,
            bytes: entry.bytes,
            digest: entry.digest,
        })
    }

    fn active(&self) -> impl Iterator<Item = (&LibraryName, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.is_active)
    }

    fn from_item(table: Table, item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(table, item)?;
        let malformed = || row.malformed("documents");
        let entries = row.map("documents")?.iter().map(|(name, entry)| {
            let name = LibraryName::from_str(name).map_err(|_| malformed())?;
            Ok((name, Entry::from_item(table, entry.as_m().map_err(|_| malformed())?)?))
        });
        Ok(Self {
            version: row.parsed("number")?,
            created_at: row.time("createdAt")?,
            revision: row.parsed("revision")?,
            entries: entries.collect::<Result<_, StoreError>>()?,
        })
    }
}

impl Entry {
    fn from_item(table: Table, item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(table, item)?;
        Ok(Self {
            is_active: row.boolean("active")?,
            digest: Digest::from_hex(row.text("digest")?).ok_or_else(|| row.malformed("digest"))?,
            bytes: row.parsed("bytes")?,
            answer_bytes: row.parsed("answerBytes")?,
            write: row.text("write")?.to_owned(),
            pieces: row.parsed("pieces")?,
        })
    }

    fn to_item(&self) -> Item {
        attributes([
            (SCHEMA, schema()),
            ("active", AttributeValue::Bool(self.is_active)),
            ("digest", text(self.digest.to_hex())),
            ("bytes", size(self.bytes)),
            ("answerBytes", size(self.answer_bytes)),
            ("write", text(&self.write)),
            ("pieces", size(self.pieces)),
        ])
    }

    /// Sort keys of its pieces, in order.
    fn piece_keys(&self) -> impl Iterator<Item = String> {
        (0..self.pieces).map(|piece| format!("{}#{piece}", self.write))
    }
}

impl Store {
    /// Reads a library's contents: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn library(&self, library: Library) -> Result<Contents, StoreError> {
        let table = library.table();
        let item = self.get_row(table, [("name", text(LIBRARY)), ("part", text(CONTENTS))]).await?;
        item.as_ref().map_or_else(|| Ok(Contents::default()), |item| Contents::from_item(table, item))
    }

    /// Reads the bytes of each active document, as they were written: one round of calls. Replaced pieces stay readable
    /// for an hour, so `contents` must have been read within it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn active_documents(
        &self,
        library: Library,
        contents: &Contents,
    ) -> Result<BTreeMap<LibraryName, Vec<u8>>, StoreError> {
        let table = library.table();
        let pieces = contents.active().flat_map(|(name, entry)| entry.piece_keys().map(move |key| (name, key)));
        let (names, keys): (Vec<_>, Vec<_>) =
            pieces.map(|(name, piece)| (name, RowKey::new(table, [name.as_str(), &piece]))).unzip();
        let mut documents: BTreeMap<_, Vec<u8>> = contents.active().map(|(name, _)| (name.clone(), vec![])).collect();
        for (name, item) in names.into_iter().zip(self.get_rows(&keys).await?) {
            let item = item.ok_or(StoreError::Malformed { table: table.name(), attribute: "documents" })?;
            documents.entry(name.clone()).or_default().extend(Row::new(table, &item)?.bytes("bytes")?);
        }
        Ok(documents)
    }

    /// Reads the versions of the active skills and of the active templates: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn library_versions(&self) -> Result<(u64, u64), StoreError> {
        let tables = [Table::Skills, Table::WorkspaceTemplates];
        let keys = tables.map(|table| RowKey::new(table, [LIBRARY, VERSION]));
        let rows = self.get_rows(&keys).await?;
        let mut versions = tables.into_iter().zip(rows).map(|(table, item)| match item {
            Some(item) => Row::new(table, &item)?.parsed("number"),
            None => Ok(0),
        });
        let mut next = || versions.next().unwrap_or(Ok(0));
        Ok((next()?, next()?))
    }
}

fn library_row(part: &str, version: u64) -> Item {
    attributes([(SCHEMA, schema()), ("name", text(LIBRARY)), ("part", text(part)), ("number", number(version))])
}
