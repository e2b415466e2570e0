//! Selection of an artifact's session by a request's fields.

use portcullis_auth::BotId;
use portcullis_contract::{Label, SessionKey};
use portcullis_runtime::{ApiError, ErrorCode};
use portcullis_store::SessionRef;

/// Fields of a request that select a session: a session key, or a chat with an optional thread.
pub struct SessionSelector {
    pub session_key: Option<SessionKey>,
    pub chat_id: Option<Label>,
    pub thread_id: Option<Label>,
}

impl SessionSelector {
    /// Returns the selected session; `None` if no field selects one.
    ///
    /// # Errors
    /// 400 for the first invalid field, in the contract's order.
    pub fn session(self, bot: &BotId) -> Result<Option<SessionRef>, ApiError> {
        if let Some(key) = &self.session_key {
            if !key.as_str().starts_with("agent:") {
                return Err(invalid("sessionKey must start with agent:"));
            }
            if !key.is_of(bot) {
                return Err(invalid("sessionKey belongs to another bot"));
            }
        }
        if self.thread_id.is_some() && self.chat_id.is_none() {
            return Err(invalid("threadId requires chatId"));
        }
        match (self.session_key, self.chat_id) {
            (Some(key), _) => Ok(Some(SessionRef::Key(key))),
            (None, Some(chat)) => {
                let chat = chat.as_str().parse().map_err(|_| invalid("chatId must start with user: or channel:"))?;
                Ok(Some(SessionRef::Chat { chat, thread: self.thread_id }))
            }
            (None, None) => Ok(None),
        }
    }

    /// Returns the selected session.
    ///
    /// # Errors
    /// Those of [`SessionSelector::session`], and 400 if no field selects a session.
    pub fn required(self, bot: &BotId) -> Result<SessionRef, ApiError> {
        self.session(bot)?.ok_or_else(|| invalid("sessionKey or chatId is required"))
    }
}

/// Returns a 400 about the session.
pub fn invalid(message: &'static str) -> ApiError {
    ApiError::bad_request(ErrorCode::InvalidSession, message)
}
