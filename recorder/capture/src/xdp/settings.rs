//! What the program is told to look for.

use std::ops::RangeInclusive;

use abi::{Config, config_flags};

use super::XdpError;

/// Whose interface it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A mirror port: what is selected goes to AF_XDP sockets, the rest ends here.
    Span {
        /// Let the host's network stack have the rest.
        pass_rest: bool,
    },
    /// The host's own traffic too: everything goes on untouched, what is selected is copied.
    Shared {
        /// Size of the ring of copies; rounded up to a power of two.
        copies_bytes: u32,
    },
}

/// What to look for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose interface it is.
    pub mode: Mode,
    /// Ports (UDP and TCP, either end) whose packets are signalling whatever they look like.
    pub signalling_ports: Vec<RangeInclusive<u16>>,
    /// Also take what looks like SIP on other ports.
    pub sip_on_any_port: bool,
    /// Also take what looks like RTP or RTCP though nobody announced it.
    pub rtp_on_any_port: bool,
    /// UDP ports of VXLAN, at most four.
    pub vxlan_ports: Vec<u16>,
    /// UDP ports of Geneve, at most four.
    pub geneve_ports: Vec<u16>,
    /// Look up TCP destinations in the endpoint table, for connections learned to carry SIP.
    pub tcp_endpoints: bool,
    /// Equal addresses in different VLANs or tunnels are different endpoints.
    pub domains: bool,
    /// Room in the endpoint table. Each call needs two to four; one takes about 100 bytes.
    pub endpoints_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Span { pass_rest: false },
            signalling_ports: vec![5060..=5060],
            sip_on_any_port: true,
            rtp_on_any_port: true,
            vxlan_ports: vec![4789, 8472],
            geneve_ports: vec![6081],
            tcp_endpoints: false,
            domains: false,
            endpoints_max: abi::limits::ENDPOINTS_MAX,
        }
    }
}

impl Settings {
    /// The program's form of it.
    pub(super) fn config(&self) -> Result<Config, XdpError> {
        let mut config = Config::EMPTY;
        config.flags = self.flags();
        config.vxlan_ports = four(&self.vxlan_ports, "VXLAN ports")?;
        config.geneve_ports = four(&self.geneve_ports, "Geneve ports")?;
        for port in self.signalling_ports.iter().cloned().flatten() {
            if let Some(word) = config.signalling.get_mut(usize::from(port >> 6)) {
                *word |= 1 << (port & 63);
            }
        }
        Ok(config)
    }

    fn flags(&self) -> u64 {
        let chosen = [
            (self.mode == Mode::Span { pass_rest: true }, config_flags::PASS_REST),
            (self.sip_on_any_port, config_flags::SIP_ANY_PORT),
            (self.rtp_on_any_port, config_flags::RTP_ANY_PORT),
            (self.tcp_endpoints, config_flags::TCP_ENDPOINTS),
            (self.domains, config_flags::DOMAINS),
        ];
        let set = chosen.iter().filter(|(set, _)| *set).map(|(_, flag)| flag);
        set.fold(config_flags::READY, |flags, flag| flags | flag)
    }

    /// Room for the ring of copies. The map exists in either program, so in one that does not use it, it is
    /// as small as can be.
    pub(super) fn copies_bytes(&self) -> u32 {
        let Mode::Shared { copies_bytes } = self.mode else { return COPIES_BYTES_MIN };
        let bounded = copies_bytes.clamp(COPIES_BYTES_MIN, 1 << 30);
        bounded.checked_next_power_of_two().unwrap_or(COPIES_BYTES_MIN)
    }
}

/// A page: the least that the kernel makes a ring of, on every architecture with pages of up to 64 KiB.
const COPIES_BYTES_MIN: u32 = 65_536;

const _: () = {
    use abi::limits as kernel;
    use base::limits as user;
    assert!(
        kernel::VLAN_TAGS_MAX == user::VLAN_TAGS_MAX,
        "what the kernel refuses, nobody looks for"
    );
    assert!(kernel::IPV6_EXTENSIONS_MAX == user::IPV6_EXTENSIONS_MAX, "likewise");
};

fn four(ports: &[u16], what: &'static str) -> Result<[u16; 4], XdpError> {
    let mut four = [0; 4];
    if ports.len() > four.len() {
        return Err(XdpError::TooMany { what, max: four.len(), given: ports.len() });
    }
    four.iter_mut().zip(ports).for_each(|(place, port)| *place = *port);
    Ok(four)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_become_bits() {
        let settings = Settings {
            signalling_ports: vec![0..=0, 5060..=5062, 65_535..=65_535],
            ..Settings::default()
        };
        let config = settings.config().unwrap();
        let set: Vec<u16> = (0..=u16::MAX)
            .filter(|port| config.signalling[usize::from(port >> 6)] >> (port & 63) & 1 == 1)
            .collect();
        assert_eq!(set, [0, 5060, 5061, 5062, 65_535]);
        assert_eq!(config.vxlan_ports, [4789, 8472, 0, 0]);
    }

    #[test]
    fn a_fifth_tunnel_port_is_refused() {
        let settings = Settings { geneve_ports: vec![1, 2, 3, 4, 5], ..Settings::default() };
        let error = settings.config().unwrap_err().to_string();
        assert_eq!(error, "Geneve ports: at most 4 are possible, 5 are configured");
    }

    #[test]
    fn the_ring_of_copies_is_a_power_of_two() {
        let shared =
            |copies_bytes| Settings { mode: Mode::Shared { copies_bytes }, ..Settings::default() };
        assert_eq!(shared(0).copies_bytes(), 65_536);
        assert_eq!(shared(5_000_000).copies_bytes(), 8_388_608);
        assert_eq!(shared(u32::MAX).copies_bytes(), 1 << 30);
        assert_eq!(Settings::default().copies_bytes(), 65_536);
    }
}
