//! `GET /api/internal/workspace-templates/latest`: all active templates, or that the caller has them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use http::HeaderMap;
use portcullis_auth::LibraryName;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, tier::Runtime};
use portcullis_store::Library;
use serde::Serialize;
use serde_json::value::RawValue;

use super::created_at;
use crate::App;

/// The active ones by name, each as it is stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    version: u64,
    templates_hash: Digest,
    templates: BTreeMap<LibraryName, Box<RawValue>>,
    created_at: String,
}

pub async fn handle(State(app): State<Arc<App>>, caller: Runtime, headers: HeaderMap) -> Result<Response, ApiError> {
    app.latest(Library::WorkspaceTemplates, &caller, &headers, |contents, templates| Answer {
        version: contents.version,
        templates_hash: contents.hash(),
        templates,
        created_at: created_at(contents),
    })
    .await
}
