//! `POST /api/internal/composio/execute`: executes an action with the account of the bot's owner.

use std::{sync::Arc, time::Duration};

use axum::{Json as Answer, extract::State};
use portcullis_auth::{BotId, PoolId, UserId};
use portcullis_contract::InvalidField;
use portcullis_runtime::{ApiError, ErrorCode, fields::Object, json::StrictJson, openapi, tier::Skill};
use portcullis_store::{Integration, IntegrationError, IntegrationStatus, SecretName, StoreError};
use portcullis_toolkits::{Action, AuthScheme, Credentials, Resolved, ToolPolicy};
use portcullis_upstream::{ComposioError, ComposioKey, CustomConnection, EXECUTE_TIMEOUT, Execution, composio_user};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{owner, to_api_error};
use crate::app::App;

/// Name of the pool secret that overrides the installation's own project at Composio.
const POOLS_OWN_KEY: &str = "COMPOSIO_API_KEY";

/// Time-out of an action's version look-up.
const VERSION_TIMEOUT: Duration = Duration::from_secs(2);

// Half a second remains for the store.
const _: () = assert!(
    VERSION_TIMEOUT.as_millis() + EXECUTE_TIMEOUT.as_millis() + 500 <= crate::app::DEADLINE.as_millis(),
    "the answer comes before the deadline"
);

/// Longest text of a toolkit's error that is passed on, in characters.
const MAXIMUM_ERROR_LENGTH: usize = 2_000;

/// An action and its parameters.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExecuteAction)]
pub struct Request {
    bot_id: BotId,
    #[schema(value_type = String, pattern = "^[A-Z][A-Z0-9_]+$", max_length = 256)]
    action: Action,
    #[schema(value_type = Option<serde_json::Value>)]
    params: Option<Object>,
}

/// The outcome of an action.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ActionOutcome)]
pub struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    successful: bool,
}

/// The project and the account with which an action is executed.
struct With {
    key: ComposioKey,
    account: Option<String>,
    credentials: Option<Credentials>,
}

#[utoipa::path(
    post,
    path = "/api/internal/composio/execute",
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
    let action = catalogue.resolve(&request.action).ok_or_else(|| {
        let message = format!("Unknown toolkit for action: {}", request.action);
        ApiError::bad_request(ErrorCode::ValidationFailed, message)
    })?;
    if !action.toolkit.enabled {
        return Err(not_allowed(&request.action));
    }
    let user = owner(&bot)?;
    let (policy, known, own_key) = tokio::try_join!(
        app.policy(bot.pool.as_ref()),
        app.store.integration(user, &action.toolkit.slug),
        app.own_key(bot.pool.as_ref()),
    )?;
    if !policy.allows(&action, &request.action) {
        return Err(not_allowed(&request.action));
    }
    let with = app.account(user, &action, known.as_ref(), own_key).await?;
    app.execute(user, &action, known.as_ref(), &with, request.params.as_ref()).await.map(Answer)
}

fn not_allowed(action: &Action) -> ApiError {
    ApiError::forbidden_as(ErrorCode::ToolNotAllowed, format!("Your operator does not allow {action} here"))
}

impl App {
    async fn policy(&self, pool: Option<&PoolId>) -> Result<ToolPolicy, StoreError> {
        match pool {
            Some(pool) => self.store.tool_policy(pool).await,
            None => Ok(ToolPolicy::default()),
        }
    }

    async fn own_key(&self, pool: Option<&PoolId>) -> Result<Option<SecretString>, StoreError> {
        let name: SecretName = POOLS_OWN_KEY.parse().unwrap_or_else(|_| unreachable!("it is the name of a secret"));
        match pool {
            Some(pool) => self.store.secret_of_pool(pool, &name).await,
            None => Ok(None),
        }
    }

    /// Chooses the account for an action. In a pool's own project at Composio, the pool's operator connects the
    /// accounts.
    ///
    /// # Errors
    /// 403 with a link if the account is not connected.
    async fn account(
        &self,
        user: &UserId,
        action: &Resolved<'_>,
        known: Option<&Integration>,
        own_key: Option<SecretString>,
    ) -> Result<With, ApiError> {
        let toolkit = action.toolkit;
        let active = known.filter(|known| known.status == IntegrationStatus::Active);
        let key = match own_key {
            Some(key) if toolkit.auth_scheme != AuthScheme::ApiKeyUser => {
                return Ok(With { key: ComposioKey(key), account: None, credentials: None });
            }
            Some(key) => ComposioKey(key),
            None => self.composio_key()?,
        };
        match (toolkit.auth_scheme, active) {
            (AuthScheme::ApiKeyGlobal, _) => Ok(With { key, account: None, credentials: None }),
            (AuthScheme::Oauth2, Some(Integration { account: Some(account), .. })) => {
                Ok(With { key, account: Some(account.clone()), credentials: None })
            }
            (AuthScheme::ApiKeyUser, Some(known)) => {
                let credentials = self.store.integration_credentials(&known.id).await?;
                if credentials.is_empty() {
                    // Another request deleted the credentials after the row was read.
                    return Err(self.not_connected(user, toolkit).await);
                }
                Ok(With { key, account: None, credentials: Some(credentials) })
            }
            _ => Err(self.not_connected(user, toolkit).await),
        }
    }

    async fn execute(
        &self,
        user: &UserId,
        action: &Resolved<'_>,
        known: Option<&Integration>,
        with: &With,
        params: Option<&Object>,
    ) -> Result<Response, ApiError> {
        let name = action.action();
        let version = match self.versions.get(&name, self.clock.now()) {
            Some(version) => version,
            None => match self.look_version_up(&with.key, &name).await {
                Ok(version) => {
                    self.versions.keep(name.clone(), version.clone(), self.clock.now());
                    version
                }
                Err(ComposioError::NotFound | ComposioError::Refused(_)) => return Err(unknown_action(&name)),
                Err(error) => return Err(to_api_error(error)),
            },
        };
        let nothing = RawValue::from_string("{}".to_owned()).map_err(|_| ApiError::internal("{} is JSON"))?;
        let user_id = composio_user(user.as_str());
        let execution = Execution {
            user_id: &user_id,
            connected_account_id: with.account.as_deref(),
            version: &version,
            arguments: params.map_or(&*nothing, |params| &*params.0),
            custom_connection_data: with.credentials.as_ref().map(|keys| CustomConnection {
                auth_scheme: "API_KEY",
                toolkit_slug: action.toolkit.slug.as_str(),
                val: keys,
            }),
        };
        match self.composio.execute(&with.key, &name, &execution).await {
            Ok(outcome) => Ok(Response {
                data: outcome.data,
                error: outcome.error.map(|text| text.chars().take(MAXIMUM_ERROR_LENGTH).collect()),
                successful: outcome.successful,
            }),
            Err(ComposioError::NotConnected) => Err(self.ended_at_composio(user, action, known, with).await),
            Err(ComposioError::NotFound) => Err(unknown_action(&name)),
            Err(ComposioError::Refused(_)) => {
                Err(ApiError::bad_request(ErrorCode::ValidationFailed, "Composio refused the action's parameters"))
            }
            Err(error) => Err(to_api_error(error)),
        }
    }

    /// Looks up an action's version within [`VERSION_TIMEOUT`]. Together with the action's time-out it must stay below
    /// the deadline, or an action that ran would be reported as not run.
    async fn look_version_up(&self, key: &ComposioKey, name: &str) -> Result<String, ComposioError> {
        let looked_up = tokio::time::timeout(VERSION_TIMEOUT, self.composio.tool_version(key, name)).await;
        looked_up.unwrap_or(Err(ComposioError::Unanswered("request_timeout")))
    }

    /// Handles Composio's report that the account is not connected. A person's account is marked as expired and gets a
    /// new link. A person's own keys stay, and the link leads to where they are replaced. An operator's account (a
    /// pool's own project, or a toolkit for everybody) gets no link, which would connect the person in another
    /// project.
    async fn ended_at_composio(
        &self,
        user: &UserId,
        action: &Resolved<'_>,
        known: Option<&Integration>,
        with: &With,
    ) -> ApiError {
        let toolkit = action.toolkit;
        if with.account.is_none() && toolkit.auth_scheme != AuthScheme::ApiKeyUser {
            let message = format!("{} is not connected; your operator connects it at Composio", toolkit.display_name);
            return ApiError::forbidden_as(ErrorCode::NotConnected, message);
        }
        let is_of_link = |known: &&Integration| with.account.is_some() && with.account == known.account;
        if let Some(known) = known.filter(is_of_link) {
            match self.store.end_connection(known, IntegrationStatus::Expired).await {
                Ok(_) | Err(IntegrationError::Changed | IntegrationError::AlreadyActive) => {}
                Err(IntegrationError::Store(error)) => return error.into(),
            }
        }
        self.not_connected(user, toolkit).await
    }
}

fn unknown_action(name: &str) -> ApiError {
    ApiError::invalid_field("action", InvalidField::new("an action that Composio has").to_string() + ": " + name)
}
