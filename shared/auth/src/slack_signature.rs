//! Slack's request signatures, scheme `v0`.
//!
//! Source: Slack, "Verifying requests from Slack",
//! <https://docs.slack.dev/authentication/verifying-requests-from-slack>.

use jiff::Timestamp;
use portcullis_crypto::{constant_time_eq, hmac_sha256};
use secrecy::{ExposeSecret, SecretString};

/// Maximum distance of a request's timestamp from now, in whole seconds, either way.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";
/// Header with the time of signing, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";

/// Maximum digits of a timestamp; more are past the year 9999.
const MAXIMUM_TIMESTAMP_DIGITS: usize = 12;

/// Why a signature is rejected. The reason is never sent to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A signature header is missing.
    #[error("a signature header is missing")]
    Missing,
    /// The timestamp is not a plain integer.
    #[error("the timestamp is not a plain integer")]
    MalformedTimestamp,
    /// The timestamp is more than [`TOLERANCE_SECONDS`] away.
    #[error("the timestamp is too far from now")]
    Stale,
    /// The signature does not match the body and the secret.
    #[error("the signature does not match")]
    Mismatch,
}

/// Secret that requests are signed with: an app's signing secret, or a channel's delivery secret.
pub struct SigningSecret(pub(crate) SecretString);

impl SigningSecret {
    /// Creates a signing secret. An empty one can sign, but nothing verifies under it, since everybody could have
    /// signed that.
    #[must_use]
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// Signs `body` at `timestamp`, the text of [`TIMESTAMP_HEADER`], in Slack's scheme. Returns the value of
    /// [`SIGNATURE_HEADER`].
    #[must_use]
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let parts = [b"v0:".as_slice(), timestamp.as_bytes(), b":", body];
        format!("v0={}", hex::encode(hmac_sha256(self.0.expose_secret().as_bytes(), &parts)))
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningSecret(..)")
    }
}

/// Headers of a signed request with a well-formed and fresh timestamp.
#[derive(Clone, Copy)]
pub struct SignedHeaders<'a> {
    timestamp: &'a str,
    signature: &'a [u8],
}

/// Checks that a timestamp is a plain integer, at most [`TOLERANCE_SECONDS`] from now.
pub(crate) fn fresh_timestamp(timestamp: &[u8], now: Timestamp) -> Result<&str, SignatureError> {
    let is_plain = (1..=MAXIMUM_TIMESTAMP_DIGITS).contains(&timestamp.len())
        && timestamp.iter().all(u8::is_ascii_digit)
        && (timestamp.len() == 1 || !timestamp.starts_with(b"0"));
    if !is_plain {
        return Err(SignatureError::MalformedTimestamp);
    }
    let timestamp = std::str::from_utf8(timestamp).map_err(|_| SignatureError::MalformedTimestamp)?;
    let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::MalformedTimestamp)?;
    if now.as_second().abs_diff(seconds) > TOLERANCE_SECONDS { Err(SignatureError::Stale) } else { Ok(timestamp) }
}

impl<'a> SignedHeaders<'a> {
    /// Parses the headers, and checks everything that needs no secret.
    ///
    /// # Errors
    /// [`SignatureError`], any but [`SignatureError::Mismatch`].
    pub fn parse(
        timestamp: Option<&'a [u8]>,
        signature: Option<&'a [u8]>,
        now: Timestamp,
    ) -> Result<Self, SignatureError> {
        let (timestamp, signature) = timestamp.zip(signature).ok_or(SignatureError::Missing)?;
        Ok(Self { timestamp: fresh_timestamp(timestamp, now)?, signature })
    }

    /// Verifies the signature of the raw `body` with `secret`, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub fn verify(&self, secret: &SigningSecret, body: &[u8]) -> Result<(), SignatureError> {
        let expected = secret.sign(self.timestamp, body);
        let matches = constant_time_eq(expected.as_bytes(), self.signature);
        if matches && !secret.0.expose_secret().is_empty() { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}
