//! `/v1/bots`: the caller's own bots.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod update;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::{BotId, PoolId};
use portcullis_runtime::{ApiError, ErrorCode, params};
use portcullis_store::{self as store, BotStatus, UpdateBotError};
use serde::Serialize;

use crate::app::bot_not_found;

/// The bot id of the path.
pub(crate) struct BotPath(BotId);

impl<S: Sync> FromRequestParts<S> for BotPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "id").await.map(Self)
    }
}

/// A bot.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnBot)]
pub(crate) struct Bot {
    id: BotId,
    name: String,
    slug: String,
    #[schema(required)]
    pool_id: Option<PoolId>,
    status: BotStatus,
    model_id: String,
    #[schema(required)]
    system_prompt: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<store::Bot> for Bot {
    fn from(bot: store::Bot) -> Self {
        Self {
            id: bot.id,
            name: bot.name,
            slug: bot.slug,
            pool_id: bot.pool,
            status: bot.status,
            model_id: bot.model_id,
            system_prompt: bot.system_prompt,
            created_at: format!("{:.3}", bot.created_at),
            updated_at: format!("{:.3}", bot.updated_at),
        }
    }
}

fn pool_not_found() -> ApiError {
    ApiError::bad_request(ErrorCode::PoolNotFound, "Pool not found")
}

fn pool_is_full() -> ApiError {
    ApiError::conflict("The pool has its limit of 50 bots")
}

fn slug_is_taken() -> ApiError {
    ApiError::conflict("The slug is another bot's of yours")
}

fn too_many_bots() -> ApiError {
    ApiError::conflict("You have the limit of 50 bots")
}

fn account_is_gone() -> ApiError {
    ApiError::conflict("The account is being deleted")
}

fn refuse_update(error: UpdateBotError) -> ApiError {
    match error {
        UpdateBotError::NotFound | UpdateBotError::Deleted => bot_not_found(),
        UpdateBotError::PoolNotFound => pool_not_found(),
        UpdateBotError::TooManyBots => pool_is_full(),
        UpdateBotError::SlugTaken => slug_is_taken(),
        UpdateBotError::TooManyOwned => too_many_bots(),
        UpdateBotError::OwnerGone => account_is_gone(),
        UpdateBotError::Store(error) => error.into(),
    }
}
