//! The cookie that binds an install to the browser that began it.

use http::{HeaderMap, HeaderValue, header::COOKIE};
use portcullis_crypto::{Digest, Randomness};
use portcullis_runtime::ApiError;
use portcullis_store::OAUTH_STATE_LIFETIME;
use secrecy::{ExposeSecret, SecretString};

/// Random bytes of the secret; it is written in hex.
const SECRET_BYTES: usize = 32;

/// Cookie of the installs that a browser has begun. All that are under way share one secret, so that two tabs do not end each
/// other's.
pub(super) struct BrowserCookie {
    is_secure: bool,
}

impl BrowserCookie {
    /// The cookie of an API that browsers reach over https, or not: the prefix `__Host-` needs https.
    pub(super) fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    fn name(&self) -> &'static str {
        if self.is_secure { "__Host-portcullis-install" } else { "portcullis-install" }
    }

    /// The secret that a request carries; `None` where it carries none, a malformed one, or two that differ.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<SecretString> {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut secrets = pairs.filter(|(name, _)| *name == self.name()).map(|(_, value)| value);
        let first = secrets.next()?;
        let is_one = secrets.all(|other| other == first);
        let is_secret = first.len() == 2 * SECRET_BYTES && first.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_one && is_secret).then(|| first.into())
    }

    /// A new secret.
    pub(super) fn new_secret(randomness: &dyn Randomness) -> SecretString {
        let mut bytes = [0; SECRET_BYTES];
        randomness.fill(&mut bytes);
        hex::encode(bytes).into()
    }

    /// The header that gives the browser its secret.
    pub(super) fn set(&self, secret: &SecretString) -> Result<HeaderValue, ApiError> {
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

/// The digest under which a browser's secret is kept with a state.
pub(super) fn digest(secret: &SecretString) -> Digest {
    Digest::of_parts(&[b"slack-install-browser", secret.expose_secret().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(is_secure: bool, cookies: &[&str]) -> Option<String> {
        let headers = cookies.iter().map(|cookie| (COOKIE, HeaderValue::from_str(cookie).unwrap()));
        let headers: HeaderMap = headers.collect();
        let secret = BrowserCookie::new(is_secure).read(&headers);
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
        let shown = |is_secure| BrowserCookie::new(is_secure).set(&secret).unwrap().to_str().unwrap().to_owned();
        let attributes = "Path=/; HttpOnly; SameSite=Lax; Max-Age=600";
        let secret = "a".repeat(64);
        assert_eq!(shown(true), format!("__Host-portcullis-install={secret}; {attributes}; Secure"));
        assert_eq!(shown(false), format!("portcullis-install={secret}; {attributes}"));
    }
}
