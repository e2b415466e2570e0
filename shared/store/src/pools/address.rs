//! Addresses of pools' gateways.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::Deserialize;

/// Default port of a pool's gateway.
pub const DEFAULT_PORT: u16 = 18789;

/// An IP address and a port. The caller decides whether a pool may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, utoipa::ToSchema)]
#[schema(value_type = String, example = "10.0.3.7:18789")]
#[serde(try_from = "String")]
pub struct PoolAddress(SocketAddr);

/// Error: not an address. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an IP address, with a port after it or without")]
pub struct InvalidPoolAddress;

impl PoolAddress {
    /// IP address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// Port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// Same machine at another port, which must not be 0.
    #[must_use]
    pub fn at_port(self, port: u16) -> Self {
        Self(SocketAddr::new(self.0.ip(), port))
    }

    /// Socket address to connect to.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for PoolAddress {
    type Err = InvalidPoolAddress;

    /// Parses `ip`, `ip:port` and, for IPv6, `[ip]:port`.
    fn from_str(text: &str) -> Result<Self, InvalidPoolAddress> {
        let address = match text.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, DEFAULT_PORT),
            Err(_) => text.parse().map_err(|_| InvalidPoolAddress)?,
        };
        // A zone is valid on one machine only, and nothing listens on port 0.
        let has_zone = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
        if has_zone || address.port() == 0 { Err(InvalidPoolAddress) } else { Ok(Self(address)) }
    }
}

impl TryFrom<String> for PoolAddress {
    type Error = InvalidPoolAddress;

    fn try_from(text: String) -> Result<Self, InvalidPoolAddress> {
        text.parse()
    }
}

impl fmt::Display for PoolAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_a_port_and_written_with_one() {
        for (text, written) in [
            ("10.0.3.7", "10.0.3.7:18789"),
            ("10.0.3.7:8080", "10.0.3.7:8080"),
            ("fd00::7", "[fd00::7]:18789"),
            ("[fd00::7]:8080", "[fd00::7]:8080"),
        ] {
            let address: PoolAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(written.parse(), Ok(address));
        }
    }

    #[test]
    fn text_that_is_not_an_address_is_refused() {
        for text in [
            "",
            "pool.internal",
            "10.0.3",
            "10.0.3.7:",
            "10.0.3.7:0",
            "10.0.3.7:65536",
            "10.0.3.7/8",
            "[::1]",
            "[fe80::1%3]:80",
            " 10.0.3.7",
            "0x0a000307",
            "010.0.3.7",
        ] {
            assert_eq!(text.parse::<PoolAddress>(), Err(InvalidPoolAddress), "{text}");
        }
    }
}
