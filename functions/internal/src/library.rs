//! The library: skills and workspace templates that the operator stores once and every pool copies.

pub mod delete;
mod front_matter;
pub mod latest_skills;
pub mod latest_templates;
pub mod list;
pub mod put_skill;
pub mod put_template;

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, request::Parts};
use portcullis_auth::LibraryName;
use portcullis_contract::SafeInteger;
use portcullis_runtime::{ApiError, ErrorCode, etag, params, tier::PoolMachine};
use portcullis_store::{Contents, Document, Library, PoolReach, PutDocumentError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::{self, App};

/// Limit of a request's body in bytes: a skill of 1 MiB as JSON, below Lambda's own limit.
pub const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Limit of a stored document in bytes of JSON: a transaction with the new and the replaced document stays below
/// DynamoDB's 4 MB.
const MAXIMUM_STORED_BYTES: usize = 1024 * 1024 + 512 * 1024;

/// Status of a document: pools copy active documents only.
#[derive(Clone, Copy, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = LibraryStatus)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Active,
    Inactive,
}

/// The stored or deleted document's name, and the library's version, which an unchanged document leaves as it is.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Stored)]
pub struct Stored {
    ok: bool,
    name: LibraryName,
    version: SafeInteger,
    /// Reasons for which OpenClaw would ignore the document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl App {
    /// Stores `content` under `name`; `bytes` is the size that counts towards the library's limits.
    async fn put_in(
        &self,
        library: Library,
        name: LibraryName,
        status: Status,
        bytes: usize,
        content: &impl Serialize,
    ) -> Result<Json<Stored>, ApiError> {
        let content = serde_json::to_vec(content).map_err(|error| ApiError::internal(error.to_string()))?;
        if content.len() > MAXIMUM_STORED_BYTES {
            let message = format!("It must be at most {MAXIMUM_STORED_BYTES} bytes as JSON");
            return Err(ApiError::bad_request(ErrorCode::TooLarge, message));
        }
        let answer_bytes = length_within_json(name.as_str().as_bytes()) + length_within_json(&content);
        let document = Document { is_active: matches!(status, Status::Active), bytes, answer_bytes, content };
        let version = self.store.put_document(library, &name, document).await;
        self.library_versions.forget();
        let version = version.map_err(to_api_error)?;
        Ok(Json(Stored { ok: true, name, version: version.into(), warnings: Vec::new() }))
    }

    /// Reads the contents of a library. A pool's token must not be revoked.
    async fn contents(&self, library: Library, caller: &PoolMachine) -> Result<Contents, ApiError> {
        let admitted = async {
            let PoolMachine::Bound(grant) = caller else { return Ok(()) };
            let generations = self.store.generations(&grant.pool, PoolReach::While(grant.generation)).await;
            generations.map(drop).map_err(|error| app::to_api_error(error, &grant.pool))
        };
        let contents = async { self.store.library(library).await.map_err(ApiError::from) };
        let (contents, ()) = tokio::try_join!(contents, admitted)?;
        Ok(contents)
    }

    /// Returns the active documents of the newest version, or 304 if the caller has that version. `answer` builds the
    /// response.
    async fn latest<A: Serialize>(
        &self,
        library: Library,
        caller: &PoolMachine,
        headers: &HeaderMap,
        answer: impl FnOnce(&Contents, BTreeMap<LibraryName, Box<RawValue>>) -> A,
    ) -> Result<Response, ApiError> {
        let contents = self.contents(library, caller).await?;
        let tag = format!("{}-{}", contents.version, contents.hash().to_hex());
        if etag::matches(headers, &tag) {
            return etag::not_modified(&tag);
        }
        let documents = self.store.active_documents(library, &contents).await?;
        let documents = documents.into_iter().map(|(name, bytes)| Ok((name, raw(bytes)?)));
        let answer = answer(&contents, documents.collect::<Result<_, ApiError>>()?);
        Ok(([etag::header(&tag)?], Json(answer)).into_response())
    }
}

/// The document name of the path.
pub struct NamePath<T>(T);

impl<S: Sync, T: FromStr<Err: Display>> FromRequestParts<S> for NamePath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "name").await.map(Self)
    }
}

fn created_at(contents: &Contents) -> String {
    format!("{:.3}", contents.created_at)
}

fn raw(bytes: Vec<u8>) -> Result<Box<RawValue>, ApiError> {
    let json = String::from_utf8(bytes).map_err(|_| ApiError::internal("a stored document is not UTF-8"))?;
    RawValue::from_string(json).map_err(|_| ApiError::internal("a stored document is not JSON"))
}

/// Returns the length of JSON once escaped in a JSON string.
fn length_within_json(json: &[u8]) -> usize {
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

fn to_api_error(error: PutDocumentError) -> ApiError {
    match error {
        PutDocumentError::Store(error) => error.into(),
        limit => {
            let message = limit.to_string();
            ApiError::bad_request(ErrorCode::LibraryLimitExceeded, message)
        }
    }
}
