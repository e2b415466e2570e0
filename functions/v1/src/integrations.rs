//! `/v1/integrations`: the caller's accounts at third parties.

pub(crate) mod connect;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod open_link;
pub(crate) mod refresh;

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use portcullis_auth::UserId;
use portcullis_crypto::Digest;
use portcullis_runtime::{ApiError, params};
use portcullis_store::{self as store, IntegrationError, IntegrationSource, IntegrationStatus, NewConnection};
use portcullis_toolkits::{AuthField, AuthScheme, Catalogue, FieldType, Permission, Toolkit, ToolkitSlug};
use portcullis_upstream::{ComposioError, ComposioKey, composio_user};
use serde::Serialize;
use url::Url;

use crate::app::App;

/// Page of the front end to which a person returns from Composio.
const OUTCOME_PAGE: &str = "/workspace/integrations/callback";

/// Length of a state in bytes, before hex encoding.
const STATE_BYTES: usize = 32;

/// Returns the digest under which a state is stored.
fn state_digest(state: &str) -> Digest {
    Digest::of_parts(&[b"connection-state", state.as_bytes()])
}

/// The integration id of the path.
pub(crate) struct IntegrationPath(String);

impl<S: Sync> FromRequestParts<S> for IntegrationPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        params::path(parts, "id").await.map(Self)
    }
}

/// A toolkit and the way in which a person connects it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IntegrationToolkit)]
pub(crate) struct ToolkitView {
    slug: ToolkitSlug,
    display_name: String,
    description: String,
    icon_url: String,
    fallback_icon_url: String,
    category: String,
    auth_scheme: AuthScheme,
    /// Credentials to enter, for `api_key_user` alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    auth_fields: Vec<AuthFieldView>,
}

/// A credential that a person enters.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = IntegrationAuthField)]
pub(crate) struct AuthFieldView {
    key: String,
    label: String,
    #[serde(rename = "type")]
    kind: FieldType,
    #[serde(skip_serializing_if = "Option::is_none")]
    placeholder: Option<String>,
}

/// A toolkit with the caller's account there. A toolkit without an account is `pending`; one that needs no account is
/// `active`.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Integration)]
pub(crate) struct Integration {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    toolkit: ToolkitView,
    status: IntegrationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<portcullis_contract::Time>)]
    connected_at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    credential_hints: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IntegrationSource>,
    /// Absent if the caller's bots may use the whole toolkit, and in responses about a single integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_allows: Option<OperatorAllows>,
}

/// Part of a toolkit that the operator lets the caller's bots use.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OperatorAllows {
    /// Some actions for all bots, or all actions for some bots.
    Some,
    /// Nothing.
    Nothing,
}

impl From<&AuthField> for AuthFieldView {
    fn from(field: &AuthField) -> Self {
        Self {
            key: field.key.clone(),
            label: field.label.clone(),
            kind: field.kind,
            placeholder: field.placeholder.clone(),
        }
    }
}

impl From<&Toolkit> for ToolkitView {
    fn from(toolkit: &Toolkit) -> Self {
        Self {
            slug: toolkit.slug.clone(),
            display_name: toolkit.display_name.clone(),
            description: toolkit.description.clone(),
            icon_url: toolkit.icon_url(),
            fallback_icon_url: toolkit.fallback_icon_url(),
            category: toolkit.category.clone(),
            auth_scheme: toolkit.auth_scheme,
            auth_fields: toolkit.auth_fields.iter().map(AuthFieldView::from).collect(),
        }
    }
}

impl Integration {
    fn new(toolkit: &Toolkit, known: Option<&store::Integration>) -> Self {
        let unconnected = match toolkit.auth_scheme {
            AuthScheme::ApiKeyGlobal => IntegrationStatus::Active,
            AuthScheme::Oauth2 | AuthScheme::ApiKeyUser => IntegrationStatus::Pending,
        };
        Self {
            id: known.map(|known| known.id.clone()),
            toolkit: toolkit.into(),
            status: known.map_or(unconnected, |known| known.status),
            connected_at: known.and_then(|known| known.connected_at).map(|time| format!("{time:.3}")),
            credential_hints: known.map(|known| known.hints.clone()).unwrap_or_default(),
            return_to: known.and_then(|known| known.return_to.clone()),
            source: known.and_then(|known| known.source),
            operator_allows: None,
        }
    }

    /// Adds the operator's permission to an integration.
    fn permitted(mut self, permission: Permission) -> Self {
        self.operator_allows = match permission {
            Permission::All => None,
            Permission::Some => Some(OperatorAllows::Some),
            Permission::None => Some(OperatorAllows::Nothing),
        };
        self
    }

    /// Converts a stored integration, whose toolkit may have left the catalogue since.
    fn of_known(catalogue: &Catalogue, known: &store::Integration) -> Self {
        match catalogue.get(&known.toolkit) {
            Some(toolkit) => Self::new(toolkit, Some(known)),
            None => Self::new(&Toolkit::removed(known.toolkit.clone()), Some(known)),
        }
    }
}

impl App {
    /// Returns the key of the installation's project at Composio.
    ///
    /// # Errors
    /// 503 if this installation has no project.
    fn composio_key(&self) -> Result<ComposioKey, ApiError> {
        match &self.composio_access.cached().0 {
            Some(key) => Ok(ComposioKey(key.clone())),
            None => Err(ApiError::not_available("This server cannot connect accounts")),
        }
    }

    /// Returns one of the caller's integrations, with the catalogue.
    async fn integration_of(&self, user: &UserId, id: &str) -> Result<(Catalogue, store::Integration), ApiError> {
        let (catalogue, all) = tokio::try_join!(self.store.catalogue(), self.store.integrations_of(user))?;
        let known = all.into_iter().find(|known| known.id == id);
        Ok((catalogue, known.ok_or_else(not_found)?))
    }

    /// Begins a connection at Composio, and stores the proofs of the browser that began it. Returns the consent page
    /// and the integration.
    async fn begin_connection(&self, begun: Begin<'_>) -> Result<(Url, store::Integration), ApiError> {
        let key = self.composio_key()?;
        let mut callback = self.origins.web().url().clone();
        callback.set_path(OUTCOME_PAGE);
        callback.query_pairs_mut().append_pair("toolkit", begun.toolkit.as_str());
        let user = composio_user(begun.user.as_str());
        let link = self.composio.connect(&key, &user, begun.toolkit.as_str(), &callback).await;
        let link = link.map_err(refuse_composio)?;
        let new = NewConnection {
            id: self.new_id(),
            user: begun.user.clone(),
            toolkit: begun.toolkit.clone(),
            account: link.account,
            state: state_digest(begun.state),
            browser: begun.browser,
            source: begun.source,
            return_to: begun.return_to,
        };
        let (integration, replaced) = self.store.begin_connection(&new).await.map_err(to_api_error)?;
        // The replaced account is in no row any more: unless it is ended now, it would stay at Composio for good.
        if let Some(account) = replaced
            && let Err(error) = self.composio.end_account(&key, &account).await
        {
            tracing::warn!(%error, account, toolkit = %begun.toolkit, "a replaced account is still there at Composio");
        }
        Ok((link.url, integration))
    }
}

/// A connection that a browser begins.
struct Begin<'a> {
    user: &'a UserId,
    toolkit: &'a ToolkitSlug,
    state: &'a str,
    browser: Digest,
    source: IntegrationSource,
    return_to: Option<String>,
}

fn not_found() -> ApiError {
    ApiError::not_found("Integration not found")
}

fn to_api_error(error: IntegrationError) -> ApiError {
    match error {
        IntegrationError::AlreadyActive => ApiError::conflict("This account is connected already; disconnect it first"),
        IntegrationError::Changed => ApiError::conflict("The integration has changed meanwhile; try again"),
        IntegrationError::Store(error) => error.into(),
    }
}

fn refuse_composio(error: ComposioError) -> ApiError {
    match error {
        ComposioError::RateLimited(wait) => ApiError::too_many_requests(wait.unwrap_or(DEFAULT_WAIT)),
        error => ApiError::bad_gateway("Composio did not answer; try again", error.to_string()),
    }
}

/// `Retry-After` when Composio limits calls without a wait of its own.
const DEFAULT_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
