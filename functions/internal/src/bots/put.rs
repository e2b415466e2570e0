//! `PUT /api/internal/bots/{botId}`: creates a bot, changes it, or moves it to another pool.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::{BotId, PoolId, UserId};
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{ModelId, Name, Slug, SystemPrompt},
        change, optional,
    },
    json::StrictJson,
    openapi,
    tier::Operator,
};
use portcullis_store::{BotReach, BotUpdate, Change, CreateBotError, NewBot, UpdateBotError};
use serde::Deserialize;

use super::{BotPath, Response};
use crate::app::{App, pool_not_found};

/// Tries of the update-or-create: a second one if another request creates the bot in between. A bot's row is never
/// removed.
const TRIES: usize = 2;

/// Settings of a bot. An absent field keeps its value.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BotSettings)]
pub struct Request {
    name: Name,
    pool_id: PoolId,
    #[serde(default, deserialize_with = "optional")]
    model_id: Option<ModelId>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<SystemPrompt>)]
    system_prompt: Change<SystemPrompt>,
    #[serde(default, deserialize_with = "optional")]
    status: Option<Status>,
    #[serde(default, deserialize_with = "optional")]
    slug: Option<Slug>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<UserId>)]
    owner_id: Change<UserId>,
}

/// Status that the operator may set. `DELETE` alone deletes a bot.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SettableBotStatus)]
enum Status {
    Active,
    Paused,
}

impl Request {
    fn into_update(self) -> BotUpdate {
        BotUpdate {
            name: Some(self.name.0),
            slug: self.slug.map(|slug| slug.0),
            model_id: self.model_id.map(|model| model.0),
            system_prompt: self.system_prompt.map(|prompt| prompt.0),
            user: self.owner_id,
            pool: Change::Set(self.pool_id),
            paused: self.status.map(|status| status == Status::Paused),
        }
    }

    fn into_new_bot(self, id: BotId) -> Result<NewBot, ApiError> {
        let model = self.model_id.ok_or_else(|| ApiError::invalid_field("modelId", "is required for a new bot"))?;
        Ok(NewBot {
            id,
            user: self.owner_id.value(),
            slug: self.slug.unwrap_or_else(|| Slug::of_name(&self.name)).0,
            name: self.name.0,
            pool: Some(self.pool_id),
            model_id: model.0,
            system_prompt: self.system_prompt.value().map(|prompt| prompt.0),
            paused: self.status == Some(Status::Paused),
        })
    }
}

#[utoipa::path(
    put,
    path = "/api/internal/bots/{botId}",
    tag = "operator",
    params(("botId" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 200, description = "The bot", body = Response), openapi::Refusals),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    BotPath(bot): BotPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Response>, ApiError> {
    let update = request.clone().into_update();
    for _ in 0..TRIES {
        match app.store.update_bot(BotReach::Any, &bot, &update).await {
            Ok(bot) => return Ok(axum::Json(bot.into())),
            Err(UpdateBotError::NotFound) => {}
            Err(error) => return Err(update_error(error, &request.pool_id)),
        }
        match app.store.create_bot(request.clone().into_new_bot(bot.clone())?).await {
            Ok(bot) => return Ok(axum::Json(bot.into())),
            Err(CreateBotError::AlreadyExists) => {}
            Err(error) => return Err(create_error(error, &request.pool_id)),
        }
    }
    Err(ApiError::unavailable("a bot that exists was not found"))
}

fn update_error(error: UpdateBotError, pool: &PoolId) -> ApiError {
    match error {
        UpdateBotError::NotFound => super::not_found(),
        UpdateBotError::Deleted => ApiError::conflict("The bot is deleted, which is for good; its id is not free"),
        UpdateBotError::PoolNotFound => pool_not_found(pool),
        UpdateBotError::TooManyBots => pool_is_full(),
        UpdateBotError::SlugTaken => slug_is_taken(),
        UpdateBotError::TooManyOwned => owner_is_full(),
        UpdateBotError::OwnerGone => owner_is_gone(),
        UpdateBotError::Store(error) => error.into(),
    }
}

fn create_error(error: CreateBotError, pool: &PoolId) -> ApiError {
    match error {
        CreateBotError::AlreadyExists => ApiError::conflict("The bot exists already"),
        CreateBotError::PoolNotFound => pool_not_found(pool),
        CreateBotError::TooManyBots => pool_is_full(),
        CreateBotError::SlugTaken => slug_is_taken(),
        CreateBotError::TooManyOwned => owner_is_full(),
        CreateBotError::OwnerGone => owner_is_gone(),
        CreateBotError::Store(error) => error.into(),
    }
}

fn pool_is_full() -> ApiError {
    ApiError::conflict("The pool has its limit of 50 bots")
}

fn slug_is_taken() -> ApiError {
    ApiError::conflict("The slug is another bot's of the same owner")
}

fn owner_is_full() -> ApiError {
    ApiError::conflict("The owner has the limit of 50 bots")
}

fn owner_is_gone() -> ApiError {
    ApiError::conflict("The owner's account is being deleted")
}
