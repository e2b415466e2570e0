//! `POST /api/internal/feedback`: a user tells something through a skill.

use std::sync::Arc;

use axum::extract::State;
use base64::{Engine, engine::general_purpose::STANDARD};
use portcullis_auth::BotId;
use portcullis_runtime::{ApiError, fields::Label, json::Json, openapi, tier::Skill};
use portcullis_store::NewFeedback;
use serde::{Deserialize, Serialize};

use crate::App;

/// The most bytes of feedback in all: a row holds 400 KB.
const LIMIT: usize = 300 * 1024;

/// What a user tells.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Feedback)]
pub struct Request {
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    content: Text<5000>,
    #[schema(value_type = Option<openapi::Id>)]
    agent_id: Option<BotId>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    channel: Option<Text<256>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    sender: Option<Text<256>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 10_000)]
    conversation_context: Option<Text<10_000>>,
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    image_urls: Option<AtMost<Text<2048>, 10>>,
    #[schema(value_type = Option<Vec<Image>>, max_items = 5)]
    image_data: Option<AtMost<Image, 5>>,
    #[schema(value_type = Option<Vec<File>>, max_items = 5)]
    file_data: Option<AtMost<File, 5>>,
}

/// All that comes with it, as it is kept.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    channel: &'a Option<Text<256>>,
    sender: &'a Option<Text<256>>,
    conversation_context: &'a Option<Text<10_000>>,
    image_urls: &'a Option<AtMost<Text<2048>, 10>>,
    image_data: &'a Option<AtMost<Image, 5>>,
    file_data: &'a Option<AtMost<File, 5>>,
}

/// An image.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedbackImage)]
struct Image {
    #[schema(value_type = String)]
    data: Base64,
    mime_type: Label,
}

/// A file.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedbackFile)]
struct File {
    #[schema(value_type = String)]
    data: Base64,
    file_name: Label,
}

/// A text of 1 to `MAXIMUM` characters, without NUL.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Text<const MAXIMUM: usize>(String);

impl<const MAXIMUM: usize> TryFrom<String> for Text<MAXIMUM> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_valid = (1..=MAXIMUM).contains(&text.chars().count()) && !text.contains('\0');
        if is_valid { Ok(Self(text)) } else { Err(format!("must be 1 to {MAXIMUM} characters, none of them NUL")) }
    }
}

/// A list of at most `MAXIMUM`.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "Vec<T>", bound = "T: Serialize + for<'a> Deserialize<'a>")]
struct AtMost<T, const MAXIMUM: usize>(Vec<T>);

impl<T, const MAXIMUM: usize> TryFrom<Vec<T>> for AtMost<T, MAXIMUM> {
    type Error = String;

    fn try_from(list: Vec<T>) -> Result<Self, String> {
        if list.len() <= MAXIMUM { Ok(Self(list)) } else { Err(format!("must be at most {MAXIMUM}")) }
    }
}

/// Bytes in base64 (RFC 4648 §4), as they were sent.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "String")]
struct Base64(String);

impl TryFrom<String> for Base64 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if STANDARD.decode(&text).is_ok() { Ok(Self(text)) } else { Err("must be base64") }
    }
}

/// It is kept.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FeedbackAnswer)]
pub struct Response {
    ok: bool,
}

#[utoipa::path(
    post,
    path = "/api/internal/feedback",
    tag = "skill",
    summary = "Keeps what a user thinks",
    request_body = Request,
    responses((status = 200, description = "done", body = Response), openapi::Refusals),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    Json(request): Json<Request, LIMIT>,
) -> Result<axum::Json<Response>, ApiError> {
    let details = Details {
        channel: &request.channel,
        sender: &request.sender,
        conversation_context: &request.conversation_context,
        image_urls: &request.image_urls,
        image_data: &request.image_data,
        file_data: &request.file_data,
    };
    let details =
        serde_json::to_string(&details).map_err(|error| ApiError::internal(format!("feedback is no JSON: {error}")))?;
    let feedback =
        NewFeedback { bot: request.agent_id, pool: caller.pool().cloned(), content: request.content.0, details };
    app.store.keep_feedback(caller.bots(), &feedback).await.map_err(Skill::refuse_bot)?;
    Ok(axum::Json(Response { ok: true }))
}
