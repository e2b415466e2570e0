//! `GET /api/internal/skills/latest`: returns all active skills with their files, or 304 if the caller has them.

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

/// The active skills by name, each as it is stored.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Skills)]
struct Answer {
    version: SafeInteger,
    #[schema(value_type = openapi::Sha256)]
    skills_hash: Digest,
    #[schema(value_type = BTreeMap<String, BTreeMap<String, String>>)]
    skills: BTreeMap<LibraryName, Box<RawValue>>,
    created_at: String,
}

#[utoipa::path(
    get,
    path = "/api/internal/skills/latest",
    tag = "runtime",
    params(("if-none-match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The skills, by name and path", body = Answer),
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
    app.latest(Library::Skills, &caller, &headers, |contents, skills| Answer {
        version: contents.version.into(),
        skills_hash: contents.hash(),
        skills,
        created_at: created_at(contents),
    })
    .await
}
