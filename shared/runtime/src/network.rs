//! Where pools may live: what keeps a delivery from being sent to a metadata service or to ourselves.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// The networks in which a pool's address must lie (`POOL_CIDRS`).
#[derive(Clone, Debug)]
pub struct PoolNetworks {
    networks: Vec<IpNet>,
    allow_loopback: bool,
}

/// `POOL_CIDRS` is not a comma-separated list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a comma-separated list of networks such as 10.0.0.0/16")]
pub struct InvalidNetworks;

impl FromStr for PoolNetworks {
    type Err = InvalidNetworks;

    fn from_str(text: &str) -> Result<Self, InvalidNetworks> {
        let networks: Vec<IpNet> =
            text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map_err(|_| InvalidNetworks)?;
        Ok(Self { networks, allow_loopback: false })
    }
}

impl PoolNetworks {
    /// The same networks, where loopback addresses in them count: on a developer's machine, never on AWS.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        Self { allow_loopback: true, ..self }
    }

    /// Whether a pool may live at `address`.
    ///
    /// Loopback, link-local (the metadata service's 169.254.169.254 among them), multicast, unspecified, broadcast and
    /// IPv4-mapped addresses are out even where a network holds them.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        let never = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
        };
        let never = never || address.is_multicast() || address.is_unspecified();
        let loopback_is_out = address.is_loopback() && !self.allow_loopback;
        !never && !loopback_is_out && self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_inside_the_networks_is_allowed() {
        let networks: PoolNetworks = "10.0.0.0/16, fd00::/8".parse().unwrap();
        for (address, allowed) in [("10.0.3.4", true), ("10.1.0.1", false), ("fd00::1", true), ("8.8.8.8", false)] {
            assert_eq!(networks.allow(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn addresses_that_reach_the_machine_itself_are_out_wherever_the_networks_lie() {
        let everywhere: PoolNetworks = "0.0.0.0/0,::/0".parse().unwrap();
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(!everywhere.allow(address.parse().unwrap()), "{address}");
        }
        assert!(everywhere.clone().with_loopback().allow("127.0.0.1".parse().unwrap()));
        assert!(!everywhere.with_loopback().allow("169.254.169.254".parse().unwrap()));
    }

    #[test]
    fn a_list_that_is_not_of_networks_is_refused() {
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8,", "everywhere"] {
            assert_eq!(bad.parse::<PoolNetworks>().unwrap_err(), InvalidNetworks, "{bad:?}");
        }
    }
}
