//! `/api/internal/bots`: the operator's view of bots.

pub mod delete;
pub mod get;
pub mod list;
pub mod put;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::{BotId, PoolId, UserId};
use portcullis_runtime::{ApiError, params};
use portcullis_store::{Bot, BotStatus};
use serde::Serialize;

/// The bot id of the path.
pub struct BotPath(BotId);

impl<S: Sync> FromRequestParts<S> for BotPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "botId").await.map(Self)
    }
}

/// A bot without its prompt, which is too long for a list.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedBot)]
pub struct Listed {
    id: BotId,
    #[schema(required)]
    owner_id: Option<UserId>,
    name: String,
    slug: String,
    #[schema(required)]
    pool_id: Option<PoolId>,
    status: BotStatus,
    model_id: String,
    created_at: String,
    updated_at: String,
}

/// A bot.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Bot)]
pub struct Response {
    id: BotId,
    #[schema(required)]
    owner_id: Option<UserId>,
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

impl From<Bot> for Listed {
    fn from(bot: Bot) -> Self {
        Self {
            id: bot.id,
            owner_id: bot.user,
            name: bot.name,
            slug: bot.slug,
            pool_id: bot.pool,
            status: bot.status,
            model_id: bot.model_id,
            created_at: format!("{:.3}", bot.created_at),
            updated_at: format!("{:.3}", bot.updated_at),
        }
    }
}

impl From<Bot> for Response {
    fn from(mut bot: Bot) -> Self {
        let system_prompt = bot.system_prompt.take();
        let Listed { id, owner_id, name, slug, pool_id, status, model_id, created_at, updated_at } = bot.into();
        Self { id, owner_id, name, slug, pool_id, status, model_id, system_prompt, created_at, updated_at }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Bot not found")
}
