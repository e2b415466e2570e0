//! Networks of the pools: prevents deliveries to a metadata service or to this system itself (SSRF).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Lowest port of a pool. Lower ports belong to system services.
const LOWEST_PORT: u16 = 1024;

/// Networks in which a pool never lies, whatever `POOL_CIDRS` contains.
///
/// Source: IANA's special-purpose address registries of both families.
const NEVER_V4: [Ipv4Net; 3] = [
    // "This network", whose addresses stand for the machine itself.
    v4([0, 0, 0, 0], 8),
    // Link-local, with AWS's metadata services at 169.254.169.254 and 169.254.170.2.
    v4([169, 254, 0, 0], 16),
    // Reserved, and the broadcast address.
    v4([240, 0, 0, 0], 4),
];

const NEVER_V6: [Ipv6Net; 8] = [
    // Encodings of IPv4 addresses, which would bypass the IPv4 rules: compatible, mapped, translated, NAT64's two,
    // Teredo and 6to4.
    v6(0, 96),
    v6(0xffff << 32, 96),
    v6(0xffff << 48, 96),
    v6(0x0064_ff9b << 96, 96),
    v6(0x0064_ff9b_0001 << 80, 48),
    v6(0x2001_0000 << 96, 32),
    v6(0x2002 << 112, 16),
    // AWS's services of an instance: metadata, DNS and time.
    v6(0xfd00_0ec2 << 96, 32),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(address: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(address), length)
}

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
    /// Permits loopback addresses in these networks: on a developer's machine, never on AWS.
    #[must_use]
    pub fn with_loopback(self) -> Self {
        Self { allow_loopback: true, ..self }
    }

    /// Returns whether a pool may have `address`: in one of the networks, on a port from 1024 on.
    ///
    /// Loopback, link-local (AWS's metadata services of both families included), multicast and reserved addresses and
    /// IPv6 encodings of IPv4 addresses are refused even inside one of the networks.
    #[must_use]
    pub fn allow(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let never = match ip {
            _ if ip.is_loopback() => !self.allow_loopback,
            IpAddr::V4(v4) => NEVER_V4.iter().any(|network| network.contains(&v4)),
            IpAddr::V6(v6) => v6.is_unicast_link_local() || NEVER_V6.iter().any(|network| network.contains(&v6)),
        };
        let is_out = never || ip.is_multicast() || address.port() < LOWEST_PORT;
        !is_out && self.networks.iter().any(|network| network.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 18789)
    }

    #[test]
    fn only_an_address_inside_the_networks_is_allowed() {
        let networks: PoolNetworks = "10.0.0.0/16, fd00::/8".parse().unwrap();
        for (address, allowed) in [("10.0.3.4", true), ("10.1.0.1", false), ("fd00::1", true), ("8.8.8.8", false)] {
            assert_eq!(networks.allow(at(address)), allowed, "{address}");
        }
    }

    #[test]
    fn a_pool_listens_on_a_port_from_1024_on() {
        let networks: PoolNetworks = "10.0.0.0/16".parse().unwrap();
        for (port, allowed) in [(1, false), (22, false), (80, false), (1023, false), (1024, true), (65535, true)] {
            assert_eq!(networks.allow(SocketAddr::new("10.0.3.4".parse().unwrap(), port)), allowed, "{port}");
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
            "0.1.2.3",
            "169.254.170.2",
            "240.0.0.1",
            "::10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a9fe:a9fe",
            "2001::1",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd00:ec2::253",
            "fd00:ec2::23",
            "fd00:ec2:ffff::1",
        ] {
            assert!(!everywhere.allow(at(address)), "{address}");
        }
        for address in ["10.0.0.1", "172.31.0.1", "2001:db8::1", "2600:1f18::1", "fd00:ec1::1", "fd00:ec3::1"] {
            assert!(everywhere.allow(at(address)), "{address}");
        }
        let with_loopback = everywhere.with_loopback();
        assert!(with_loopback.allow(at("127.0.0.1")) && with_loopback.allow(at("::1")));
        assert!(!with_loopback.allow(at("169.254.169.254")) && !with_loopback.allow(at("::2")));
    }

    #[test]
    fn a_list_that_is_not_of_networks_is_refused() {
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8,", "everywhere"] {
            assert_eq!(bad.parse::<PoolNetworks>().unwrap_err(), InvalidNetworks, "{bad:?}");
        }
    }
}
