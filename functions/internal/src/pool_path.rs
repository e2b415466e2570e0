//! The pool that a path names.

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::PoolId;
use portcullis_runtime::{ApiError, params};

/// The pool id of the path.
pub struct PoolPath(pub PoolId);

impl<S: Sync> FromRequestParts<S> for PoolPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "poolId").await.map(Self)
    }
}
