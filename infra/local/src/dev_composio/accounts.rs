//! Accounts, and the consent page at which a person connects one.

use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};

use super::{
    Call, DevComposio,
    answers::{self, Failure},
    page, shown,
};

/// Status of an account, in Composio's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Initiated,
    Active,
    Failed,
    Expired,
    Revoked,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "INITIATED",
            Self::Active => "ACTIVE",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
        }
    }
}

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) toolkit: String,
    pub(super) status: Status,
    pub(super) created_at: Timestamp,
}

/// An unused link.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) account: String,
    pub(super) callback: Option<Url>,
}

impl Account {
    pub(super) fn new(user: &str, toolkit: &str, created_at: Timestamp) -> Self {
        Self { user: user.to_owned(), toolkit: toolkit.to_owned(), status: Status::Initiated, created_at }
    }

    fn described(&self, id: &str) -> Value {
        let state = match self.status {
            Status::Active => json!({ "status": "ACTIVE", "access_token": "REDACTED" }),
            Status::Initiated => json!({ "status": "INITIATED", "redirectUrl": "https://connect.example.com/" }),
            status => json!({ "status": status.as_str() }),
        };
        json!({
            "id": id, "word_id": null, "alias": null, "user_id": self.user, "toolkit": { "slug": self.toolkit },
            "auth_config": { "id": "ac_dev", "auth_scheme": "OAUTH2", "is_composio_managed": true, "is_disabled": false },
            "status": self.status.as_str(), "status_reason": null, "is_disabled": false,
            "created_at": format!("{:.3}", self.created_at), "updated_at": format!("{:.3}", self.created_at),
            "state": { "authScheme": "OAUTH2", "val": state }, "data": {}, "params": {},
        })
    }
}

impl DevComposio {
    pub(super) fn account_call(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let mut known = self.known();
        match (call.method, call.path.as_slice()) {
            (&Method::GET, ["connected_accounts"]) => {
                let is_in = |name: &str, value: &str| {
                    call.query.get(name).is_none_or(|list| list.split(',').any(|one| one == value))
                };
                let found = known.accounts.iter().filter(|(_, account)| {
                    is_in("user_ids", &account.user)
                        && is_in("toolkit_slugs", &account.toolkit)
                        && is_in("statuses", account.status.as_str())
                });
                Ok(answers::list(found.map(|(id, account)| account.described(id))))
            }
            (&Method::GET, ["connected_accounts", id]) => {
                let account = known.accounts.get(*id).ok_or(answers::NO_SUCH_ACCOUNT)?;
                Ok(answers::ok(account.described(id)))
            }
            (&Method::POST, ["connected_accounts", id, "revoke"]) => {
                let account = known.accounts.get_mut(*id).ok_or(answers::NO_SUCH_ACCOUNT)?;
                let revoked: &[&str] = match account.status {
                    Status::Active => &["access_token", "refresh_token"],
                    Status::Revoked => &[],
                    Status::Initiated | Status::Failed | Status::Expired => return Err(answers::NOT_REVOKABLE),
                };
                account.status = Status::Revoked;
                let described = json!({ "id": id, "status": account.status.as_str() });
                Ok(answers::ok(json!({ "revoked_tokens": revoked, "connected_account": described })))
            }
            // Not a call of Composio's: it simulates a provider that revokes the account, as when the person removes
            // the app there.
            (&Method::POST, ["connected_accounts", id, "expire"]) => {
                known.accounts.get_mut(*id).ok_or(answers::NO_SUCH_ACCOUNT)?.status = Status::Expired;
                Ok(answers::ok(json!({ "success": true })))
            }
            (&Method::DELETE, ["connected_accounts", id]) => {
                known.accounts.remove(*id).ok_or(answers::NO_SUCH_ACCOUNT)?;
                Ok(answers::ok(json!({ "success": true })))
            }
            _ => Err(answers::NO_SUCH_PATH),
        }
    }

    /// Serves the consent page.
    pub(super) fn ask(&self, link: &str) -> Response {
        let known = self.known();
        let account = known.links.get(link).and_then(|link| known.accounts.get(&link.account));
        match account {
            Some(account) => shown(page::consent(link, &account.toolkit, &account.user)),
            None => (StatusCode::NOT_FOUND, shown(page::gone())).into_response(),
        }
    }

    /// Takes a person's decision, and redirects the browser. A link works once.
    pub(super) fn decide(&self, link: &str, form: &[u8]) -> Response {
        let is_allowed = match form {
            b"decision=allow" => true,
            b"decision=refuse" => false,
            _ => return (StatusCode::BAD_REQUEST, shown(page::gone())).into_response(),
        };
        let mut known = self.known();
        let Some(Link { account, callback }) = known.links.remove(link) else {
            return (StatusCode::NOT_FOUND, shown(page::gone())).into_response();
        };
        if let Some(account) = known.accounts.get_mut(&account) {
            account.status = if is_allowed { Status::Active } else { Status::Failed };
        }
        let Some(mut callback) = callback else { return shown(page::done()) };
        let status = if is_allowed { "success" } else { "failed" };
        callback.query_pairs_mut().append_pair("status", status).append_pair("connected_account_id", &account);
        Redirect::to(callback.as_str()).into_response()
    }
}
