//! Slack's OAuth: the page that asks for consent, and the exchange of its code.
//!
//! Source: Slack, "Installing with OAuth" and `oauth.v2.access`.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{Slack, SlackError, not_understood};

/// Time-out of exchanging a code. A code can be used once: an answer that is not waited for is lost.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A Slack app's credentials, with which it exchanges codes.
#[derive(Clone, Debug)]
pub struct SlackClient {
    /// The app's client id.
    pub id: String,
    /// The app's client secret.
    pub secret: SecretString,
}

/// An installation of an app.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Id of the workspace, or of the enterprise if the app is installed org-wide.
    pub team: String,
    /// Name of the workspace or the enterprise.
    pub team_name: Option<String>,
    /// Id of the app.
    pub app: String,
    /// Id of the bot's user.
    pub bot_user: Option<String>,
    /// Bot token of the installation.
    pub bot_token: IssuedToken,
}

/// A bot token that Slack has issued.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The secret token.
    pub value: SecretString,
    /// Lifetime and refresh token; `None` if the app has token rotation turned off.
    pub rotation: Option<(Duration, SecretString)>,
}

impl IssuedToken {
    fn new(
        value: SecretString,
        expires_in: Option<u64>,
        refresh_token: Option<SecretString>,
    ) -> Result<Self, SlackError> {
        let rotation = match (expires_in, refresh_token) {
            (None, _) => None,
            (Some(seconds), Some(refresh_token)) => Some((Duration::from_secs(seconds), refresh_token)),
            (Some(_), None) => return Err(not_understood()),
        };
        Ok(Self { value, rotation })
    }
}

impl Slack {
    /// URL of the page that asks a person to consent to an installation.
    #[must_use]
    pub fn consent_page(&self, client_id: &str, scopes: &[&str], redirect_uri: &str, state: &str) -> Url {
        let mut url = self.base.join("../oauth/v2/authorize");
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("scope", &scopes.join(","))
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state);
        url
    }

    /// Exchanges a code for a bot token (`oauth.v2.access`).
    ///
    /// # Errors
    /// [`SlackError`].
    pub async fn exchange_code(
        &self,
        client: &SlackClient,
        code: &str,
        redirect_uri: &str,
    ) -> Result<Installation, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: SecretString,
            token_type: String,
            bot_user_id: Option<String>,
            app_id: String,
            team: Option<Named>,
            enterprise: Option<Named>,
            #[serde(default)]
            is_enterprise_install: bool,
            expires_in: Option<u64>,
            refresh_token: Option<SecretString>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: String,
            name: Option<String>,
        }
        let request = self
            .client()
            .post(self.base.join("oauth.v2.access"))
            .timeout(EXCHANGE_TIMEOUT)
            .basic_auth(&client.id, Some(client.secret.expose_secret()))
            .form(&[("code", code), ("redirect_uri", redirect_uri)]);
        let access: Answer = Self::answer(request).await?;
        if access.token_type != "bot" {
            return Err(SlackError::Refused("not_a_bot_token".into()));
        }
        let place = if access.is_enterprise_install { access.enterprise } else { access.team };
        let place = place.ok_or_else(not_understood)?;
        Ok(Installation {
            team: place.id,
            team_name: place.name,
            app: access.app_id,
            bot_user: access.bot_user_id,
            bot_token: IssuedToken::new(access.access_token, access.expires_in, access.refresh_token)?,
        })
    }

    /// Requests the successor of an expiring token (`oauth.v2.access` with `grant_type=refresh_token`). A refresh token
    /// can be used once; after a lost answer, Slack returns the same one again for some time.
    ///
    /// # Errors
    /// [`SlackError`]; `invalid_refresh_token` if the refresh token has become invalid.
    ///
    /// Source: Slack, "Using token rotation".
    pub async fn refresh_token(
        &self,
        client: &SlackClient,
        refresh_token: &SecretString,
    ) -> Result<IssuedToken, SlackError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: SecretString,
            refresh_token: SecretString,
            expires_in: u64,
        }
        let request = self
            .client()
            .post(self.base.join("oauth.v2.access"))
            .basic_auth(&client.id, Some(client.secret.expose_secret()))
            .form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())]);
        let answer: Answer = Self::answer(request).await?;
        IssuedToken::new(answer.access_token, Some(answer.expires_in), Some(answer.refresh_token))
    }
}
