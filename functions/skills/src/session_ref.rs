//! Which session an artifact is of, as a skill says it.

use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError, ErrorCode,
    fields::{Label, SessionKey},
};
use portcullis_store::SessionRef;

/// What a skill says of its session.
pub struct Said {
    pub session_key: Option<SessionKey>,
    pub chat_id: Option<Label>,
    pub thread_id: Option<Label>,
}

impl Said {
    /// The session that is meant; `None` where none is.
    ///
    /// # Errors
    /// 400, in the contract's order.
    pub fn session(self, bot: &BotId) -> Result<Option<SessionRef>, ApiError> {
        if let Some(key) = &self.session_key {
            if !key.0.starts_with("agent:") {
                return Err(refused("sessionKey must start with agent:"));
            }
            if !key.is_of(bot) {
                return Err(refused("sessionKey belongs to another bot"));
            }
        }
        if self.thread_id.is_some() && self.chat_id.is_none() {
            return Err(refused("threadId requires chatId"));
        }
        match (self.session_key, self.chat_id) {
            (Some(key), _) => Ok(Some(SessionRef::Key(key.0))),
            (None, Some(chat)) => {
                let chat = chat.0.parse().map_err(|_| refused("chatId must start with user: or channel:"))?;
                Ok(Some(SessionRef::Chat { chat, thread: self.thread_id.map(|thread| thread.0) }))
            }
            (None, None) => Ok(None),
        }
    }

    /// The session that is meant.
    ///
    /// # Errors
    /// As [`Said::session`], and where none is meant.
    pub fn required(self, bot: &BotId) -> Result<SessionRef, ApiError> {
        self.session(bot)?.ok_or_else(|| refused("sessionKey or chatId is required"))
    }
}

/// 400 about the session.
pub fn refused(message: &'static str) -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidSession, message)
}
