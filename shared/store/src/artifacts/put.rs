//! Artifacts that an agent reports: each is created, or changes the one with the same preview.

use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_contract::{Label, SessionKey};
use uuid::Builder;

use super::{
    Artifact, ArtifactChange, ArtifactSource, ArtifactStatus, ArtifactType, TABLE,
    preview::{PreviewOwner, PreviewUrl},
};
use crate::{
    BotAccessError, BotReach, ChatId, Resolution, Store, StoreError,
    attribute::Item,
    backoff::Backoff,
    batch::RowKey,
    chat_sessions::{look_up_key, resolve},
};

/// Reference to an artifact's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// By key, which begins with the bot's own; the session need not exist.
    Key(SessionKey),
    /// By chat and thread.
    Chat {
        /// Chat of the conversation.
        chat: ChatId,
        /// The thread's id.
        thread: Option<Label>,
    },
}

/// Report of an artifact: it creates one, or changes the one of the same session and preview.
#[derive(Clone, Debug)]
pub struct NewArtifact {
    /// Bot that made it.
    pub bot: BotId,
    /// Session that it was made in.
    pub session: SessionRef,
    /// Chat platform.
    pub channel_type: Option<Label>,
    /// The platform's own id of the channel.
    pub channel_id: Option<Label>,
    /// Type of the artifact.
    pub artifact_type: Option<ArtifactType>,
    /// Work that made it.
    pub source: Option<ArtifactSource>,
    /// Media type.
    pub content_type: Option<Label>,
    /// Remaining fields; the title is required.
    pub change: ArtifactChange,
}

/// Reason why an artifact was not written, or a preview URL is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutArtifactError {
    /// The caller does not reach the bot.
    #[error(transparent)]
    Bot(#[from] BotAccessError),
    /// No session has this chat.
    #[error("no session is this chat")]
    NoSession,
    /// Several sessions have this chat.
    #[error("several sessions are this chat")]
    SeveralSessions,
    /// Another session has the preview URL.
    #[error("the preview's URL is another session's")]
    PreviewTaken,
}

impl From<StoreError> for PutArtifactError {
    fn from(error: StoreError) -> Self {
        Self::Bot(error.into())
    }
}

/// Answer that a preview URL is available to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainCheck {
    /// Session that asked.
    pub session_key: Option<String>,
    /// The session's own artifact that has the URL already.
    pub existing: Option<PreviewOwner>,
}

/// Rows that are read before an artifact is written.
struct Preconditions {
    session_key: Option<String>,
    owner: Option<PreviewOwner>,
}

impl NewArtifact {
    fn into_artifact(self, id: String, session_key: String, now: Timestamp) -> Artifact {
        let empty = Artifact {
            id,
            bot: self.bot,
            session_key: Some(session_key),
            channel_type: self.channel_type.map(String::from),
            channel_id: self.channel_id.map(String::from),
            title: String::new(),
            artifact_type: self.artifact_type,
            source: self.source,
            content_type: self.content_type.map(String::from),
            status: ArtifactStatus::Building,
            preview_url: None,
            deploy_target: None,
            lines_of_code: None,
            file_count: None,
            duration_ms: None,
            metadata: None,
            created_at: now,
            updated_at: now,
            revision: 0,
        };
        empty.changed(&self.change, now)
    }

    fn applied_to(self, known: Artifact, now: Timestamp) -> Artifact {
        let mut artifact = known.changed(&self.change, now);
        artifact.channel_type = self.channel_type.map(String::from).or(artifact.channel_type);
        artifact.channel_id = self.channel_id.map(String::from).or(artifact.channel_id);
        artifact.artifact_type = self.artifact_type.or(artifact.artifact_type);
        artifact.source = self.source.or(artifact.source);
        artifact.content_type = self.content_type.map(String::from).or(artifact.content_type);
        artifact
    }
}

impl Store {
    /// Creates an artifact, or changes the one of the same session and preview: two calls, three for a change.
    ///
    /// # Errors
    /// [`PutArtifactError`].
    pub async fn put_artifact(&self, reach: BotReach<'_>, new: &NewArtifact) -> Result<Artifact, PutArtifactError> {
        let mut backoff = Backoff::of_race();
        loop {
            let preview = new.change.preview_url.as_ref();
            let (session, channel_type) = (Some(&new.session), new.channel_type.as_ref().map(Label::as_str));
            let read = self.read_for_artifact(reach, &new.bot, session, channel_type, preview).await?;
            let session_key = read.session_key.ok_or(PutArtifactError::NoSession)?;
            let written = match read.owner {
                None => {
                    let artifact = new.clone().into_artifact(self.new_id(), session_key, self.now());
                    self.write_artifact(reach, None, artifact).await?
                }
                Some(owner) if owner.is_session(&new.bot, &session_key) => {
                    match self.artifact(&owner.artifact).await? {
                        Some(known) => {
                            let artifact = new.clone().applied_to(known.clone(), self.now());
                            self.write_artifact(reach, Some(&known), artifact).await?
                        }
                        None => None,
                    }
                }
                Some(_) => return Err(PutArtifactError::PreviewTaken),
            };
            if let Some(artifact) = written {
                return Ok(artifact);
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Checks that a preview URL is free or belongs to this session already: one call.
    ///
    /// # Errors
    /// [`PutArtifactError`].
    pub async fn check_preview(
        &self,
        reach: BotReach<'_>,
        bot: &BotId,
        session: Option<&SessionRef>,
        channel_type: Option<&str>,
        preview: &PreviewUrl,
    ) -> Result<DomainCheck, PutArtifactError> {
        let read = self.read_for_artifact(reach, bot, session, channel_type, Some(preview)).await?;
        match (&read.owner, &read.session_key) {
            (None, _) => Ok(DomainCheck { session_key: read.session_key, existing: None }),
            (Some(owner), Some(key)) if owner.is_session(bot, key) => {
                Ok(DomainCheck { session_key: read.session_key, existing: read.owner })
            }
            (Some(_), _) => Err(PutArtifactError::PreviewTaken),
        }
    }

    /// Reads the session and the URL's owner: one call.
    async fn read_for_artifact(
        &self,
        reach: BotReach<'_>,
        bot: &BotId,
        session: Option<&SessionRef>,
        channel_type: Option<&str>,
        preview: Option<&PreviewUrl>,
    ) -> Result<Preconditions, PutArtifactError> {
        let look_up = match session {
            Some(SessionRef::Chat { chat, .. }) => Some(look_up_key(bot, chat)),
            _ => None,
        };
        let keys: Vec<RowKey> = look_up.into_iter().chain(preview.map(PreviewUrl::key)).collect();
        let (_, rows) = self.reach_bot(reach, bot, keys).await?;
        let mut rows = rows.into_iter();
        let session_key = match session {
            None => None,
            Some(SessionRef::Key(key)) => Some(key.to_string()),
            Some(SessionRef::Chat { chat, thread }) => {
                let found = rows.next().flatten();
                Some(self.resolve_chat(bot, chat, thread.as_ref().map(Label::as_str), channel_type, found.as_ref())?)
            }
        };
        let owner = rows.next().flatten().as_ref().map(PreviewOwner::from_item).transpose()?;
        Ok(Preconditions { session_key, owner })
    }

    fn resolve_chat(
        &self,
        bot: &BotId,
        chat: &ChatId,
        thread: Option<&str>,
        channel_type: Option<&str>,
        found: Option<&Item>,
    ) -> Result<String, PutArtifactError> {
        match resolve(bot, chat, channel_type, found, self.now())? {
            Resolution::One(key) => Ok(match thread {
                Some(thread) => format!("{key}:thread:{}", thread.to_lowercase()),
                None => key,
            }),
            Resolution::None => Err(PutArtifactError::NoSession),
            Resolution::Several => Err(PutArtifactError::SeveralSessions),
        }
    }

    /// Returns a random id that cannot be guessed (`UUIDv4`, RFC 9562 §5.4).
    fn new_id(&self) -> String {
        let mut bytes = [0; 16];
        self.randomness().fill(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    pub(super) async fn artifact(&self, id: &str) -> Result<Option<Artifact>, StoreError> {
        let rows = self.get_rows(&[RowKey::new(TABLE, [id])]).await?;
        rows.into_iter().flatten().next().as_ref().map(Artifact::from_item).transpose()
    }
}
