//! `PUT /api/internal/toolkits/{slug}`: changes a standard toolkit, or adds one.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::Operator};
use portcullis_toolkits::{AuthScheme, Catalogue, ToolkitChange};
use serde::Deserialize;

use super::{AuthFieldBody, ToolkitBody, ToolkitPath};
use crate::app::App;

/// Changes of a standard toolkit, which replace earlier changes. An added toolkit needs `displayName`, `domain`,
/// `category` and `authScheme`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ToolkitChange)]
pub struct Request {
    display_name: Option<String>,
    description: Option<String>,
    domain: Option<String>,
    category: Option<String>,
    auth_scheme: Option<AuthScheme>,
    auth_fields: Option<Vec<AuthFieldBody>>,
    action_prefixes: Option<Vec<String>>,
    enabled: Option<bool>,
    order: Option<u16>,
}

#[utoipa::path(
    put,
    path = "/api/internal/toolkits/{slug}",
    tag = "operator",
    params(("slug" = portcullis_toolkits::ToolkitSlug, Path)),
    request_body = Request,
    responses((status = 200, body = ToolkitBody), openapi::Refusals),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    ToolkitPath(slug): ToolkitPath,
    StrictJson(request): StrictJson<Request>,
) -> Result<Answer<ToolkitBody>, ApiError> {
    let change = ToolkitChange {
        display_name: request.display_name,
        description: request.description,
        domain: request.domain,
        category: request.category,
        auth_scheme: request.auth_scheme,
        auth_fields: request.auth_fields.map(|fields| fields.into_iter().map(Into::into).collect()),
        action_prefixes: request.action_prefixes,
        enabled: request.enabled,
        order: request.order,
    };
    let toolkit = change
        .apply(&slug, Catalogue::standard(&slug))
        .map_err(|problem| ApiError::invalid_field(problem.field, problem.rule))?;
    app.store.put_toolkit_change(&slug, &change).await?;
    Ok(Answer(toolkit.into()))
}
