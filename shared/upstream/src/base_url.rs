//! Base URLs of upstream services.

use std::{fmt, net::IpAddr, str::FromStr};

use reqwest::Url;

/// An upstream's base URL: https, or http to this machine itself; its path ends with a slash.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Error of parsing a [`BaseUrl`]. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an https URL that ends with a slash (http is for 127.0.0.1 and [::1] alone)")]
pub struct InvalidBaseUrl;

impl BaseUrl {
    /// URL below the base with these segments, each percent-encoded.
    #[must_use]
    pub fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the host is this machine: an address of `127.0.0.0/8` or `::1`, or a name of localhost (RFC 6761 §6.3).
    /// A proxy would resolve it elsewhere, and would see http in the clear.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = host.strip_suffix('.').unwrap_or(host);
        address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
            || name == "localhost"
            || name.ends_with(".localhost")
    }

    /// URL of a method or path below the base.
    pub(crate) fn join(&self, path: &'static str) -> Url {
        self.0.join(path).unwrap_or_else(|_| unreachable!("our own paths are relative URLs"))
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let url = Url::parse(text).map_err(|_| InvalidBaseUrl)?;
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]")),
            _ => false,
        };
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if is_safe && is_bare && url.path().ends_with('/') { Ok(Self(url)) } else { Err(InvalidBaseUrl) }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BaseUrl").field(&self.0.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for good in ["https://slack.com/api/", "http://127.0.0.1:1/api/", "http://[::1]:1/"] {
            assert!(good.parse::<BaseUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://slack.com/api/",
            "https://slack.com/api",
            "https://user:password@slack.com/",
            "https://slack.com/?q=/",
            "ftp://slack.com/",
            "slack.com",
            "",
            "http://127.0.0.1.example.com/",
        ] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(InvalidBaseUrl), "{bad}");
        }
        for (url, is_loopback) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]/", true),
            ("https://127.255.0.9/", true),
            ("https://[::ffff:127.0.0.1]/", true),
            ("https://LOCALHOST:8443/", true),
            ("https://localhost./", true),
            ("https://pool.localhost/", true),
            ("https://2130706433/", true),
            ("https://128.0.0.1/", false),
            ("https://[::2]/", false),
            ("https://localhost.example.com/", false),
            ("https://notlocalhost/", false),
            ("https://127.0.0.1.example.com/", false),
        ] {
            assert_eq!(url.parse::<BaseUrl>().unwrap().is_loopback(), is_loopback, "{url}");
        }
        let base: BaseUrl = "https://slack.com/api/".parse().unwrap();
        assert_eq!(base.join("auth.test").as_str(), "https://slack.com/api/auth.test");
        assert_eq!(base.below(&["a/b", "..", "?"]).as_str(), "https://slack.com/api/a%2Fb/%3F");
    }
}
