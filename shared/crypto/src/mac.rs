//! HMAC-SHA256 (RFC 2104, FIPS 198-1).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::constant_time_eq;

/// Length of an HMAC-SHA256 in bytes.
pub const MAC_LENGTH: usize = 32;

/// HMAC-SHA256 of the concatenation of `parts`. The key may have any length (RFC 2104 §3).
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A MAC key derived for one purpose.
pub struct MacKey(SecretBox<[u8; 32]>);

impl MacKey {
    pub(crate) fn new(key: SecretBox<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Authentication code of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; MAC_LENGTH] {
        hmac_sha256(self.0.expose_secret(), &[message])
    }

    /// Verifies `mac` of `message` in constant time. A MAC of another length never matches.
    #[must_use]
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        constant_time_eq(&self.sign(message), mac)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MacKey(..)")
    }
}
