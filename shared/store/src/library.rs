//! `skills` and `workspace_templates`: the documents that every pool keeps a copy of, each kind in a table of its own.
//!
//! A document's bytes lie in pieces, rows under a name and a write's random id. The library itself is two rows under
//! [`LIBRARY`]: its `contents`, which name each document's pieces, and its `version` alone, small enough for every heartbeat
//! to read. One transaction writes a document's pieces, turns `contents` to them and lets the replaced ones expire: a reader
//! finds the old or the new, never half, and nothing that is named ever expires.

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

/// The most documents of one kind, inactive ones included: the row that names them holds 400 KB at the most.
pub const MAXIMUM_DOCUMENTS: usize = 1000;

/// The most bytes of all active documents of one kind: 4 MiB.
pub const MAXIMUM_ACTIVE_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that an answer with all active documents takes on its way out: Lambda's answers end at 6 MB, and hold
/// ours as a JSON string.
///
/// Source: AWS Lambda, "Lambda quotas", invocation payload.
pub const MAXIMUM_ANSWER_BYTES: usize = 5_500_000;

/// The partition key of the library's own rows: no document's name.
const LIBRARY: &str = "#library";
const CONTENTS: &str = "contents";
const VERSION: &str = "version";

/// A kind of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// What agents can do.
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

/// What a library holds. The default is one that never held anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The version of what is active: 1, 2, 3; 0 where nothing ever was.
    pub version: u64,
    /// When that version came to be; the Unix epoch for version 0.
    pub created_at: Timestamp,
    /// How often anything was written, inactive documents included: what a writer's condition is about.
    revision: u64,
    entries: BTreeMap<LibraryName, Entry>,
}

/// What is known of a document without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSummary {
    /// Its name.
    pub name: LibraryName,
    /// Whether pools have it.
    pub is_active: bool,
    /// How many bytes of [`MAXIMUM_ACTIVE_BYTES`] it takes.
    pub bytes: usize,
    /// The digest of what it holds.
    pub digest: Digest,
}

/// A document, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    is_active: bool,
    digest: Digest,
    bytes: usize,
    answer_bytes: usize,
    /// The write that its pieces are of.
    write: String,
    pieces: usize,
}

impl Contents {
    /// The digest of what is active.
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

    /// The sort keys of its pieces, in order.
    fn piece_keys(&self) -> impl Iterator<Item = String> {
        (0..self.pieces).map(|piece| format!("{}#{piece}", self.write))
    }
}

impl Store {
    /// What a library holds: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn library(&self, library: Library) -> Result<Contents, StoreError> {
        let table = library.table();
        let item = self.get_row(table, [("name", text(LIBRARY)), ("part", text(CONTENTS))]).await?;
        item.as_ref().map_or_else(|| Ok(Contents::default()), |item| Contents::from_item(table, item))
    }

    /// The bytes of each active document, as they were written: one round of calls. `contents` was read within the hour that
    /// what is replaced stays readable.
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

    /// The versions of the active skills and of the active templates: one call.
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
