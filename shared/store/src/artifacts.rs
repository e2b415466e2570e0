//! `artifacts`: documents, code and deployments that agents made.
//!
//! An artifact's row is replaced whole, on the condition that its `revision` is the one that was read (optimistic
//! lock). Beside the artifacts lies one row for each preview URL, which names its owner: it is written in the same
//! transaction.

mod change;
mod delete;
mod list;
mod preview;
mod put;

use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_contract::{Label, Metadata, SafeInteger, Title, words};

use crate::{
    StoreError, Table,
    attribute::{Item, SCHEMA, attributes, number, schema, text, time},
    row::Row,
};
pub use change::ArtifactError;
pub use list::{ArtifactFilter, ArtifactStats};
pub use preview::{InvalidPreviewUrl, PreviewOwner, PreviewUrl};
pub use put::{DomainCheck, NewArtifact, PutArtifactError, SessionRef};

const TABLE: Table = Table::Artifacts;

words! {
    /// Type of an artifact.
    pub enum ArtifactType {
        /// Code.
        Code = "code",
        /// Content, such as a document.
        Content = "content",
        /// A deployment.
        Deployment = "deployment",
    }
}

words! {
    /// Work that made an artifact.
    pub enum ArtifactSource {
        /// Coding.
        Coding = "coding",
        /// Writing content.
        Content = "content",
    }
}

words! {
    /// Progress of an artifact.
    pub enum ArtifactStatus {
        /// It is being built.
        Building = "building",
        /// It can be seen.
        Live = "live",
        /// Its build failed.
        Failed = "failed",
        /// It was taken down.
        Stopped = "stopped",
    }
}

/// New values for an artifact; an absent one keeps the old value.
#[derive(Clone, Debug, Default)]
pub struct ArtifactChange {
    /// Title that people read.
    pub title: Option<Title>,
    /// New progress.
    pub status: Option<ArtifactStatus>,
    /// URL at which it can be seen.
    pub preview_url: Option<PreviewUrl>,
    /// Target that it was deployed to.
    pub deploy_target: Option<Label>,
    /// Lines of code.
    pub lines_of_code: Option<SafeInteger>,
    /// Number of files.
    pub file_count: Option<SafeInteger>,
    /// Duration of the work, in milliseconds.
    pub duration_ms: Option<SafeInteger>,
    /// Opaque JSON of its maker.
    pub metadata: Option<Metadata>,
}

/// An artifact as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Id, a UUID.
    pub id: String,
    /// Bot that made it.
    pub bot: BotId,
    /// Session that it was made in.
    pub session_key: Option<String>,
    /// Chat platform.
    pub channel_type: Option<String>,
    /// The platform's own id of the channel.
    pub channel_id: Option<String>,
    /// Title that people read.
    pub title: String,
    /// Type of the artifact.
    pub artifact_type: Option<ArtifactType>,
    /// Work that made it.
    pub source: Option<ArtifactSource>,
    /// Media type.
    pub content_type: Option<String>,
    /// Progress of the work.
    pub status: ArtifactStatus,
    /// URL at which it can be seen; no other artifact has it.
    pub preview_url: Option<PreviewUrl>,
    /// Target that it was deployed to.
    pub deploy_target: Option<String>,
    /// Lines of code.
    pub lines_of_code: Option<u64>,
    /// Number of files.
    pub file_count: Option<u64>,
    /// Duration of the work, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Opaque JSON of its maker.
    pub metadata: Option<String>,
    /// Time of its first report.
    pub created_at: Timestamp,
    /// Time of its row's last change.
    pub updated_at: Timestamp,
    /// Optimistic lock: raised with each change of the row.
    revision: u64,
}

impl Artifact {
    fn from_item(item: &Item) -> Result<Self, StoreError> {
        let row = Row::new(TABLE, item)?;
        let optional = |attribute| Ok::<_, StoreError>(row.optional_text(attribute)?.map(str::to_owned));
        Ok(Self {
            id: row.text("id")?.to_owned(),
            bot: row.parsed("bot")?,
            session_key: optional("sessionKey")?,
            channel_type: optional("channelType")?,
            channel_id: optional("channelId")?,
            title: row.text("title")?.to_owned(),
            artifact_type: row.optional_parsed("artifactType")?,
            source: row.optional_parsed("source")?,
            content_type: optional("contentType")?,
            status: row.parsed("status")?,
            preview_url: row.optional_parsed("previewUrl")?,
            deploy_target: optional("deployTarget")?,
            lines_of_code: row.optional_parsed("linesOfCode")?,
            file_count: row.optional_parsed("fileCount")?,
            duration_ms: row.optional_parsed("durationMs")?,
            metadata: optional("metadata")?,
            created_at: row.time("createdAt")?,
            updated_at: row.time("updatedAt")?,
            revision: row.parsed("revision")?,
        })
    }

    fn to_item(&self) -> Item {
        let mut item = attributes([
            (SCHEMA, schema()),
            ("id", text(&self.id)),
            ("bot", text(&self.bot)),
            ("title", text(&self.title)),
            ("status", text(self.status)),
            ("createdAt", time(self.created_at)),
            ("updatedAt", time(self.updated_at)),
            ("revision", number(self.revision)),
        ]);
        let optional = [
            ("sessionKey", self.session_key.as_ref().map(text)),
            ("channelType", self.channel_type.as_ref().map(text)),
            ("channelId", self.channel_id.as_ref().map(text)),
            ("artifactType", self.artifact_type.map(text)),
            ("source", self.source.map(text)),
            ("contentType", self.content_type.as_ref().map(text)),
            ("previewUrl", self.preview_url.as_ref().map(text)),
            ("deployTarget", self.deploy_target.as_ref().map(text)),
            ("linesOfCode", self.lines_of_code.map(number)),
            ("fileCount", self.file_count.map(number)),
            ("durationMs", self.duration_ms.map(number)),
            ("metadata", self.metadata.as_ref().map(text)),
        ];
        item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        item
    }

    /// Applies a change made at `now`.
    fn changed(mut self, change: &ArtifactChange, now: Timestamp) -> Self {
        fn set<T>(value: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *value = new;
            }
        }
        if let Some(title) = &change.title {
            self.title = title.to_string();
        }
        self.status = change.status.unwrap_or(self.status);
        set(&mut self.preview_url, change.preview_url.clone());
        set(&mut self.deploy_target, change.deploy_target.as_ref().map(Label::to_string));
        set(&mut self.lines_of_code, change.lines_of_code.map(SafeInteger::get));
        set(&mut self.file_count, change.file_count.map(SafeInteger::get));
        set(&mut self.duration_ms, change.duration_ms.map(SafeInteger::get));
        set(&mut self.metadata, change.metadata.as_ref().map(|metadata| metadata.as_str().to_owned()));
        self.updated_at = now;
        self.revision += 1;
        self
    }
}
