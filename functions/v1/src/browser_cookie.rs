//! Cookies that bind an install or a connection of an account to the browser that began it (protection against CSRF).

use http::{HeaderMap, HeaderValue, header::COOKIE};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::ApiError;
use portcullis_store::OAUTH_STATE_LIFETIME;
use secrecy::{ExposeSecret, SecretString};

/// Length of a cookie's secret in bytes, before hex encoding.
const SECRET_BYTES: usize = 32;

/// Kind of flow that a browser begins.
#[derive(Clone, Copy)]
pub(crate) enum Begun {
    /// Installs of the Slack app.
    Installs,
    /// Connections of accounts.
    Connections,
}

/// Cookie of the flows that a browser has begun. Concurrent flows of one kind share a secret, so that two tabs do not
/// invalidate each other.
pub(crate) struct BrowserCookie {
    is_secure: bool,
    begun: Begun,
}

impl BrowserCookie {
    /// Creates the cookie; `is_secure` tells whether browsers reach the API over https, which the prefix `__Host-`
    /// needs.
    pub(crate) fn new(is_secure: bool, begun: Begun) -> Self {
        Self { is_secure, begun }
    }

    fn name(&self) -> &'static str {
        match (self.begun, self.is_secure) {
            (Begun::Installs, true) => "__Host-portcullis-install",
            (Begun::Installs, false) => "portcullis-install",
            (Begun::Connections, true) => "__Host-portcullis-connect",
            (Begun::Connections, false) => "portcullis-connect",
        }
    }

    /// Returns the digest under which a browser's secret is stored.
    pub(crate) fn digest(&self, secret: &SecretString) -> Digest {
        let label: &[u8] = match self.begun {
            Begun::Installs => b"slack-install-browser",
            Begun::Connections => b"connection-browser",
        };
        Digest::of_parts(&[label, secret.expose_secret().as_bytes()])
    }

    /// Returns the secret of a request's cookie, or else a new one.
    pub(crate) fn read_or_new(&self, headers: &HeaderMap, randomness: &dyn Randomness) -> SecretString {
        self.read(headers).unwrap_or_else(|| Self::new_secret(randomness))
    }

    /// Returns the secret of a request's cookie; `None` if it is absent or malformed, or if two cookies differ.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Option<SecretString> {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut secrets = pairs.filter(|(name, _)| *name == self.name()).map(|(_, value)| value);
        let first = secrets.next()?;
        let is_one = secrets.all(|other| other == first);
        let is_secret = first.len() == 2 * SECRET_BYTES && first.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_one && is_secret).then(|| first.into())
    }

    /// Generates a secret.
    fn new_secret(randomness: &dyn Randomness) -> SecretString {
        let mut bytes = [0; SECRET_BYTES];
        randomness.fill(&mut bytes);
        hex::encode(bytes).into()
    }

    /// Returns the `set-cookie` value that gives the browser its secret.
    pub(crate) fn set(&self, secret: &SecretString) -> Result<HeaderValue, ApiError> {
        let (name, life) = (self.name(), OAUTH_STATE_LIFETIME.as_secs());
        let secure = if self.is_secure { "; Secure" } else { "" };
        let cookie =
            format!("{name}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}", secret.expose_secret());
        let mut value =
            HeaderValue::try_from(cookie).map_err(|_| ApiError::internal("the cookie is no header's value"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(is_secure: bool, cookies: &[&str]) -> Option<String> {
        let headers = cookies.iter().map(|cookie| (COOKIE, HeaderValue::from_str(cookie).unwrap()));
        let headers: HeaderMap = headers.collect();
        let secret = BrowserCookie::new(is_secure, Begun::Installs).read(&headers);
        secret.map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_secret_is_read_from_the_one_cookie_of_its_name() {
        let (secret, other) = ("a".repeat(64), "b".repeat(64));
        let secure = format!("x=1; __Host-portcullis-install={secret}; y=2");
        assert_eq!(read(true, &[&secure]), Some(secret.clone()));
        assert_eq!(read(false, &[&secure]), None);
        let plain = format!("portcullis-install={secret}");
        assert_eq!(read(false, &[&plain]), Some(secret));
        assert_eq!(read(true, &[&plain]), None, "anybody on the way could have set it");
        assert_eq!(read(false, &[&plain, &format!("portcullis-install={other}")]), None);
        for bad in ["", "portcullis-install=", "portcullis-install=aa", "portcullis-install"] {
            assert_eq!(read(false, &[bad]), None, "{bad}");
        }
        assert_eq!(read(false, &[&format!("portcullis-install={}", "g".repeat(64))]), None);
    }

    #[test]
    fn the_cookie_over_https_is_of_this_host_alone() {
        let secret = SecretString::from("a".repeat(64));
        let shown = |is_secure| {
            BrowserCookie::new(is_secure, Begun::Installs).set(&secret).unwrap().to_str().unwrap().to_owned()
        };
        let attributes = "Path=/; HttpOnly; SameSite=Lax; Max-Age=600";
        let secret = "a".repeat(64);
        assert_eq!(shown(true), format!("__Host-portcullis-install={secret}; {attributes}; Secure"));
        assert_eq!(shown(false), format!("portcullis-install={secret}; {attributes}"));
    }
}
