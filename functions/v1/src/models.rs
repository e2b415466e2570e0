//! `GET /v1/models`: lists the models that a bot can use.
//!
//! The list comes from `LiteLLM` and is cached for 5 minutes. While `LiteLLM` does not answer, the last list is served
//! (stale if error).

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

use crate::app::App;

/// TTL of a cached list.
const FRESH_FOR: Duration = Duration::from_mins(5);

/// Pause after `LiteLLM` did not answer, so that waiting callers do not each wait for a time-out of their own.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(10);

/// Models of `LiteLLM`, with a cache.
pub(crate) struct Models {
    client: LiteLlm,
    state: Mutex<Memory>,
}

/// The cache's state: the last list and the last failure.
#[derive(Default)]
struct Memory {
    known: Option<Known>,
    failed_at: Option<Timestamp>,
}

/// A cached list with its source and age.
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
        Self { client, state: Mutex::default() }
    }

    /// Returns the ids of the models, in `LiteLLM`'s order; empty if no `LiteLLM` is configured. Concurrent callers
    /// share one request.
    ///
    /// # Errors
    /// 502 if `LiteLLM` does not answer and no list is cached.
    pub(crate) async fn ids(&self, access: &LiteLlmAccess, now: Timestamp) -> Result<Arc<[String]>, ApiError> {
        let Some(models) = &access.0 else { return Ok(Arc::from([])) };
        let mut state = self.state.lock().await;
        let is_within = |at: Timestamp, time: Duration| now.duration_since(at).unsigned_abs() < time;
        let last = state.known.as_ref().filter(|known| known.base_url == models.base_url);
        if let Some(fresh) = last.filter(|last| is_within(last.read_at, FRESH_FOR)) {
            return Ok(Arc::clone(&fresh.ids));
        }
        if state.failed_at.is_some_and(|at| is_within(at, LEFT_ALONE_FOR)) {
            return last.map(|last| Arc::clone(&last.ids)).ok_or_else(|| not_listed("it has just not answered"));
        }
        let (LiteLlmKey::Shared(key) | LiteLlmKey::Master(key)) = &models.key;
        let admin = LiteLlmAdmin::new(&models.base_url, key.clone())
            .map_err(|error| ApiError::bad_gateway("The models cannot be listed", error.to_string()))?;
        let last = last.map(|last| Arc::clone(&last.ids));
        match self.client.models(&admin).await {
            Ok(ids) => {
                let ids: Arc<[String]> = ids.into();
                let known = Known { base_url: models.base_url.clone(), ids: Arc::clone(&ids), read_at: now };
                *state = Memory { known: Some(known), failed_at: None };
                Ok(ids)
            }
            Err(error) => {
                state.failed_at = Some(now);
                tracing::warn!(%error, "LiteLLM has not listed its models; a list from before counts on");
                last.ok_or_else(|| not_listed(&error.to_string()))
            }
        }
    }
}

fn not_listed(detail: &str) -> ApiError {
    ApiError::bad_gateway("The models cannot be listed now; try again", detail)
}

impl Model {
    /// Describes the model of an id such as `anthropic/claude`.
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
    let ids = app.models.ids(&app.lite_llm.cached(), app.now()).await?;
    let models = ids.iter().enumerate().map(|(index, id)| Model::new(id, index == 0)).collect();
    Ok(Json(Response { models }))
}
