//! Addresses, flows and what keeps equal ones apart.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address and port. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), so that the
/// type is 18 bytes without a discriminant and hashes as one block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Endpoint {
    address: [u8; 16],
    port: u16,
}

impl Endpoint {
    /// From an address and a port.
    #[must_use]
    pub fn new(ip: IpAddr, port: u16) -> Self {
        let address = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { address, port }
    }

    /// From the four bytes of an IPv4 header field.
    #[must_use]
    #[inline]
    pub const fn v4(address: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = address;
        Self { address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d], port }
    }

    /// From the sixteen bytes of an IPv6 header field, or the stored form of either family.
    #[must_use]
    #[inline]
    pub const fn v6(address: [u8; 16], port: u16) -> Self {
        Self { address, port }
    }

    /// The address; IPv4-mapped ones as IPv4.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.address).to_canonical()
    }

    /// The IPv4 address, if it is one.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        Ipv6Addr::from(self.address).to_ipv4_mapped()
    }

    /// The sixteen bytes as stored.
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        self.address
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { address: self.address, port }
    }
}

/// `192.0.2.1:5060`, `[2001:db8::1]:5060`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.ip(), self.port).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Endpoint {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: std::net::SocketAddr = text.parse()?;
        Ok(Self::new(address.ip(), address.port()))
    }
}

impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The capture domain: what keeps equal addresses in different VLANs or tunnels apart.
///
/// Zero is untagged traffic. The value depends only on the tags seen (not on arrival order), so it means
/// the same in every run and after a crash: bits 0..12 the innermost VLAN id, 12..24 the next one out,
/// 32..64 a hash of the tunnel's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(pub u64);

impl Domain {
    /// Traffic without tags.
    pub const UNTAGGED: Self = Self(0);

    /// One VLAN tag further in.
    #[must_use]
    pub const fn within_vlan(self, vlan_id: u16) -> Self {
        Self((self.0 & !0xff_ffff) | ((self.0 & 0xfff) << 12) | (vlan_id as u64 & 0xfff))
    }
}

/// One direction of UDP or TCP between two endpoints in a capture domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowKey {
    /// Which VLAN or tunnel.
    pub domain: Domain,
    /// Who sends.
    pub source: Endpoint,
    /// Who receives.
    pub destination: Endpoint,
}

impl FlowKey {
    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { domain: self.domain, source: self.destination, destination: self.source }
    }
}

/// What carried a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 768.
    Udp,
    /// RFC 9293.
    Tcp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_print_and_parse() {
        for text in ["192.0.2.1:5060", "[2001:db8::1]:5060"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        assert_eq!(Endpoint::v4([192, 0, 2, 1], 7), "192.0.2.1:7".parse().unwrap());
    }

    #[test]
    fn vlans_nest_and_differ() {
        let outer_then_inner = Domain::UNTAGGED.within_vlan(100).within_vlan(7);
        assert_ne!(outer_then_inner, Domain::UNTAGGED.within_vlan(7));
        assert_ne!(outer_then_inner, Domain::UNTAGGED.within_vlan(7).within_vlan(100));
    }
}
