//! `POST /api/internal/composio/execute` and `…/disconnect`: people's third-party accounts, which are not built yet.
//!
//! The answer is a 503 whose message an agent can pass on to the person that it talks to.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_auth::BotId;
use portcullis_runtime::{
    ApiError,
    fields::{InvalidField, Label},
    json::Json,
    openapi,
    tier::Skill,
};
use portcullis_store::BotAccessError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::App;

/// The person reads this.
const UNAVAILABLE: &str = "Connected accounts are not available on this server yet";

/// An action's name: `^[A-Z][A-Z0-9_]+$`, at most 256 characters.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Action;

impl TryFrom<String> for Action {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let is_valid = (2..=256).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        if is_valid { Ok(Self) } else { Err(InvalidField::new("an action such as GMAIL_SEND_EMAIL")) }
    }
}

/// An action with a connected account.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExecuteAction)]
pub struct Execute {
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    #[serde(rename = "action")]
    #[schema(value_type = String, pattern = "^[A-Z][A-Z0-9_]+$", max_length = 256)]
    _action: Action,
    #[serde(rename = "params")]
    #[schema(value_type = Option<serde_json::Value>)]
    _params: Option<Box<RawValue>>,
}

/// A connected account to be disconnected.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DisconnectAccount)]
pub struct Disconnect {
    #[schema(value_type = openapi::Id)]
    bot_id: BotId,
    #[serde(rename = "toolkitSlug")]
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    _toolkit_slug: Label,
}

/// The outcome of an action.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ActionOutcome)]
pub struct Outcome {
    successful: bool,
}

#[utoipa::path(
    post,
    path = "/api/internal/composio/execute",
    operation_id = "executeAction",
    tag = "skill",
    summary = "Execute an action with a connected account",
    description = "Not built yet: the answer is 503 `not_available`.",
    request_body = Execute,
    responses((status = 200, description = "The outcome of the action", body = Outcome), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn execute(
    State(app): State<Arc<App>>,
    caller: Skill,
    Json(request): Json<Execute>,
) -> Result<Answer<Outcome>, ApiError> {
    Err(app.not_available(&caller, &request.bot_id).await)
}

#[utoipa::path(
    post,
    path = "/api/internal/composio/disconnect",
    operation_id = "disconnectAccount",
    tag = "skill",
    summary = "Disconnect a connected account",
    description = "Not built yet: the answer is 503 `not_available`.",
    request_body = Disconnect,
    responses((status = 200, description = "The account was disconnected", body = Outcome), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn disconnect(
    State(app): State<Arc<App>>,
    caller: Skill,
    Json(request): Json<Disconnect>,
) -> Result<Answer<Outcome>, ApiError> {
    Err(app.not_available(&caller, &request.bot_id).await)
}

impl App {
    async fn not_available(&self, caller: &Skill, bot: &BotId) -> ApiError {
        match self.store.check_bot(caller.bots(), bot).await {
            Ok(()) => ApiError::not_available(UNAVAILABLE),
            Err(BotAccessError::NotFound) => ApiError::not_found("Bot not found"),
            Err(error) => Skill::refuse_bot(error),
        }
    }
}
