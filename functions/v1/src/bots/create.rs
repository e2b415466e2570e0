//! `POST /v1/bots`: creates a bot in the active pool with the fewest bots.

use std::sync::Arc;

use axum::extract::State;
use portcullis_auth::PoolId;
use portcullis_runtime::{
    ApiError,
    fields::{
        bot::{ModelId, Name, Slug, SystemPrompt},
        optional,
    },
    front,
    json::StrictJson,
    openapi,
    tier::User,
};
use portcullis_store::{CreateBotError, NewBot, PlaceBotError};
use serde::Deserialize;

use super::{Bot, account_is_gone, pool_is_full, pool_not_found, slug_is_taken, too_many_bots};
use crate::app::App;

/// A new bot. Defaults: the first listed model without `modelId`, a slug from the name without `slug`, and the active
/// pool with the fewest bots without `poolId`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewOwnBot)]
pub(crate) struct Request {
    name: Name,
    #[serde(default, deserialize_with = "optional")]
    slug: Option<Slug>,
    #[serde(default, deserialize_with = "optional")]
    system_prompt: Option<SystemPrompt>,
    #[serde(default, deserialize_with = "optional")]
    model_id: Option<ModelId>,
    #[serde(default, deserialize_with = "optional")]
    pool_id: Option<PoolId>,
}

#[utoipa::path(
    post,
    path = "/v1/bots",
    tag = "user",
    request_body = Request,
    responses((status = 200, body = Bot), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    StrictJson(request): StrictJson<Request>,
) -> Result<axum::Json<Bot>, ApiError> {
    let model_id = match request.model_id {
        Some(model) => model.0,
        None => app.default_model().await?,
    };
    let new = NewBot {
        id: front::new_request_id(&*app.randomness).parse().map_err(|_| ApiError::internal("a UUID is an id"))?,
        user: Some(caller.id),
        slug: request.slug.unwrap_or_else(|| Slug::of_name(&request.name)).0,
        name: request.name.0,
        pool: request.pool_id,
        model_id,
        system_prompt: request.system_prompt.map(|prompt| prompt.0),
        paused: false,
    };
    let made = if new.pool.is_some() {
        app.store.create_bot(new).await.map_err(PlaceBotError::Create)
    } else {
        app.store.place_bot(&new).await
    };
    Ok(axum::Json(made.map_err(to_api_error)?.into()))
}

impl App {
    async fn default_model(&self) -> Result<String, ApiError> {
        let ids = self.models.ids(&self.lite_llm.cached(), self.now()).await?;
        // Ids that are not valid model ids are skipped: one of them would make a pool's whole configuration invalid.
        let first = ids.iter().find_map(|id| ModelId::try_from(id.clone()).ok());
        first
            .map(|model| model.0)
            .ok_or_else(|| ApiError::invalid_field("modelId", "is required: this server lists no models"))
    }
}

fn to_api_error(error: PlaceBotError) -> ApiError {
    match error {
        PlaceBotError::NoPool => {
            ApiError::not_available("No pool of machines has room for a further bot now; try again later")
        }
        PlaceBotError::Create(CreateBotError::AlreadyExists) => ApiError::internal("a random id is another bot's"),
        PlaceBotError::Create(CreateBotError::PoolNotFound) => pool_not_found(),
        PlaceBotError::Create(CreateBotError::TooManyBots) => pool_is_full(),
        PlaceBotError::Create(CreateBotError::SlugTaken) => slug_is_taken(),
        PlaceBotError::Create(CreateBotError::TooManyOwned) => too_many_bots(),
        PlaceBotError::Create(CreateBotError::OwnerGone) => account_is_gone(),
        PlaceBotError::Create(CreateBotError::Store(error)) => error.into(),
    }
}
