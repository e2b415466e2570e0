//! The account: signing up, changing and deleting it.

pub(crate) mod delete;
pub(crate) mod sign_up;
pub(crate) mod update;

use portcullis_runtime::openapi;
use serde::Serialize;

/// Response of `GET /api/auth/ok`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuthOk)]
pub(crate) struct Ok {
    ok: bool,
}

/// `GET /api/auth/ok`: confirms that the function runs.
#[utoipa::path(
    get,
    path = "/api/auth/ok",
    tag = "browser",
    responses((status = 200, body = Ok), openapi::Refusals),
)]
pub(crate) async fn ok() -> axum::Json<Ok> {
    axum::Json(Ok { ok: true })
}
