//! Origins whose pages may use the session cookie, and validation of redirect targets.

use std::{collections::BTreeSet, str::FromStr};

use http::HeaderValue;
use url::{Origin, Url};

/// The text is not the origin of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an http or https URL without a path, such as https://app.example.com")]
pub struct InvalidOrigin;

/// Base URL of a web service: scheme, host and port alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseOrigin(Url);

impl BaseOrigin {
    /// Returns the URL, which ends with `/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns the origin in the form that browsers send: without a path and a default port.
    #[must_use]
    pub fn serialized(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns whether browsers reach the service over https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for BaseOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && matches!(url.origin(), Origin::Tuple(..));
        if is_bare && is_plain && is_web { Ok(Self(url)) } else { Err(InvalidOrigin) }
    }
}

/// Several origins, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginList(Vec<BaseOrigin>);

impl FromStr for OriginList {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        text.split(',').map(|origin| origin.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// Origins that are trusted with the session cookie: the API's own, the front end's (`WEB_URL`) and `TRUSTED_ORIGINS`.
#[derive(Clone, Debug)]
pub struct Origins {
    api: BaseOrigin,
    web: BaseOrigin,
    trusted: BTreeSet<String>,
}

impl Origins {
    /// Creates the set of the API's origin, the front end's and further ones.
    #[must_use]
    pub fn new(api: BaseOrigin, web: BaseOrigin, others: &OriginList) -> Self {
        let trusted = [&api, &web].into_iter().chain(&others.0).map(BaseOrigin::serialized).collect();
        Self { api, web, trusted }
    }

    /// Returns the API's base URL.
    #[must_use]
    pub fn api(&self) -> &BaseOrigin {
        &self.api
    }

    /// Returns the front end's base URL.
    #[must_use]
    pub fn web(&self) -> &BaseOrigin {
        &self.web
    }

    /// Returns whether an `origin` header names a trusted origin. The comparison is exact: a common prefix or suffix
    /// does not count.
    #[must_use]
    pub fn trusts(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.trusted.contains(origin))
    }

    /// Returns the target of a redirect: a path of the front end, or a URL of a trusted origin. The text is parsed as
    /// browsers parse it: `//evil.test` and `/\evil.test` are other hosts for them.
    #[must_use]
    pub fn redirect_target(&self, text: &str) -> Option<Url> {
        let url = self.web.0.join(text).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        (is_web && self.trusted.contains(&url.origin().ascii_serialization())).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let origin = |text: &str| text.parse().unwrap();
        Origins::new(
            origin("https://api.example.com"),
            origin("https://web.example.com"),
            &"https://other.example.com:8443, http://127.0.0.1:3000".parse().unwrap(),
        )
    }

    #[test]
    fn an_origin_is_trusted_only_where_it_is_exactly_one_of_those_named() {
        let is_trusted = |origin: &str| origins().trusts(&HeaderValue::from_str(origin).unwrap());
        for good in [
            "https://api.example.com",
            "https://web.example.com",
            "https://other.example.com:8443",
            "http://127.0.0.1:3000",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://web.example.com.evil.test",
            "https://web.example.com:444",
            "http://web.example.com",
            "https://WEB.example.com/",
            "https://evil.test",
            "https://web.example.com@evil.test",
            "https://example.com",
            "https://other.example.com",
            "https://web.example.com https://evil.test",
        ] {
            assert!(!is_trusted(bad), "{bad}");
        }
    }

    #[test]
    fn a_browser_is_sent_to_trusted_origins_alone() {
        let target = |text: &str| origins().redirect_target(text).map(String::from);
        assert_eq!(target("/workspace?x=1#y").as_deref(), Some("https://web.example.com/workspace?x=1#y"));
        assert_eq!(target("https://other.example.com:8443/a").as_deref(), Some("https://other.example.com:8443/a"));
        assert_eq!(target("").as_deref(), Some("https://web.example.com/"));
        for bad in [
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/\t/evil.test",
            "javascript:alert(1)",
            "https://evil.test",
            "https://web.example.com.evil.test",
            "https://web.example.com@evil.test",
            "https://a:b@web.example.com/",
            "data:text/html,x",
            "http://web.example.com/",
            "//evil.test\\@web.example.com",
        ] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_setting_that_is_no_origin_is_refused() {
        for wrong in
            ["", "web.example.com", "https://", "https://a.example.com/x", "ftp://a.example.com", "https://u@a.test"]
        {
            assert!(wrong.parse::<BaseOrigin>().is_err(), "{wrong}");
        }
        assert!("https://a.test,".parse::<OriginList>().is_err());
    }
}
