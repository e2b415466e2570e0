//! `POST /v1/integrations/{id}/refresh`: updates an account's status from Composio.
//!
//! An account becomes active only for a caller who proves that they began the connection, with the browser's cookie or
//! the state. Without a proof the response holds the status alone; the end of an active account is recorded in any
//! case.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use http::HeaderMap;
use portcullis_runtime::{ApiError, ErrorCode, fields::optional, json::StrictJson, openapi, tier::User};
use portcullis_store::{self as store, ConnectionProof, IntegrationError, IntegrationStatus};
use portcullis_upstream::{AccountStatus, ComposioError, composio_user};
use serde::Deserialize;

use super::{Integration, IntegrationPath, refuse_composio, state_digest};
use crate::{
    app::App,
    browser_cookie::{Begun, BrowserCookie},
};

/// Proof that the caller began the connection, for clients that do not send the cookie.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[schema(as = RefreshIntegration)]
pub(crate) struct Request {
    #[serde(default, deserialize_with = "optional")]
    #[schema(max_length = 128)]
    state: Option<String>,
}

#[utoipa::path(
    post,
    path = "/v1/integrations/{id}/refresh",
    tag = "user",
    params(("id" = openapi::Id, Path)),
    request_body = Request,
    responses((status = 200, body = Integration), openapi::Refusals),
)]
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    caller: User,
    IntegrationPath(id): IntegrationPath,
    headers: HeaderMap,
    StrictJson(request): StrictJson<Request>,
) -> Result<Answer<Integration>, ApiError> {
    let (catalogue, known) = app.integration_of(&caller.id, &id).await?;
    let is_proven = app.is_proven(&known, &headers, request.state.as_deref())?;
    let refreshed = app.refresh(known, is_proven).await?;
    Ok(Answer(Integration::of_known(&catalogue, &refreshed)))
}

impl App {
    /// Returns whether the request proves that its browser began the connection.
    ///
    /// # Errors
    /// 403 for an invalid state.
    fn is_proven(
        &self,
        known: &store::Integration,
        headers: &HeaderMap,
        state: Option<&str>,
    ) -> Result<bool, ApiError> {
        if let Some(state) = state {
            let proof = ConnectionProof::State(state_digest(state));
            return if known.is_proven_by(&proof, self.now()) {
                Ok(true)
            } else {
                Err(ApiError::forbidden_as(ErrorCode::InvalidState, "The state does not count; connect again"))
            };
        }
        let cookie = BrowserCookie::new(self.origins.api().is_secure(), Begun::Connections);
        let shown = cookie.read(headers).map(|secret| ConnectionProof::Browser(cookie.digest(&secret)));
        Ok(shown.is_some_and(|proof| known.is_proven_by(&proof, self.now())))
    }

    async fn refresh(&self, known: store::Integration, is_proven: bool) -> Result<store::Integration, ApiError> {
        let Some(account) = known.account.as_deref() else { return Ok(known) };
        let status = match self.composio.account(&self.composio_key()?, account).await {
            Ok(account)
                if account.user == composio_user(known.user.as_str()) && account.toolkit == known.toolkit.as_str() =>
            {
                account.status
            }
            Ok(_) => {
                return Err(ApiError::bad_gateway(
                    "Composio gave an answer that is not understood",
                    "the account is another's",
                ));
            }
            Err(ComposioError::NotFound | ComposioError::NotConnected) => AccountStatus::Ended,
            Err(error) => return Err(refuse_composio(error)),
        };
        let is_active = known.status == IntegrationStatus::Active;
        let ended = match status {
            AccountStatus::Active if !is_active && is_proven => IntegrationStatus::Active,
            AccountStatus::Failed if is_active || is_proven => IntegrationStatus::Failed,
            AccountStatus::Ended if is_active || is_proven => IntegrationStatus::Expired,
            _ => return Ok(known),
        };
        match self.store.end_connection(&known, ended).await {
            Ok(integration) => Ok(integration),
            // Another request was faster; its record counts.
            Err(IntegrationError::Changed | IntegrationError::AlreadyActive) => {
                Ok(self.store.integration(&known.user, &known.toolkit).await?.unwrap_or(known))
            }
            Err(IntegrationError::Store(error)) => Err(error.into()),
        }
    }
}
