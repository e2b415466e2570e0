//! `PATCH /v1/bots/{id}`: changes one of the caller's bots. Only the operator can move a bot to another pool.

use std::sync::Arc;

use axum::extract::State;
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{ModelId, Name, Slug, SystemPrompt},
        change, optional,
    },
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{BotReach, BotUpdate, Change};
use serde::Deserialize;

use super::{Bot, BotPath, refuse_update};
use crate::app::App;

/// Changes of a bot. An absent field keeps its value; a prompt of `null` is removed.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnBotChange)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    name: Option<Name>,
    #[serde(default, deserialize_with = "optional")]
    slug: Option<Slug>,
    #[serde(default, deserialize_with = "change")]
    #[schema(value_type = Option<SystemPrompt>)]
    system_prompt: Change<SystemPrompt>,
    #[serde(default, deserialize_with = "optional")]
    model_id: Option<ModelId>,
}

impl From<Request> for BotUpdate {
    fn from(request: Request) -> Self {
        Self {
            name: request.name.map(|name| name.0),
            slug: request.slug.map(|slug| slug.0),
            model_id: request.model_id.map(|model| model.0),
            system_prompt: request.system_prompt.map(|prompt| prompt.0),
            ..Self::default()
        }
    }
}

#[utoipa::path(
    patch,
    path = "/v1/bots/{id}",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 200, body = Bot), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    BotPath(bot): BotPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Bot>, ApiError> {
    let changed = app.store.update_bot(BotReach::Owner(&caller.id), &bot, &request.into()).await;
    Ok(axum::Json(changed.map_err(refuse_update)?.into()))
}
