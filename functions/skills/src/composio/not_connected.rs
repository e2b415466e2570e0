//! The response to a skill whose bot's owner has not connected the account.

use portcullis_auth::UserId;
use portcullis_runtime::{ApiError, ErrorCode, front};
use portcullis_store::{IntegrationError, connect_link_digest};
use portcullis_toolkits::{AuthCard, AuthScheme, Toolkit};
use url::Url;

use crate::app::App;

/// Length of a link's id in bytes, before hex encoding.
const LINK_BYTES: usize = 32;

/// Page of the front end on which people enter their own keys.
const KEYS_PAGE: &str = "/#/integrations";

impl App {
    /// Returns a 403 with a link for the person and a message in each platform's format. Only the link's digest is
    /// stored, and only its owner can use it.
    pub(super) async fn not_connected(&self, user: &UserId, toolkit: &Toolkit) -> ApiError {
        let error = ApiError::forbidden_as(
            ErrorCode::NotConnected,
            format!("{} is not connected; send the person the link", toolkit.display_name),
        );
        let url = match self.connect_url(user, toolkit).await {
            Ok(Some(url)) => url,
            // Another request has connected the account in the meantime.
            Ok(None) => return error,
            Err(refusal) => return refusal,
        };
        let card = serde_json::to_value(AuthCard::new(toolkit, &url)).unwrap_or_default();
        error.with("connectUrl", String::from(url)).with("authCard", card)
    }

    async fn connect_url(&self, user: &UserId, toolkit: &Toolkit) -> Result<Option<Url>, ApiError> {
        let broken = |_| ApiError::internal("a path of ours is no URL");
        if toolkit.auth_scheme == AuthScheme::ApiKeyUser {
            return self.origins.web().url().join(KEYS_PAGE).map(Some).map_err(broken);
        }
        let mut bytes = [0; LINK_BYTES];
        self.randomness.fill(&mut bytes);
        let link = hex::encode(bytes);
        let new_id = front::new_request_id(&*self.randomness);
        match self.store.keep_connect_link(user, &toolkit.slug, &new_id, connect_link_digest(&link)).await {
            Ok(()) => {
                self.origins.api().url().join(&format!("/v1/integrations/connect/{link}")).map(Some).map_err(broken)
            }
            Err(IntegrationError::AlreadyActive | IntegrationError::Changed) => Ok(None),
            Err(IntegrationError::Store(error)) => Err(error.into()),
        }
    }
}
