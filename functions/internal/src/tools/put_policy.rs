//! `PUT /api/internal/pools/{poolId}/tool-policy`: sets the toolkits and actions that a pool may use.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::Operator};
use portcullis_toolkits::{MAXIMUM_RULES, ToolPolicy};

use super::PolicyBody;
use crate::{
    app::{App, to_api_error},
    pool_path::PoolPath,
};

#[utoipa::path(
    put,
    path = "/api/internal/pools/{poolId}/tool-policy",
    tag = "operator",
    params(("poolId" = openapi::Id, Path)),
    request_body = PolicyBody,
    responses((status = 200, body = PolicyBody), openapi::Refusals),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    _caller: Operator,
    PoolPath(pool): PoolPath,
    StrictJson(request): StrictJson<PolicyBody>,
) -> Result<Answer<PolicyBody>, ApiError> {
    // Without this check, a policy with misspelt field names would allow everything.
    if request.allow.is_none() && request.deny.is_none() {
        return Err(ApiError::invalid_field("allow", "or deny is required; an empty deny allows everything"));
    }
    let policy = ToolPolicy { allow: request.allow, deny: request.deny.unwrap_or_default() };
    let lists = [("allow", policy.allow.as_ref().map_or(0, Vec::len)), ("deny", policy.deny.len())];
    if let Some((field, _)) = lists.into_iter().find(|(_, length)| *length > MAXIMUM_RULES) {
        return Err(ApiError::invalid_field(field, "must be at most 200 rules"));
    }
    app.store.put_tool_policy(&pool, &policy).await.map_err(|error| to_api_error(error, &pool))?;
    Ok(Answer(policy.into()))
}
