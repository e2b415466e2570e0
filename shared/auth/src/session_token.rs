//! Session tokens, and the signed cookie that carries one.
//!
//! The cookie has better-auth's form: `TOKEN.SIGNATURE`, percent-encoded; the signature is the base64 of the token's
//! HMAC-SHA256. The store holds only the token's SHA-256.

use std::fmt;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use portcullis_crypto::{Digest, Randomness, constant_time_eq, hmac_sha256};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::SessionId;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Characters of a token: unpadded base64 of [`TOKEN_BYTES`].
const TOKEN_LENGTH: usize = 43;
/// Minimum length of the secret that signs cookies, in characters.
pub const MINIMUM_SECRET_LENGTH: usize = 32;
/// Longest `cookie` header that is parsed, in bytes: browsers send up to 4 KiB a cookie, and few cookies.
const MAXIMUM_HEADER_LENGTH: usize = 16 * 1024;

/// Token of a signed-in browser: 256 random bits.
#[derive(Clone)]
pub struct SessionToken(SecretString);

impl SessionToken {
    /// Generates a new token.
    #[must_use]
    pub fn generate(randomness: &dyn Randomness) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        randomness.fill(&mut *bytes);
        Self(BASE64_URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    fn parse(text: &str) -> Option<Self> {
        let is_token = text.len() == TOKEN_LENGTH
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_token.then(|| Self(text.into()))
    }

    /// Id of the session: the token's digest. It identifies the session but does not authenticate it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::of_digest(&Digest::of(self.0.expose_secret().as_bytes()))
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(..)")
    }
}

/// Error of a secret with fewer than [`MINIMUM_SECRET_LENGTH`] characters, which could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be at least {MINIMUM_SECRET_LENGTH} characters")]
pub struct SecretTooShort;

/// Secret that signs session cookies and keys the digests of mailed codes, with its previous value while that is valid.
#[derive(Clone)]
pub struct SessionSecret {
    current: SecretString,
    previous: Option<(SecretString, Option<Timestamp>)>,
}

impl SessionSecret {
    /// Creates a secret without a previous value.
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn new(secret: &str) -> Result<Self, SecretTooShort> {
        Ok(Self { current: long_enough(secret)?, previous: None })
    }

    /// Adds the value before the last rotation, which is valid until `valid_until` (`None`: until an operator removes
    /// it).
    ///
    /// # Errors
    /// [`SecretTooShort`].
    pub fn with_previous(self, secret: &str, valid_until: Option<Timestamp>) -> Result<Self, SecretTooShort> {
        Ok(Self { previous: Some((long_enough(secret)?, valid_until)), ..self })
    }

    /// Keyed digest of parts, each after its length, for one purpose.
    #[must_use]
    pub fn keyed_digest(&self, purpose: &str, parts: &[&[u8]]) -> Digest {
        let message = Digest::of_parts(parts);
        let mac =
            hmac_sha256(self.current.expose_secret().as_bytes(), &[purpose.as_bytes(), b"\0", message.as_bytes()]);
        Digest::of(&mac)
    }

    fn sign(secret: &SecretString, token: &str) -> [u8; 32] {
        hmac_sha256(secret.expose_secret().as_bytes(), &[token.as_bytes()])
    }

    fn has_signed(&self, token: &str, signature: &[u8], now: Timestamp) -> bool {
        let previous = self.previous.as_ref().filter(|(_, end)| end.is_none_or(|end| now < end));
        let is_previous = previous.is_some_and(|(secret, _)| constant_time_eq(&Self::sign(secret, token), signature));
        constant_time_eq(&Self::sign(&self.current, token), signature) | is_previous
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionSecret(..)")
    }
}

fn long_enough(secret: &str) -> Result<SecretString, SecretTooShort> {
    if secret.chars().count() < MINIMUM_SECRET_LENGTH { Err(SecretTooShort) } else { Ok(secret.into()) }
}

/// Name and attributes of the session cookie.
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: &'static str,
    is_secure: bool,
    domain: Option<String>,
}

impl SessionCookie {
    /// Creates the session cookie of an API that browsers reach over https, or over http on a developer's machine. With
    /// a domain it is sent to all its subdomains.
    #[must_use]
    pub fn new(is_secure: bool, domain: Option<String>) -> Self {
        let name = if is_secure { "__Secure-better-auth.session_token" } else { "better-auth.session_token" };
        Self { name, is_secure, domain }
    }

    /// `set-cookie` header that stores the token in a browser. Without `maximum_age`, in seconds, it ends with the
    /// browser's session.
    #[must_use]
    pub fn issue(&self, token: &SessionToken, secret: &SessionSecret, maximum_age: Option<u32>) -> Zeroizing<String> {
        let token = token.0.expose_secret();
        let signature = BASE64_STANDARD.encode(SessionSecret::sign(&secret.current, token));
        // Percent-encodes the special characters of base64; better-auth reads both forms.
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let age = maximum_age.map_or(String::new(), |age| format!("; Max-Age={age}"));
        Zeroizing::new(format!("{}={token}.{signature}{age}{}", self.name, self.attributes()))
    }

    /// `set-cookie` header that deletes the cookie.
    #[must_use]
    pub fn expire(&self) -> String {
        format!("{}=; Max-Age=0{}", self.name, self.attributes())
    }

    fn attributes(&self) -> String {
        let domain = self.domain.as_ref().map_or(String::new(), |domain| format!("; Domain={domain}"));
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{domain}; Path=/; HttpOnly{secure}; SameSite=Lax")
    }

    /// Returns the token in a request's `cookie` headers, if its signature is valid.
    ///
    /// Two cookies of this name with different values are rejected: a sibling subdomain can plant one, and the browser
    /// decides their order.
    #[must_use]
    pub fn read<'a>(
        &self,
        headers: impl IntoIterator<Item = &'a str>,
        secret: &SessionSecret,
        now: Timestamp,
    ) -> Option<SessionToken> {
        let mut found: Option<&str> = None;
        for header in headers {
            if header.len() > MAXIMUM_HEADER_LENGTH {
                return None;
            }
            for pair in header.split(';') {
                let Some((name, value)) = pair.trim().split_once('=') else { continue };
                if name != self.name {
                    continue;
                }
                if found.is_some_and(|found| found != value) {
                    return None;
                }
                found = Some(value);
            }
        }
        let (token, signature) = found?.split_once('.')?;
        let signature = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let signature = BASE64_STANDARD.decode(signature).ok()?;
        secret.has_signed(token, &signature, now).then(|| SessionToken::parse(token)).flatten()
    }

    /// Whether a request has a session cookie, valid or not.
    #[must_use]
    pub fn is_in<'a>(&self, headers: impl IntoIterator<Item = &'a str>) -> bool {
        let mut pairs = headers.into_iter().flat_map(|header| header.split(';'));
        pairs.any(|pair| pair.trim().split_once('=').is_some_and(|(name, _)| name == self.name))
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    struct Counting;

    impl Randomness for Counting {
        fn fill(&self, destination: &mut [u8]) {
            for (byte, value) in destination.iter_mut().zip(0..) {
                *byte = value;
            }
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn secret(text: &str) -> SessionSecret {
        SessionSecret::new(&text.repeat(32)).unwrap()
    }

    fn pair(header: &str) -> &str {
        header.split(';').next().unwrap()
    }

    #[test]
    fn a_cookie_is_read_back_by_its_own_secret_alone() {
        let (cookie, token) = (SessionCookie::new(true, None), SessionToken::generate(&Counting));
        let header = cookie.issue(&token, &secret("a"), Some(604_800));
        assert!(header.ends_with("; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"), "{}", header.len());
        let read = |header: &str, secret: &SessionSecret| cookie.read([header], secret, NOW).map(|token| token.id());
        assert_eq!(read(pair(&header), &secret("a")), Some(token.id()));
        assert_eq!(read(&format!("a=b; {}; c", pair(&header)), &secret("a")), Some(token.id()));
        assert_eq!(read(pair(&header), &secret("b")), None);
        assert_eq!(SessionCookie::new(false, None).read([pair(&header)], &secret("a"), NOW).map(|_| ()), None);
    }

    #[test]
    fn a_changed_or_truncated_cookie_is_none() {
        let (cookie, token, secret) = (SessionCookie::new(false, None), SessionToken::generate(&Counting), secret("a"));
        let header = cookie.issue(&token, &secret, None);
        let whole = pair(&header);
        let value = whole.find('=').unwrap() + 1;
        for end in value..whole.len() {
            assert!(cookie.read([whole.get(..end).unwrap()], &secret, NOW).is_none(), "{end}");
        }
        for at in value..whole.len() {
            let mut changed = whole.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let read = cookie.read([changed.as_str()], &secret, NOW).map(|token| token.id());
            assert_eq!(read, None, "{at}");
        }
    }

    #[test]
    fn a_signed_value_that_is_no_token_is_none() {
        let (cookie, secret) = (SessionCookie::new(false, None), secret("a"));
        let is_read = |token: &str| {
            let header = cookie.issue(&SessionToken(token.into()), &secret, None);
            cookie.read([pair(&header)], &secret, NOW).is_some()
        };
        assert!(is_read(&"a".repeat(TOKEN_LENGTH)) && is_read(&format!("-_{}", "Z9".repeat(20) + "0")));
        assert!(!is_read(&"a".repeat(TOKEN_LENGTH - 1)) && !is_read(&"a".repeat(TOKEN_LENGTH + 1)));
        assert!(!is_read(&format!("{}+", "a".repeat(TOKEN_LENGTH - 1))));
    }

    #[test]
    fn a_header_of_16_kib_is_looked_into_and_a_longer_one_is_not() {
        let (cookie, secret) = (SessionCookie::new(false, None), secret("a"));
        let header = cookie.issue(&SessionToken::generate(&Counting), &secret, None);
        let of_length = |length: usize| {
            let ours = pair(&header);
            format!("{ours}; other={}", "x".repeat(length - ours.len() - "; other=".len()))
        };
        assert!(cookie.read([of_length(16 * 1024).as_str()], &secret, NOW).is_some());
        assert!(cookie.read([of_length(16 * 1024 + 1).as_str()], &secret, NOW).is_none());
    }

    #[test]
    fn neither_token_nor_secret_is_printed() {
        let printed = format!("{:?} {:?}", SessionToken::generate(&Counting), secret("a"));
        assert_eq!(printed, "SessionToken(..) SessionSecret(..)");
    }

    #[test]
    fn two_different_cookies_of_the_name_are_none() {
        let (cookie, secret) = (SessionCookie::new(false, None), secret("a"));
        let ours = cookie.issue(&SessionToken::generate(&Counting), &secret, None);
        let ours = pair(&ours);
        assert!(cookie.read([ours, ours], &secret, NOW).is_some());
        let planted = "better-auth.session_token=planted";
        for headers in [[ours, planted], [planted, ours]] {
            assert!(cookie.read(headers, &secret, NOW).is_none());
            assert!(cookie.read([headers.join("; ").as_str()], &secret, NOW).is_none());
        }
        assert!(cookie.is_in([planted]) && !cookie.is_in(["other=1"]));
    }

    #[test]
    fn the_previous_secret_counts_until_its_end() {
        let (cookie, token) = (SessionCookie::new(false, None), SessionToken::generate(&Counting));
        let header = cookie.issue(&token, &secret("old"), None);
        let end = NOW + 24.hours();
        let both = secret("new").with_previous(&"old".repeat(32), Some(end)).unwrap();
        assert!(cookie.read([pair(&header)], &both, end - 1.nanoseconds()).is_some());
        assert!(cookie.read([pair(&header)], &both, end).is_none());
        let same = secret("old").with_previous(&"old".repeat(32), None).unwrap();
        assert!(cookie.read([pair(&header)], &same, NOW).is_some(), "a rotation to the same value");
    }

    #[test]
    fn a_domain_shares_the_cookie_and_a_short_secret_is_refused() {
        let cookie = SessionCookie::new(true, Some("example.com".to_owned()));
        assert!(cookie.expire().contains("; Domain=example.com; "));
        assert!(SessionSecret::new(&"a".repeat(31)).is_err());
    }

    #[test]
    fn a_keyed_digest_depends_on_purpose_secret_and_each_part() {
        let digest = |secret: &SessionSecret, purpose, parts: &[&[u8]]| secret.keyed_digest(purpose, parts).to_hex();
        let all = [
            digest(&secret("a"), "otp", &[b"ab", b"c"]),
            digest(&secret("a"), "otp", &[b"a", b"bc"]),
            digest(&secret("a"), "link", &[b"ab", b"c"]),
            digest(&secret("b"), "otp", &[b"ab", b"c"]),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }
}
