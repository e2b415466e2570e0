//! `DELETE /v1/integrations/{id}`: disconnects an account, first at its toolkit, then here.

use std::sync::Arc;

use axum::{Json, extract::State};
use portcullis_runtime::{ApiError, openapi, tier::User};
use portcullis_store::{IntegrationError, IntegrationStatus};

use super::{Integration, IntegrationPath, refuse_composio, to_api_error};
use crate::app::App;

#[utoipa::path(
    delete,
    path = "/v1/integrations/{id}",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    responses((status = 200, body = Integration), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    IntegrationPath(id): IntegrationPath,
) -> Result<Json<Integration>, ApiError> {
    let (catalogue, known) = app.integration_of(&caller.id, &id).await?;
    if known.status == IntegrationStatus::Disconnected {
        return Ok(Json(Integration::of_known(&catalogue, &known)));
    }
    if let Some(account) = &known.account {
        let key = app.composio_key()?;
        if let Err(error) = app.composio.end_account(&key, account).await {
            // The account stays active, and the row records the time of the failed revocation.
            match app.store.record_failed_revocation(&known).await {
                Ok(_) | Err(IntegrationError::Changed | IntegrationError::AlreadyActive) => {}
                Err(IntegrationError::Store(error)) => tracing::warn!(%error, "a failed revocation was not recorded"),
            }
            return Err(refuse_composio(error));
        }
    }
    let disconnected = app.store.disconnect_integration(&known).await.map_err(to_api_error)?;
    Ok(Json(Integration::of_known(&catalogue, &disconnected)))
}
