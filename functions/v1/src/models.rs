//! `GET /v1/models`: the models that a bot can speak with.
//!
//! The list is `LiteLLM`'s and kept in memory for 5 minutes. While `LiteLLM` does not answer, the last list counts on.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use jiff::Timestamp;
use portcullis_runtime::{
    ApiError, openapi,
    secrets::{LiteLlmAccess, LiteLlmKey},
    tier::User,
};
use portcullis_upstream::{LiteLlm, LiteLlmAdmin};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::App;

/// Time for which a list counts as fresh.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// Models of `LiteLLM`, with a cache.
pub(crate) struct Models {
    client: LiteLlm,
    known: Mutex<Option<Known>>,
}

/// A list as it was read.
struct Known {
    base_url: String,
    ids: Arc<[String]>,
    read_at: Timestamp,
}

/// The models.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Models)]
pub(crate) struct Response {
    models: Vec<Model>,
}

/// A model.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Model {
    id: String,
    name: String,
    provider: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_default: bool,
}

impl Models {
    pub(crate) fn new(client: LiteLlm) -> Self {
        Self { client, known: Mutex::new(None) }
    }

    /// Ids of the models, in `LiteLLM`'s order; none where no `LiteLLM` is set. One caller asks `LiteLLM`, the others wait for
    /// its answer.
    ///
    /// # Errors
    /// 502 where `LiteLLM` has not answered yet.
    pub(crate) async fn ids(&self, access: &LiteLlmAccess, now: Timestamp) -> Result<Arc<[String]>, ApiError> {
        let Some(models) = &access.0 else { return Ok(Arc::from([])) };
        let mut known = self.known.lock().await;
        let last = known.as_ref().filter(|known| known.base_url == models.base_url);
        if let Some(fresh) = last.filter(|last| now.duration_since(last.read_at).unsigned_abs() < FRESH_FOR) {
            return Ok(Arc::clone(&fresh.ids));
        }
        let (LiteLlmKey::Shared(key) | LiteLlmKey::Master(key)) = &models.key;
        let admin = LiteLlmAdmin::new(&models.base_url, key.clone())
            .map_err(|error| ApiError::bad_gateway("The models cannot be listed", error.to_string()))?;
        match (self.client.models(&admin).await, last) {
            (Ok(ids), _) => {
                let ids: Arc<[String]> = ids.into();
                *known = Some(Known { base_url: models.base_url.clone(), ids: Arc::clone(&ids), read_at: now });
                Ok(ids)
            }
            (Err(error), Some(last)) => {
                tracing::warn!(%error, "LiteLLM has not listed its models; the last list counts on");
                Ok(Arc::clone(&last.ids))
            }
            (Err(error), None) => {
                Err(ApiError::bad_gateway("The models cannot be listed now; try again", error.to_string()))
            }
        }
    }
}

impl Model {
    /// A model, by an id such as `anthropic/claude`; the first of the list is the default.
    fn new(id: &str, is_default: bool) -> Self {
        let (provider, name) = id.split_once('/').unwrap_or(("litellm", id));
        Self { id: id.to_owned(), name: name.to_owned(), provider: provider.to_owned(), is_default }
    }
}

#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "user",
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub(crate) async fn handle(State(app): State<Arc<App>>, _caller: User) -> Result<Json<Response>, ApiError> {
    let ids = app.models.ids(&app.lite_llm.get(), app.now()).await?;
    let models = ids.iter().enumerate().map(|(index, id)| Model::new(id, index == 0)).collect();
    Ok(Json(Response { models }))
}
