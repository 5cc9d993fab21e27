//! An interface as rtnetlink describes it.

use std::io;
use std::net::IpAddr;

use super::NicError;
use super::counters::Statistics;
use super::netlink::{Netlink, Writer, attributes, damaged, text, u32_at};
use crate::LinkType;

/// Numbers of `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h` and `linux/if.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 1 << 16;
/// `ifinfomsg` and `ifaddrmsg`: what comes before the attributes.
const IFINFOMSG_BYTES: usize = 16;
const IFADDRMSG_BYTES: usize = 8;

/// Numbers of `linux/if_arp.h`.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_NONE: u16 = 0xfffe;

/// An interface, as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number. One that is removed and made again has another.
    pub index: u32,
    /// Largest packet that it takes, without the Ethernet header.
    pub mtu: u32,
    /// What its frames begin with; `None` for hardware that is not captured from.
    pub link_type: Option<LinkType>,
    /// What kind of virtual interface it is (`veth`, `bridge`, `vlan`, ...), if it is one.
    pub kind: Option<String>,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether the cable is in and the other end is there.
    pub carrier: bool,
    /// How many have asked for promiscuous mode.
    pub promiscuity: u32,
    /// Receive queues that the driver made room for; those in use can be fewer.
    pub rx_queues: u32,
    /// The XDP program on it, if there is one.
    pub xdp: Option<AttachedXdp>,
    /// What it has counted.
    pub statistics: Statistics,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// Its number, as `bpftool prog show id` takes it; 0 if the kernel does not say.
    pub id: u32,
    /// How it is attached.
    pub mode: XdpMode,
}

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the network stack, after the driver.
    Generic,
    /// In the card.
    Hardware,
    /// Several at once.
    Several,
}

impl XdpMode {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
            Self::Several => "several",
        }
    }

    /// What `ip link set dev NAME ... off` calls it.
    #[must_use]
    pub const fn ip_word(self) -> &'static str {
        match self {
            Self::Native => "xdpdrv",
            Self::Generic => "xdpgeneric",
            Self::Hardware => "xdpoffload",
            Self::Several => "xdp",
        }
    }
}

impl Link {
    /// Looks an interface up in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NicError::NoInterface`], or what the kernel says.
    pub fn find(name: &str) -> Result<Self, NicError> {
        let found = Netlink::route().and_then(|mut netlink| Self::ask(&mut netlink, name));
        found.map_err(|source| NicError::from_kernel(name, "look up the interface", source))
    }

    /// The same by a socket that is open, in the namespace of that.
    pub(super) fn ask(netlink: &mut Netlink, name: &str) -> io::Result<Self> {
        // A name has at most 15 bytes; of longer ones the kernel would compare the beginning.
        if name.is_empty() || name.len() > 15 || name.contains('\0') {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let question = Writer::default().fixed(&[0; IFINFOMSG_BYTES]).text(IFLA_IFNAME, name);
        let answer = netlink.ask(RTM_GETLINK, &question)?;
        let link = answer.iter().find(|message| message.kind == RTM_NEWLINK);
        link.and_then(|message| Self::parse(&message.body)).ok_or_else(damaged)
    }

    /// From the body of an RTM_NEWLINK or RTM_DELLINK.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let flags = u32_at(body, 8)?;
        let mut link = Self {
            name: String::new(),
            index: u32_at(body, 4)?,
            mtu: 0,
            link_type: link_type(u32_at(body, 0)?),
            kind: None,
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            promiscuity: 0,
            rx_queues: 1,
            xdp: None,
            statistics: Statistics::default(),
        };
        for (kind, value) in attributes(body.get(IFINFOMSG_BYTES..)?) {
            match kind {
                IFLA_IFNAME => link.name = text(value),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_PROMISCUITY => link.promiscuity = u32_at(value, 0)?,
                IFLA_NUM_RX_QUEUES => link.rx_queues = u32_at(value, 0)?,
                IFLA_STATS64 => link.statistics = Statistics::parse(value),
                IFLA_LINKINFO => link.kind = kind_of(value),
                IFLA_XDP => link.xdp = xdp(value),
                _ => {}
            }
        }
        Some(link)
    }

    /// The IP addresses that the host has on this interface.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn addresses(&self) -> Result<Vec<IpAddr>, NicError> {
        let question = Writer::default().fixed(&[0; IFADDRMSG_BYTES]);
        let answer = Netlink::route().and_then(|mut netlink| netlink.dump(RTM_GETADDR, &question));
        let answer = answer
            .map_err(|source| NicError::from_kernel(&self.name, "list the addresses", source))?;
        let new = answer.iter().filter(|message| message.kind == RTM_NEWADDR);
        Ok(new.filter_map(|message| address(&message.body, self.index)).collect())
    }
}

/// The hardware type is the third and fourth byte of `ifinfomsg`.
fn link_type(family_and_type: u32) -> Option<LinkType> {
    let [_, _, low, high] = family_and_type.to_ne_bytes();
    match u16::from_ne_bytes([low, high]) {
        // The loopback interface puts an Ethernet header of zeros before its packets.
        ARPHRD_ETHER | ARPHRD_LOOPBACK => Some(LinkType::Ethernet),
        ARPHRD_NONE | ARPHRD_RAWIP => Some(LinkType::RawIp),
        _ => None,
    }
}

fn kind_of(nested: &[u8]) -> Option<String> {
    attributes(nested).find(|(kind, _)| *kind == IFLA_INFO_KIND).map(|(_, value)| text(value))
}

fn xdp(nested: &[u8]) -> Option<AttachedXdp> {
    let (mut id, mut driver_id, mut mode) = (0, 0, None);
    for (kind, value) in attributes(nested) {
        match kind {
            IFLA_XDP_ATTACHED => {
                mode = match value.first()? {
                    1 => Some(XdpMode::Native),
                    2 => Some(XdpMode::Generic),
                    3 => Some(XdpMode::Hardware),
                    4 => Some(XdpMode::Several),
                    _ => None,
                }
            }
            IFLA_XDP_PROG_ID => id = u32_at(value, 0)?,
            IFLA_XDP_DRV_PROG_ID => driver_id = u32_at(value, 0)?,
            _ => {}
        }
    }
    let mode = mode?;
    // Of several, the native one is in the way.
    Some(AttachedXdp { id: if mode == XdpMode::Several { driver_id } else { id }, mode })
}

/// The address of an RTM_NEWADDR, if it is of that interface.
fn address(body: &[u8], index: u32) -> Option<IpAddr> {
    if u32_at(body, 4)? != index {
        return None;
    }
    let mut found = None;
    for (kind, value) in attributes(body.get(IFADDRMSG_BYTES..)?) {
        let address = match (value.first_chunk::<16>(), value.first_chunk::<4>()) {
            (Some(v6), _) => IpAddr::from(*v6),
            (None, Some(v4)) => IpAddr::from(*v4),
            (None, None) => continue,
        };
        // On a point-to-point link IFA_ADDRESS is the other end's, and IFA_LOCAL this one's.
        if kind == IFA_LOCAL || (kind == IFA_ADDRESS && found.is_none()) {
            found = Some(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nic::netlink::tests::bytes;

    fn body(attributes: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
        let mut fixed = vec![0, 0];
        fixed.extend(ARPHRD_ETHER.to_ne_bytes());
        fixed.extend(7_u32.to_ne_bytes());
        fixed.extend((IFF_UP | IFF_LOWER_UP).to_ne_bytes());
        fixed.extend([0; 4]);
        bytes(attributes(Writer::default().fixed(&fixed)))
    }

    fn whole() -> Vec<u8> {
        let program =
            Writer::default().attribute(IFLA_XDP_ATTACHED, &[1]).number(IFLA_XDP_PROG_ID, 9);
        body(|writer| {
            writer
                .text(IFLA_IFNAME, "span0")
                .number(IFLA_MTU, 1_500)
                .number(IFLA_PROMISCUITY, 2)
                .number(IFLA_NUM_RX_QUEUES, 4)
                .nest(IFLA_LINKINFO, Writer::default().text(IFLA_INFO_KIND, "veth"))
                .attribute(IFLA_STATS64, &3_u64.to_ne_bytes())
                .nest(IFLA_XDP, program)
        })
    }

    #[test]
    fn a_description_is_read() {
        let expected = Link {
            name: "span0".into(),
            index: 7,
            mtu: 1_500,
            link_type: Some(LinkType::Ethernet),
            kind: Some("veth".into()),
            up: true,
            carrier: true,
            promiscuity: 2,
            rx_queues: 4,
            xdp: Some(AttachedXdp { id: 9, mode: XdpMode::Native }),
            statistics: Statistics::parse(&3_u64.to_ne_bytes()),
        };
        assert_eq!(Link::parse(&whole()), Some(expected));
    }

    #[test]
    fn without_a_program_there_is_none_and_of_several_the_native_counts() {
        let none = Writer::default().attribute(IFLA_XDP_ATTACHED, &[0]);
        assert_eq!(Link::parse(&body(|it| it.nest(IFLA_XDP, none))).unwrap().xdp, None);
        let several = Writer::default()
            .attribute(IFLA_XDP_ATTACHED, &[4])
            .number(IFLA_XDP_DRV_PROG_ID, 3)
            .number(IFLA_XDP_PROG_ID, 0);
        let link = Link::parse(&body(|it| it.nest(IFLA_XDP, several))).unwrap();
        assert_eq!(link.xdp, Some(AttachedXdp { id: 3, mode: XdpMode::Several }));
    }

    #[test]
    fn an_address_of_this_interface_is_its_own_end() {
        let message = |index: u32| {
            let writer = Writer::default().fixed(&[0; 4]).fixed(&index.to_ne_bytes());
            let writer = writer.attribute(IFA_ADDRESS, &[192, 0, 2, 2]);
            bytes(writer.attribute(IFA_LOCAL, &[192, 0, 2, 1]))
        };
        assert_eq!(address(&message(7), 7), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(address(&message(8), 7), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_loopback_interface_is_found_and_nonsense_is_not() {
        let loopback = Link::find("lo").unwrap();
        assert_eq!((loopback.name.as_str(), loopback.index), ("lo", 1));
        assert_eq!(loopback.link_type, Some(LinkType::Ethernet));
        for name in ["", "no-such-if", "a-name-that-is-too-long", "l\0o"] {
            let error = Link::find(name).unwrap_err();
            assert!(matches!(error, NicError::NoInterface { .. }), "{name:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn cut_and_altered_descriptions_do_not_panic(cut in 0..200_usize, at in 0..200_usize, to: u8) {
            let mut bytes = whole();
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = Link::parse(&bytes);
            let _ = address(&bytes, 7);
        }
    }
}
