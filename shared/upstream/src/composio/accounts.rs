//! Connected accounts at Composio.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Composio, ComposioError, ComposioKey, NOT_UNDERSTOOD};

/// A connection that was started at Composio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectLink {
    /// Id of the new account.
    pub account: String,
    /// Consent page for the person.
    pub url: Url,
}

/// Status of an account. Source: Composio, "Connected accounts" (`status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// The person has not consented yet.
    Initiated,
    /// The account can be used.
    Active,
    /// The person, or the toolkit, refused.
    Failed,
    /// The account expired, was deactivated or was revoked.
    Ended,
}

/// An account at Composio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedAccount {
    /// Status of the account.
    pub status: AccountStatus,
    /// Composio's id of the user who owns the account.
    pub user: String,
    /// Slug of the toolkit.
    pub toolkit: String,
}

/// Outcome of an account's revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The toolkit has revoked the account's tokens.
    Revoked,
    /// The toolkit cannot revoke tokens, or the account had no valid ones.
    NothingToRevoke,
}

impl Composio {
    /// Starts a connection: a session for one toolkit, and its link. The person is sent back to `callback`.
    ///
    /// # Errors
    /// [`ComposioError`].
    pub async fn connect(
        &self,
        key: &ComposioKey,
        user: &str,
        toolkit: &str,
        callback: &Url,
    ) -> Result<ConnectLink, ComposioError> {
        #[derive(Deserialize)]
        struct Session {
            session_id: String,
        }
        #[derive(Deserialize)]
        struct Link {
            redirect_url: String,
            connected_account_id: String,
        }
        let body = json!({
            "user_id": user,
            "toolkits": { "enable": [toolkit] },
            "manage_connections": { "enable": false },
        });
        let session: Session = self.answer(self.post(key, &["tool_router", "session"]).json(&body)).await?;
        let path = ["tool_router", "session", session.session_id.as_str(), "link"];
        let body = json!({ "toolkit": toolkit, "callback_url": callback.as_str() });
        let link: Link = self.answer(self.post(key, &path).json(&body)).await?;
        let url: Url = link.redirect_url.parse().map_err(|_| NOT_UNDERSTOOD)?;
        let is_page = url.scheme() == "https" || (url.scheme() == "http" && self.base.is_loopback());
        if !is_page || !is_id(&link.connected_account_id) {
            return Err(NOT_UNDERSTOOD);
        }
        Ok(ConnectLink { account: link.connected_account_id, url })
    }

    /// Fetches an account.
    ///
    /// # Errors
    /// [`ComposioError`]; [`ComposioError::NotFound`] for a deleted account.
    pub async fn account(&self, key: &ComposioKey, account: &str) -> Result<ConnectedAccount, ComposioError> {
        #[derive(Deserialize)]
        struct Account {
            status: String,
            user_id: String,
            toolkit: Toolkit,
        }
        #[derive(Deserialize)]
        struct Toolkit {
            slug: String,
        }
        let account: Account = self.read(|| self.get(key, &["connected_accounts", account])).await?;
        let status = match account.status.as_str() {
            "INITIALIZING" | "INITIATED" => AccountStatus::Initiated,
            "ACTIVE" => AccountStatus::Active,
            "FAILED" => AccountStatus::Failed,
            "EXPIRED" | "INACTIVE" | "REVOKED" => AccountStatus::Ended,
            _ => return Err(NOT_UNDERSTOOD),
        };
        Ok(ConnectedAccount { status, user: account.user_id, toolkit: account.toolkit.slug })
    }

    /// Revokes an account's tokens at the toolkit, then deletes the account. One that does not exist counts as ended.
    ///
    /// # Errors
    /// [`ComposioError`]; the tokens may be revoked while the account still exists: the call may be repeated.
    pub async fn end_account(&self, key: &ComposioKey, account: &str) -> Result<Revocation, ComposioError> {
        let revoked: Result<Value, _> = self.answer(self.post(key, &["connected_accounts", account, "revoke"])).await;
        let revocation = match revoked {
            Ok(answer) if answer["connected_account"].is_object() => Revocation::Revoked,
            Ok(_) => return Err(NOT_UNDERSTOOD),
            // 400: the toolkit has no such call; 409: the account does not work, for example after a refused consent.
            Err(ComposioError::Refused(400 | 409) | ComposioError::NotConnected) => Revocation::NothingToRevoke,
            Err(ComposioError::NotFound) => return Ok(Revocation::NothingToRevoke),
            Err(error) => return Err(error),
        };
        match self.answer::<Value>(self.delete(key, &["connected_accounts", account])).await {
            Ok(_) | Err(ComposioError::NotFound) => Ok(revocation),
            Err(error) => Err(error),
        }
    }
}

/// Whether a text is safe as a part of a path and of a row.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
