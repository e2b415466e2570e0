//! Sessions that a runtime reports.

use jiff::Timestamp;
use portcullis_auth::BotId;
use portcullis_contract::{Label, Metadata, SafeInteger, SessionKey, Time, Title};

use super::{Session, SessionStatus, TABLE, metadata, session_id, write::Known};
use crate::{BotAccessError, BotReach, Store, StoreError, Table, attribute::Item, backoff::Backoff, batch::RowKey};

/// Report of a session: it creates one, or changes the one with this key.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Bot of the conversation.
    pub bot: BotId,
    /// Session key, trimmed and in lower case.
    pub session_key: SessionKey,
    /// Chat platform.
    pub channel_type: Option<Label>,
    /// The platform's own id of its channel.
    pub channel_id: Option<Label>,
    /// Remaining fields; a new session needs its title.
    pub change: SessionChange,
}

/// New values for a session; an absent one keeps the old value.
#[derive(Clone, Debug, Default)]
pub struct SessionChange {
    /// Title that people read.
    pub title: Option<Title>,
    /// New status.
    pub status: Option<SessionStatus>,
    /// Number of messages.
    pub message_count: Option<SafeInteger>,
    /// Time of the last message.
    pub last_message_at: Option<Time>,
    /// Opaque JSON of its runtime, at most [`portcullis_contract::MAXIMUM_METADATA_BYTES`].
    pub metadata: Option<Metadata>,
}

/// Reason why a session was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No such session, or the caller may not reach its bot.
    #[error("the session is not known")]
    NotFound,
    /// The caller's token is of another generation than the pool's.
    #[error("the caller's token has been revoked")]
    Revoked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SessionChange {
    fn apply(&self, session: &mut Session) {
        if let Some(title) = &self.title {
            session.title = title.to_string();
            session.title_is_provisional = false;
        }
        session.status = self.status.unwrap_or(session.status);
        session.message_count = self.message_count.map_or(session.message_count, SafeInteger::get);
        session.last_message_at = self.last_message_at.map(|at| at.0).or(session.last_message_at);
        if let Some(metadata) = &self.metadata {
            session.metadata = Some(metadata.as_str().to_owned());
        }
    }
}

impl NewSession {
    fn applied_to(&self, known: Option<Session>, now: Timestamp) -> Session {
        let title = self.change.title.as_ref().map(Title::as_str).unwrap_or_default();
        let mut session = known.unwrap_or_else(|| Session::empty(&self.bot, self.session_key.as_str(), title, now));
        self.change.apply(&mut session);
        session.channel_type = self.channel_type.as_ref().map(Label::to_string).or(session.channel_type);
        session.channel_id = self.channel_id.as_ref().map(Label::to_string).or(session.channel_id);
        session
    }
}

impl Store {
    /// Creates a session or changes an existing one, and keeps it for [`super::SESSION_RETENTION`] from now: two calls.
    ///
    /// # Errors
    /// [`BotAccessError`].
    pub async fn put_session(&self, reach: BotReach<'_>, new: &NewSession) -> Result<Session, BotAccessError> {
        let mut backoff = Backoff::of_race();
        loop {
            let id = session_id(&new.bot, new.session_key.as_str());
            let (_, rows) =
                self.reach_bot(reach, &new.bot, vec![RowKey::new(TABLE, [&id]), metadata::key(&id)]).await?;
            let known = Known::with_metadata(rows, self)?;
            let session = new.applied_to(known.live.clone(), self.now());
            if let Some(session) =
                self.replace_session(reach, &known, session, new.change.metadata.as_ref().map(Metadata::as_str)).await?
            {
                return Ok(session);
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Changes a session, and keeps it for [`super::SESSION_RETENTION`] from now: two calls, three with a bound token.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn change_session(
        &self,
        reach: BotReach<'_>,
        id: &str,
        change: &SessionChange,
    ) -> Result<Session, SessionError> {
        let mut backoff = Backoff::of_race();
        loop {
            let rows = self.session_rows(reach, id).await?;
            let known = Known::with_metadata(rows, self)?;
            let mut session = known.live.clone().ok_or(SessionError::NotFound)?;
            change.apply(&mut session);
            if let Some(session) =
                self.replace_session(reach, &known, session, change.metadata.as_ref().map(Metadata::as_str)).await?
            {
                return Ok(session);
            }
            self.wait_after_race(&mut backoff).await?;
        }
    }

    /// Reads a session's row and its metadata's row, if the caller may reach its bot.
    async fn session_rows(&self, reach: BotReach<'_>, id: &str) -> Result<Vec<Option<Item>>, SessionError> {
        // Look-up and metadata rows have ids of another form.
        let is_session = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut keys = if is_session { vec![RowKey::new(TABLE, [id]), metadata::key(id)] } else { Vec::new() };
        let of_session = keys.len();
        keys.extend(reach.pool_key());
        let mut rows = self.get_rows(&keys).await?;
        let pool = rows.split_off(of_session).pop().flatten();
        reach.check_generation(pool.as_ref()).map_err(unreached)?;
        let row = rows.first().and_then(Option::as_ref).ok_or(SessionError::NotFound)?;
        if reach != BotReach::Any {
            let bot = crate::row::Row::new(Table::ChatSessions, row)?.parsed("bot")?;
            self.reach_bot(reach, &bot, Vec::new()).await.map_err(unreached)?;
        }
        Ok(rows)
    }
}

fn unreached(error: BotAccessError) -> SessionError {
    match error {
        BotAccessError::NotFound | BotAccessError::NotOfPool => SessionError::NotFound,
        BotAccessError::Revoked => SessionError::Revoked,
        BotAccessError::Store(error) => SessionError::Store(error),
    }
}
