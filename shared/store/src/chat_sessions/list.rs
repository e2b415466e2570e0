//! Lists of conversations for the people whose bots had them.

use portcullis_auth::{BotId, UserId};

use super::{Session, SessionStatus, TABLE, metadata};
use crate::{
    Slice, Store, StoreError, Window,
    batch::RowKey,
    bots::{owned_bots, owner_key},
};

/// Length of a session's id, in hex digits.
const ID_LENGTH: usize = 64;

/// Filter of a list of conversations.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Keeps only conversations of this platform.
    pub channel_type: Option<String>,
    /// Keeps only conversations of this status.
    pub status: Option<SessionStatus>,
}

impl SessionFilter {
    fn admits(&self, session: &Session) -> bool {
        self.status.is_none_or(|status| session.status == status)
            && self.channel_type.as_ref().is_none_or(|kind| session.channel_type.as_ref() == Some(kind))
    }
}

impl Store {
    /// Lists these bots' conversations without their metadata, the latest changed first; only each bot's newest 1,000
    /// count. The list comes from an index, which may lag behind a change by a moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_sessions(
        &self,
        bots: &[BotId],
        filter: &SessionFilter,
        window: Window,
    ) -> Result<Slice<Session>, StoreError> {
        let now = self.now();
        let rows = self.newest_rows(TABLE, bots).await?;
        let live = rows.iter().filter_map(|item| Session::live(item, now).transpose());
        let mut sessions = live.collect::<Result<Vec<_>, _>>()?;
        sessions.retain(|session| filter.admits(session));
        sessions.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.id.cmp(&b.id)));
        Ok(window.of(sessions))
    }

    /// Reads a conversation of one of a person's own bots, with its metadata: one call.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session_of(&self, user: &UserId, id: &str) -> Result<Option<Session>, StoreError> {
        // The table's other rows have ids of another form.
        if id.len() != ID_LENGTH || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let keys = [owner_key(user), RowKey::new(TABLE, [id]), metadata::key(id)];
        let [owner, session, metadata] = self.get_rows(&keys).await?.try_into().unwrap_or_default();
        let bots = owned_bots(owner.as_ref())?;
        let session = session.map(|item| Session::live(&item, self.now())).transpose()?.flatten();
        let Some(mut session) = session.filter(|session| bots.contains(&session.bot)) else { return Ok(None) };
        session.metadata = metadata.as_ref().map(metadata::from_item).transpose()?;
        Ok(Some(session))
    }
}
