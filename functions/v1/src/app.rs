//! State that all endpoints share, and responses that several of them give.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_auth::{BotId, Clock, UserId};
use portcullis_crypto::Randomness;
use portcullis_runtime::{
    ApiError, front,
    origins::Origins,
    rotating::Rotating,
    secrets::{ComposioAccess, LiteLlmAccess, SlackClientAccess},
};
use portcullis_store::{BotAccessError, BotReach, Store};
use portcullis_upstream::{Composio, Discord, Feishu, Slack};
use serde::Serialize;

use crate::{models::Models, policies::PolicyCache};

/// Dependencies of the handlers.
pub struct App {
    pub store: Store,
    pub slack_client: Rotating<SlackClientAccess>,
    pub lite_llm: Rotating<LiteLlmAccess>,
    pub composio_access: Rotating<ComposioAccess>,
    pub models: Models,
    pub policies: PolicyCache,
    pub slack: Slack,
    pub discord: Discord,
    pub feishu: Feishu,
    pub composio: Composio,
    pub origins: Arc<Origins>,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
}

impl App {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a new random id for a stored item.
    pub fn new_id(&self) -> String {
        front::new_request_id(&*self.randomness)
    }

    /// Returns random bytes in hex.
    pub fn random_hex<const BYTES: usize>(&self) -> String {
        let mut bytes = [0; BYTES];
        self.randomness.fill(&mut bytes);
        hex::encode(bytes)
    }

    /// Checks that a bot belongs to the person.
    ///
    /// # Errors
    /// 404 if it does not.
    pub async fn check_bot(&self, user: &UserId, bot: &BotId) -> Result<(), ApiError> {
        self.store.check_bot(BotReach::Owner(user), bot).await.map_err(refuse_bot)
    }
}

/// `{"success":true}`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Success)]
pub struct Deleted {
    pub success: bool,
}

impl Deleted {
    pub fn done() -> axum::Json<Self> {
        axum::Json(Self { success: true })
    }
}

/// Returns the 404 for a bot that does not exist or belongs to another person.
pub fn bot_not_found() -> ApiError {
    ApiError::not_found("Bot not found")
}

pub fn refuse_bot(error: BotAccessError) -> ApiError {
    match error {
        BotAccessError::Store(error) => error.into(),
        BotAccessError::NotFound | BotAccessError::NotOfPool | BotAccessError::Revoked => bot_not_found(),
    }
}
