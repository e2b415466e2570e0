//! `POST /api/internal/composio/disconnect`: disconnects an account of the bot's owner, first at its toolkit, then
//! here.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use portcullis_auth::BotId;
use portcullis_runtime::{ApiError, json::StrictJson, openapi, tier::Skill};
use portcullis_store::{IntegrationError, IntegrationStatus};
use portcullis_toolkits::ToolkitSlug;
use serde::{Deserialize, Serialize};

use super::{owner, to_api_error};
use crate::app::App;

/// The account to disconnect.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DisconnectAccount)]
pub struct Request {
    bot_id: BotId,
    toolkit_slug: ToolkitSlug,
}

/// The account is disconnected.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AccountDisconnected)]
pub struct Response {
    successful: bool,
    data: Message,
}

/// A message for a person.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AccountDisconnectedMessage)]
pub struct Message {
    message: String,
}

#[utoipa::path(
    post,
    path = "/api/internal/composio/disconnect",
    tag = "skill",
    request_body = Request,
    responses((status = 200, body = Response), openapi::Refusals),
)]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Skill,
    StrictJson(request): StrictJson<Request>,
) -> Result<Answer<Response>, ApiError> {
    let (bot, catalogue) = tokio::try_join!(app.composio_bot(&caller, &request.bot_id), async {
        app.store.catalogue().await.map_err(ApiError::from)
    })?;
    let not_found = || ApiError::not_found(format!("No integration found for {}", request.toolkit_slug));
    let known = app.store.integration(owner(&bot)?, &request.toolkit_slug).await?;
    let known = known.filter(|known| known.status == IntegrationStatus::Active).ok_or_else(not_found)?;
    if let Some(account) = &known.account
        && let Err(error) = app.composio.end_account(&app.composio_key()?, account).await
    {
        match app.store.record_failed_revocation(&known).await {
            Ok(_) | Err(IntegrationError::Changed | IntegrationError::AlreadyActive) => {}
            Err(IntegrationError::Store(error)) => return Err(error.into()),
        }
        return Err(to_api_error(error));
    }
    match app.store.disconnect_integration(&known).await {
        Ok(_) => {}
        Err(IntegrationError::Store(error)) => return Err(error.into()),
        Err(IntegrationError::Changed | IntegrationError::AlreadyActive) => {
            return Err(ApiError::conflict("The integration has changed meanwhile; try again"));
        }
    }
    let name = catalogue.get(&known.toolkit).map_or(known.toolkit.as_str(), |toolkit| toolkit.display_name.as_str());
    Ok(Answer(Response { successful: true, data: Message { message: format!("{name} is disconnected") } }))
}
