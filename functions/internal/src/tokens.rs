//! Bound tokens: issued for a pool's machine or its skills, and revoked all at once.

pub mod runtime;
pub mod skill;
mod ttl;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// A new token, which is returned once and not stored.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IssuedToken)]
pub struct Issued {
    token: String,
    expires_at: String,
}

impl Issued {
    /// Builds the response with `token`.
    #[expect(clippy::needless_pass_by_value, reason = "the answer is the last that sees the token")]
    fn new(token: SecretString, expires_at: Timestamp) -> Self {
        Self { token: token.expose_secret().to_owned(), expires_at: format!("{expires_at:.3}") }
    }
}

/// Response after all of the pool's tokens of this kind were revoked.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Revoked)]
pub struct Revoked {
    ok: bool,
}
