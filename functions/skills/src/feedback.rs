//! `POST /api/internal/feedback`: keeps a user's feedback that a skill sends.

use std::sync::Arc;

use axum::extract::State;
use base64::{Engine, engine::general_purpose::STANDARD};
use portcullis_auth::BotId;
use portcullis_contract::Label;
use portcullis_runtime::{ApiError, fields::optional, json::StrictJson, openapi, tier::Skill};
use portcullis_store::NewFeedback;
use serde::{Deserialize, Serialize};

use crate::app::App;

/// Limit of a request's body in bytes: 5 MiB, below Lambda's own limit.
const LIMIT: usize = 5 * 1024 * 1024;

/// A user's feedback.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Feedback)]
pub struct Request {
    #[schema(value_type = String, min_length = 1, max_length = 5000)]
    content: Text<5000>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    agent_id: Option<Text<256>>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    channel: Option<Text<256>>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    sender: Option<Text<256>>,
    #[serde(default, deserialize_with = "optional")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 10_000)]
    conversation_context: Option<Text<10_000>>,
    #[schema(value_type = Option<Vec<String>>, max_items = 10)]
    image_urls: Option<AtMost<Text<2048>, 10>>,
    #[schema(value_type = Option<Vec<Image>>, max_items = 5)]
    image_data: Option<AtMost<Image, 5>>,
    #[schema(value_type = Option<Vec<File>>, max_items = 5)]
    file_data: Option<AtMost<File, 5>>,
}

/// Details that are stored beside the feedback's text. Attachments are reduced to their names: a row holds at most 400
/// KB, and contents would go into a mail.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    agent_id: Option<&'a Text<256>>,
    channel: &'a Option<Text<256>>,
    sender: &'a Option<Text<256>>,
    conversation_context: &'a Option<Text<10_000>>,
    image_urls: &'a Option<AtMost<Text<2048>, 10>>,
    images: Vec<&'a Label>,
    files: Vec<&'a Label>,
}

/// An attached image.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedbackImage)]
struct Image {
    #[serde(rename = "data")]
    #[schema(value_type = String)]
    _data: Base64,
    mime_type: Label,
}

/// An attached file.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedbackFile)]
struct File {
    #[serde(rename = "data")]
    #[schema(value_type = String)]
    _data: Base64,
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

/// A list of at most `MAXIMUM` elements.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "Vec<T>", bound(deserialize = "T: Deserialize<'de>"))]
struct AtMost<T, const MAXIMUM: usize>(Vec<T>);

impl<T, const MAXIMUM: usize> TryFrom<Vec<T>> for AtMost<T, MAXIMUM> {
    type Error = String;

    fn try_from(list: Vec<T>) -> Result<Self, String> {
        if list.len() <= MAXIMUM { Ok(Self(list)) } else { Err(format!("must be at most {MAXIMUM}")) }
    }
}

/// Base64 text (RFC 4648 §4), which is validated and discarded.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Base64;

impl TryFrom<String> for Base64 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if STANDARD.decode(&text).is_ok() { Ok(Self) } else { Err("must be base64") }
    }
}

/// The outcome: the text is stored; attachments may be dropped.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedbackAnswer)]
pub struct Response {
    ok: bool,
    /// Number of attachments whose contents went out by mail.
    attachments_kept: usize,
    /// Number of attachments reduced to their names.
    attachments_dropped: usize,
}

#[utoipa::path(
    post,
    path = "/api/internal/feedback",
    tag = "skill",
    request_body = Request,
    responses(
        (status = 200, description = "The numbers of kept and dropped attachments", body = Response),
        openapi::Refusals
    ),
    security(("skillToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    StrictJson(request): StrictJson<Request, LIMIT>,
) -> Result<axum::Json<Response>, ApiError> {
    let images: Vec<_> = request.image_data.iter().flat_map(|images| &images.0).map(|image| &image.mime_type).collect();
    let files: Vec<_> = request.file_data.iter().flat_map(|files| &files.0).map(|file| &file.file_name).collect();
    let attachments = images.len() + files.len();
    // A malformed id is kept as text in the details: a wrong id must not lose the user's words.
    let bot = request.agent_id.as_ref().and_then(|agent| agent.0.parse::<BotId>().ok());
    let details = Details {
        agent_id: request.agent_id.as_ref(),
        channel: &request.channel,
        sender: &request.sender,
        conversation_context: &request.conversation_context,
        image_urls: &request.image_urls,
        images,
        files,
    };
    let details =
        serde_json::to_string(&details).map_err(|error| ApiError::internal(format!("feedback is no JSON: {error}")))?;
    let feedback = NewFeedback { bot, pool: caller.pool().cloned(), content: request.content.0, details };
    app.store.keep_feedback(caller.bots(), &feedback).await.map_err(Skill::refuse_bot)?;
    // Mail is not sent yet, so no attachment's contents are kept.
    Ok(axum::Json(Response { ok: true, attachments_kept: 0, attachments_dropped: attachments }))
}
