//! `GET /api/internal/workspace-templates/latest`: returns all active templates, or 304 if the caller has them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use http::HeaderMap;
use portcullis_auth::LibraryName;
use portcullis_contract::SafeInteger;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, openapi, tier::PoolMachine};
use portcullis_store::Library;
use serde::Serialize;
use serde_json::value::RawValue;

use super::created_at;
use crate::app::App;

/// The active templates by name, each as it is stored.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Templates)]
struct Answer {
    version: SafeInteger,
    #[schema(value_type = openapi::Sha256)]
    templates_hash: Digest,
    #[schema(value_type = BTreeMap<String, openapi::Template>)]
    templates: BTreeMap<LibraryName, Box<RawValue>>,
    created_at: String,
}

#[utoipa::path(
    get,
    path = "/api/internal/workspace-templates/latest",
    tag = "runtime",
    params(("if-none-match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The templates, by file name", body = Answer),
        (status = 304, description = "Not modified: the caller has this version"),
        openapi::Refusals
    ),
    security(("internalToken" = [])),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: PoolMachine,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.latest(Library::WorkspaceTemplates, &caller, &headers, |contents, templates| Answer {
        version: contents.version.into(),
        templates_hash: contents.hash(),
        templates,
        created_at: created_at(contents),
    })
    .await
}
