//! State that all endpoints share.

use std::{sync::Arc, time::Duration};

use portcullis_auth::{BotId, Clock};
use portcullis_crypto::Randomness;
use portcullis_runtime::{ApiError, origins::Origins, rotating::Rotating, secrets::ComposioAccess, tier::Skill};
use portcullis_store::{SealedSecrets, Store};
use portcullis_upstream::Composio;

use crate::toolkit_versions::ToolkitVersions;

/// Deadline of a response: above the store's time-outs with retries and the time-out of a third party's action, below
/// API Gateway's 30 s.
pub const DEADLINE: Duration = Duration::from_secs(28);

/// Dependencies of the handlers.
pub struct App {
    pub store: Store,
    pub sealed_secrets: SealedSecrets,
    pub composio: Composio,
    pub composio_access: Rotating<ComposioAccess>,
    pub versions: ToolkitVersions,
    pub origins: Arc<Origins>,
    pub clock: Arc<dyn Clock>,
    pub randomness: Arc<dyn Randomness>,
}

impl App {
    /// Returns the bot's access error if the caller does not reach the bot, or else `refusal`: access errors take
    /// precedence.
    pub async fn unless_bot_is_refused(&self, caller: &Skill, bot: &BotId, refusal: ApiError) -> ApiError {
        self.store.check_bot(caller.bots(), bot).await.map_or_else(Skill::refuse_bot, |()| refusal)
    }
}
