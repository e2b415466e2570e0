//! `PUT /api/internal/workspace-templates/{name}`: stores a workspace template.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_auth::TemplateName;
use portcullis_runtime::{ApiError, ErrorCode, json::StrictJson, openapi, tier::Operator};
use portcullis_store::Library;
use serde::{Deserialize, Serialize};

use super::{BODY_LIMIT, NamePath, Status, Stored};
use crate::app::App;

/// Limit of a template's text, in bytes: 256 KiB.
const MAXIMUM_BYTES: usize = 256 * 1024;

/// A template.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Template)]
pub struct Request {
    content: String,
    #[serde(default)]
    write_mode: WriteMode,
    #[serde(default)]
    status: Status,
}

/// Way in which a pool's machine writes a template into a workspace.
#[derive(Clone, Copy, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum WriteMode {
    /// Written once; afterwards the agent owns the file.
    #[default]
    Seed,
    /// Written as a block between two marker lines, which stays in sync with the template; the agent owns the rest of
    /// the file.
    Inject,
}

/// A template in its stored form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Template<'a> {
    content: &'a str,
    write_mode: WriteMode,
}

#[utoipa::path(
    put,
    path = "/api/internal/workspace-templates/{name}",
    tag = "operator",
    params(("name" = openapi::TemplateName, Path)),
    request_body = Request,
    responses(
        (status = 200, description = "The document's name, and the current version of the templates", body = Stored),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    NamePath(name): NamePath<TemplateName>,
    StrictJson(request): StrictJson<Request, BODY_LIMIT>,
) -> Result<Answer<Stored>, ApiError> {
    let bytes = request.content.len();
    if bytes > MAXIMUM_BYTES {
        return Err(ApiError::bad_request(
            ErrorCode::TooLarge,
            format!("A template must be at most {MAXIMUM_BYTES} bytes"),
        ));
    }
    let template = Template { content: &request.content, write_mode: request.write_mode };
    app.put_in(Library::WorkspaceTemplates, name.into(), request.status, bytes, &template).await
}
