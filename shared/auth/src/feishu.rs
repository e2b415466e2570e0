//! Feishu's webhooks: signatures, the verification token, and encrypted bodies.
//!
//! An app with an encrypt key receives `{"encrypt": "…"}`, signed with that key. An app without one receives its events
//! unencrypted and unsigned, and only the verification token inside the body distinguishes them from forgeries. Card
//! callbacks of the older kind are signed with the verification token.
//!
//! Source: Feishu Open Platform, "Event subscription", "Encryption and verification"; `EventDispatcher` and
//! `CardActionHandler` of the npm package `@larksuiteoapi/node-sdk`.

use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use jiff::Timestamp;
use portcullis_crypto::constant_time_eq;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    SigningSecret,
    slack_signature::{SignatureError, fresh_timestamp},
};

/// Header with the signature in hex.
pub const SIGNATURE_HEADER: &str = "x-lark-signature";
/// Header with the time of signing, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "x-lark-request-timestamp";
/// Header with the nonce, which makes each signature unique.
pub const NONCE_HEADER: &str = "x-lark-request-nonce";

/// Length of an AES block, and of the initialization vector before a ciphertext, in bytes.
pub const IV_LENGTH: usize = 16;

/// Longest nonce in bytes; Feishu's have 10 to 36.
const MAXIMUM_NONCE_LENGTH: usize = 255;

/// Secrets that verify a Feishu app's webhooks: its verification token, and its encrypt key if it has one.
#[derive(Clone, Debug)]
pub struct FeishuSecrets {
    verification_token: SecretString,
    encrypt_key: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    verification_token: SecretString,
    encrypt_key: Option<SecretString>,
}

impl FeishuSecrets {
    /// Creates the secrets of an app. Neither may be empty.
    #[must_use]
    pub fn new(verification_token: SecretString, encrypt_key: Option<SecretString>) -> Self {
        Self { verification_token, encrypt_key }
    }

    /// Serializes both as one text for sealing.
    #[must_use]
    pub fn to_json(&self) -> SecretString {
        let json = serde_json::json!({
            "verificationToken": self.verification_token.expose_secret(),
            "encryptKey": self.encrypt_key.as_ref().map(ExposeSecret::expose_secret),
        });
        json.to_string().into()
    }

    /// Parses the text of [`FeishuSecrets::to_json`]; `None` for any other text.
    #[must_use]
    pub fn from_json(json: &SecretString) -> Option<Self> {
        let Sealed { verification_token, encrypt_key } = serde_json::from_str(json.expose_secret()).ok()?;
        Some(Self { verification_token, encrypt_key })
    }

    /// Whether the app encrypts and signs its requests.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.encrypt_key.is_some()
    }

    /// Whether `token` is the app's verification token, compared in constant time.
    #[must_use]
    pub fn has_token(&self, token: &str) -> bool {
        let own = self.verification_token.expose_secret();
        // Digests are compared, so that the time does not reveal the token's length either.
        !own.is_empty() && constant_time_eq(&Sha256::digest(own), &Sha256::digest(token))
    }

    /// Verifies a request's signature with the encrypt key, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`], also for an app without an encrypt key.
    pub fn verify(&self, signed: &FeishuSignature<'_>, body: &[u8]) -> Result<(), SignatureError> {
        let key = self.encrypt_key.as_ref().ok_or(SignatureError::Mismatch)?;
        signed.matches(key, &sha256_signature(key, signed.timestamp, signed.nonce, body))
    }

    /// Verifies a card callback of the older kind, signed with the verification token, in constant time.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`].
    pub fn verify_card(&self, signed: &FeishuSignature<'_>, body: &[u8]) -> Result<(), SignatureError> {
        let token = &self.verification_token;
        let mut hash = Sha1::new();
        for part in [signed.timestamp.as_bytes(), signed.nonce.as_bytes(), token.expose_secret().as_bytes(), body] {
            hash.update(part);
        }
        signed.matches(token, &hex::encode(hash.finalize()))
    }

    /// Decrypts an `encrypt` field; `None` if it was not encrypted with the encrypt key.
    #[must_use]
    pub fn decrypt(&self, encrypted: &str) -> Option<Vec<u8>> {
        decrypt(self.encrypt_key.as_ref()?, encrypted)
    }
}

/// Headers of a signed request with a well-formed and fresh timestamp.
#[derive(Clone, Copy, Debug)]
pub struct FeishuSignature<'a> {
    timestamp: &'a str,
    nonce: &'a str,
    signature: &'a [u8],
}

impl<'a> FeishuSignature<'a> {
    /// Parses timestamp, nonce and signature, and checks everything that needs no secret.
    ///
    /// # Errors
    /// [`SignatureError`], any but [`SignatureError::Mismatch`].
    pub fn parse(
        timestamp: Option<&'a [u8]>,
        nonce: Option<&'a [u8]>,
        signature: Option<&'a [u8]>,
        now: Timestamp,
    ) -> Result<Self, SignatureError> {
        let (Some(timestamp), Some(nonce), Some(signature)) = (timestamp, nonce, signature) else {
            return Err(SignatureError::Missing);
        };
        let nonce = Some(nonce).filter(|nonce| (1..=MAXIMUM_NONCE_LENGTH).contains(&nonce.len()));
        let nonce = nonce.and_then(|nonce| std::str::from_utf8(nonce).ok()).ok_or(SignatureError::Missing)?;
        Ok(Self { timestamp: fresh_timestamp(timestamp, now)?, nonce, signature })
    }

    fn matches(&self, secret: &SecretString, expected: &str) -> Result<(), SignatureError> {
        let matches = constant_time_eq(expected.as_bytes(), self.signature);
        if matches && !secret.expose_secret().is_empty() { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

impl SigningSecret {
    /// Signs `body` in Feishu's scheme with this secret as the encrypt key. Returns the value of [`SIGNATURE_HEADER`].
    #[must_use]
    pub fn sign_for_feishu(&self, timestamp: &str, nonce: &str, body: &[u8]) -> String {
        sha256_signature(&self.0, timestamp, nonce, body)
    }

    /// Encrypts `plaintext` with this secret as the encrypt key. Returns the `encrypt` field. `iv` must be random.
    #[must_use]
    pub fn encrypt_for_feishu(&self, iv: [u8; IV_LENGTH], plaintext: &[u8]) -> String {
        let key = cipher_key(&self.0);
        let mut bytes = iv.to_vec();
        bytes
            .extend(cbc::Encryptor::<Aes256>::new((&*key).into(), (&iv).into()).encrypt_padded_vec::<Pkcs7>(plaintext));
        STANDARD.encode(bytes)
    }
}

/// SHA-256 of the concatenation of timestamp, nonce, key and body, in hex. Feishu's scheme is not an HMAC.
fn sha256_signature(key: &SecretString, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [timestamp.as_bytes(), nonce.as_bytes(), key.expose_secret().as_bytes(), body] {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn cipher_key(key: &SecretString) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(key.expose_secret()).into())
}

fn decrypt(key: &SecretString, encrypted: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(encrypted).ok()?;
    let (iv, ciphertext) = bytes.split_first_chunk::<IV_LENGTH>()?;
    let key = cipher_key(key);
    cbc::Decryptor::<Aes256>::new((&*key).into(), iv.into()).decrypt_padded_vec::<Pkcs7>(ciphertext).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn secrets(encrypt_key: Option<&str>) -> FeishuSecrets {
        FeishuSecrets::new("token-1".into(), encrypt_key.map(Into::into))
    }

    fn signature<'a>(timestamp: &'a str, signature: &'a str) -> Result<FeishuSignature<'a>, SignatureError> {
        let now = Timestamp::from_second(NOW).unwrap();
        FeishuSignature::parse(Some(timestamp.as_bytes()), Some(b"nonce"), Some(signature.as_bytes()), now)
    }

    /// Vector of Feishu's own documentation: the plaintext is `hello world` under the encrypt key `test key`.
    #[test]
    fn the_documented_ciphertext_opens() {
        let encrypted = "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=";
        assert_eq!(secrets(Some("test key")).decrypt(encrypted).as_deref(), Some(b"hello world".as_slice()));
    }

    #[test]
    fn a_ciphertext_that_is_cut_or_of_another_key_does_not_open() {
        let sealed = SigningSecret::new("key".into()).encrypt_for_feishu([7; IV_LENGTH], b"{\"a\":1}");
        assert_eq!(secrets(Some("key")).decrypt(&sealed).as_deref(), Some(b"{\"a\":1}".as_slice()));
        let other = secrets(Some("another")).decrypt(&sealed);
        assert_ne!(other.as_deref(), Some(b"{\"a\":1}".as_slice()));
        for bad in ["", "A", "AAAA", sealed.get(..20).unwrap(), &STANDARD.encode([0; IV_LENGTH]), "not base64!"] {
            assert_eq!(secrets(Some("key")).decrypt(bad), None, "{bad}");
        }
        assert_eq!(secrets(None).decrypt(&sealed), None, "without a key");
    }

    #[test]
    fn only_the_signature_of_the_key_the_time_the_nonce_and_the_body_is_taken() {
        let secrets = secrets(Some("key"));
        let time = NOW.to_string();
        let good = SigningSecret::new("key".into()).sign_for_feishu(&time, "nonce", b"body");
        assert_eq!(secrets.verify(&signature(&time, &good).unwrap(), b"body"), Ok(()));
        assert_eq!(secrets.verify(&signature(&time, &good).unwrap(), b"other"), Err(SignatureError::Mismatch));
        let earlier = (NOW - 1).to_string();
        assert_eq!(secrets.verify(&signature(&earlier, &good).unwrap(), b"body"), Err(SignatureError::Mismatch));
        for bad in ["", "v0=", good.get(1..).unwrap(), &good.to_uppercase(), &"0".repeat(64)] {
            assert_eq!(
                secrets.verify(&signature(&time, bad).unwrap(), b"body"),
                Err(SignatureError::Mismatch),
                "{bad}"
            );
        }
        let without = FeishuSecrets::new("token-1".into(), None);
        assert_eq!(without.verify(&signature(&time, &good).unwrap(), b"body"), Err(SignatureError::Mismatch));
        let empty = FeishuSecrets::new("token-1".into(), Some("".into()));
        let of_empty = SigningSecret::new("".into()).sign_for_feishu(&time, "nonce", b"body");
        assert_eq!(empty.verify(&signature(&time, &of_empty).unwrap(), b"body"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_timestamp_counts_for_300_seconds_either_way() {
        for (seconds, is_fresh) in [(-300, true), (-301, false), (300, true), (301, false)] {
            let time = (NOW + seconds).to_string();
            assert_eq!(signature(&time, "x").is_ok(), is_fresh, "{seconds}");
        }
        for bad in ["", "abc", "1e9", "-1", "0x1", "01700000000"] {
            assert!(signature(bad, "x").is_err(), "{bad}");
        }
        let now = Timestamp::from_second(NOW).unwrap();
        let time = NOW.to_string();
        let parse = |nonce: Option<&[u8]>, signature: Option<&[u8]>| {
            FeishuSignature::parse(Some(time.as_bytes()), nonce, signature, now).map(drop)
        };
        assert_eq!(parse(None, Some(b"x")), Err(SignatureError::Missing));
        assert_eq!(parse(Some(b"n"), None), Err(SignatureError::Missing));
        assert_eq!(parse(Some(b""), Some(b"x")), Err(SignatureError::Missing));
        assert_eq!(parse(Some(&[b'n'; 256]), Some(b"x")), Err(SignatureError::Missing));
        assert_eq!(parse(Some(&[0xff]), Some(b"x")), Err(SignatureError::Missing));
        assert_eq!(parse(Some(&[b'n'; 255]), Some(b"x")), Ok(()));
    }

    /// `sha1("1700000000" + "nonce" + "token-1" + "body")`.
    #[test]
    fn an_older_card_callback_is_signed_with_the_verification_token() {
        let time = NOW.to_string();
        let good = hex::encode(Sha1::digest(b"1700000000noncetoken-1body"));
        assert_eq!(secrets(None).verify_card(&signature(&time, &good).unwrap(), b"body"), Ok(()));
        assert_eq!(secrets(None).verify_card(&signature(&time, &good).unwrap(), b"b"), Err(SignatureError::Mismatch));
        let other = FeishuSecrets::new("token-2".into(), None);
        assert_eq!(other.verify_card(&signature(&time, &good).unwrap(), b"body"), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_verification_token_is_compared_whole_and_an_empty_one_is_nobodys() {
        assert!(secrets(None).has_token("token-1"));
        for bad in ["", "token", "token-11", "Token-1"] {
            assert!(!secrets(None).has_token(bad), "{bad}");
        }
        assert!(!FeishuSecrets::new("".into(), None).has_token(""));
    }

    #[test]
    fn the_secrets_come_back_from_their_text() {
        for key in [None, Some("key")] {
            let read = FeishuSecrets::from_json(&secrets(key).to_json()).unwrap();
            assert!(read.has_token("token-1"));
            assert_eq!(read.encrypts(), key.is_some());
        }
        assert!(FeishuSecrets::from_json(&"{}".into()).is_none());
    }
}
