//! What ethtool knows of an interface, by its netlink family (Documentation/networking/ethtool-netlink.rst;
//! Linux 5.7): features that can be switched, queues, descriptor rings, speed.

use std::io;

use super::generic::Family;
use super::netlink::{Writer, attributes, text, u32_at};
use super::{Link, NicError};

/// Numbers of `linux/ethtool_netlink.h`.
const LINKMODES_GET: u8 = 4;
const FEATURES_GET: u8 = 11;
const FEATURES_SET: u8 = 12;
const RINGS_GET: u8 = 15;
const CHANNELS_GET: u8 = 17;
/// Every request's first attribute, and within it.
const HEADER: u16 = 1;
const HEADER_DEV_INDEX: u16 = 1;
const LINKMODES_SPEED: u16 = 5;
const FEATURES_HW: u16 = 2;
const FEATURES_WANTED: u16 = 3;
const FEATURES_ACTIVE: u16 = 4;
const FEATURES_NOCHANGE: u16 = 5;
const BITSET_BITS: u16 = 3;
const BITSET_BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;
const RINGS_RX_MAX: u16 = 2;
const RINGS_RX: u16 = 6;
const CHANNELS_RX_MAX: u16 = 2;
const CHANNELS_COMBINED_MAX: u16 = 5;
const CHANNELS_RX: u16 = 6;
const CHANNELS_COMBINED: u16 = 9;
/// The kernel's word for a speed that it does not know.
const SPEED_UNKNOWN: u32 = u32::MAX;

/// Features that merge several packets into one before anybody sees them.
pub const MERGING: [&str; 5] =
    ["rx-gro", "rx-gro-hw", "rx-lro", "rx-gro-list", "rx-udp-gro-forwarding"];

/// The card takes VLAN tags out of the packets. An XDP program then never sees them.
pub const VLAN_STRIPPING: &str = "rx-vlan-hw-parse";

/// An interface's switchable features, by the kernel's names (`ethtool -k` shortens some of them).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Those in force.
    pub active: Vec<String>,
    /// Those that can be switched.
    pub changeable: Vec<String>,
}

impl Features {
    /// Whether this one is in force.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.active.iter().any(|it| it == name)
    }

    /// Whether this one is in force and can be switched off.
    #[must_use]
    pub fn can_go_off(&self, name: &str) -> bool {
        self.is_on(name) && self.changeable.iter().any(|it| it == name)
    }

    fn parse(answer: &[u8]) -> Self {
        let mut features = Self::default();
        let mut fixed = Vec::new();
        for (kind, value) in attributes(answer) {
            match kind {
                FEATURES_HW => features.changeable = names(value),
                FEATURES_ACTIVE => features.active = names(value),
                FEATURES_NOCHANGE => fixed = names(value),
                _ => {}
            }
        }
        features.changeable.retain(|name| !fixed.contains(name));
        features
    }
}

/// The names of the bits that are set.
fn names(bitset: &[u8]) -> Vec<String> {
    let bits = attributes(bitset).filter(|(kind, _)| *kind == BITSET_BITS);
    let bits = bits.flat_map(|(_, bits)| attributes(bits)).filter(|(kind, _)| *kind == BITSET_BIT);
    let name = |(_, bit)| attributes(bit).find(|(kind, _)| *kind == BIT_NAME).map(|it| text(it.1));
    bits.filter_map(name).collect()
}

/// How many of something there are, and could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// In use.
    pub now: u32,
    /// The most that the card can have.
    pub max: u32,
}

impl Amount {
    fn of_ring(answer: &[u8]) -> Option<Self> {
        let (now, max) = (number(answer, RINGS_RX)?, number(answer, RINGS_RX_MAX)?);
        Some(Self { now, max })
    }

    /// A card has queues for one direction or for both, rarely both kinds.
    fn of_channels(answer: &[u8]) -> Option<Self> {
        let now = match (number(answer, CHANNELS_RX), number(answer, CHANNELS_COMBINED)) {
            (None, None) => return None,
            (one, other) => one.unwrap_or(0).saturating_add(other.unwrap_or(0)),
        };
        let max = number(answer, CHANNELS_RX_MAX).max(number(answer, CHANNELS_COMBINED_MAX))?;
        Some(Self { now, max: max.max(now) })
    }
}

/// ethtool's family, for one interface.
#[derive(Debug)]
pub(super) struct Ethtool {
    family: Family,
    index: u32,
}

impl Ethtool {
    pub(super) fn open(link: &Link) -> io::Result<Self> {
        Ok(Self { family: Family::open("ethtool")?, index: link.index })
    }

    fn ask(&mut self, command: u8, more: Writer) -> io::Result<Vec<u8>> {
        let header = Writer::default().number(HEADER_DEV_INDEX, self.index);
        self.family.ask(command, Writer::default().nest(HEADER, header).append(more))
    }

    pub(super) fn features(&mut self) -> io::Result<Features> {
        Ok(Features::parse(&self.ask(FEATURES_GET, Writer::default())?))
    }

    /// Switches features by name.
    pub(super) fn switch(&mut self, names: &[String], on: bool) -> io::Result<()> {
        let bits = names.iter().fold(Writer::default(), |bits, name| {
            let bit = Writer::default().text(BIT_NAME, name);
            bits.nest(BITSET_BIT, if on { bit.attribute(BIT_VALUE, &[]) } else { bit })
        });
        let wanted = Writer::default().nest(BITSET_BITS, bits);
        self.ask(FEATURES_SET, Writer::default().nest(FEATURES_WANTED, wanted)).map(drop)
    }

    /// Receive descriptors of each queue.
    pub(super) fn ring(&mut self) -> io::Result<Option<Amount>> {
        Ok(Amount::of_ring(&self.ask(RINGS_GET, Writer::default())?))
    }

    /// Receive queues.
    pub(super) fn queues(&mut self) -> io::Result<Option<Amount>> {
        Ok(Amount::of_channels(&self.ask(CHANNELS_GET, Writer::default())?))
    }

    /// Megabits a second.
    pub(super) fn speed(&mut self) -> io::Result<Option<u32>> {
        let answer = self.ask(LINKMODES_GET, Writer::default())?;
        Ok(number(&answer, LINKMODES_SPEED).filter(|speed| *speed != SPEED_UNKNOWN && *speed != 0))
    }
}

fn number(answer: &[u8], kind: u16) -> Option<u32> {
    attributes(answer).find(|it| it.0 == kind).and_then(|(_, value)| u32_at(value, 0))
}

/// The features of an interface.
///
/// # Errors
/// What the kernel says; one older than 5.7 does not know the question.
pub fn features(link: &Link) -> Result<Features, NicError> {
    Ethtool::open(link)
        .and_then(|mut ethtool| ethtool.features())
        .map_err(|source| NicError::from_kernel(&link.name, "read the offloads", source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::netlink::tests::bytes;

    fn bitset(names: &[&str]) -> Writer {
        let bits = names.iter().enumerate().fold(Writer::default(), |bits, (index, name)| {
            let bit = Writer::default().number(1, index as u32).text(BIT_NAME, name);
            bits.nest(BITSET_BIT, bit)
        });
        Writer::default().attribute(1, &[]).number(2, 64).nest(BITSET_BITS, bits)
    }

    #[test]
    fn features_are_read_by_name() {
        let answer = Writer::default()
            .nest(FEATURES_HW, bitset(&["rx-gro", "rx-lro", "rx-fixed"]))
            .nest(FEATURES_ACTIVE, bitset(&["rx-gro", "rx-fixed", "rx-vlan-hw-parse"]))
            .nest(FEATURES_NOCHANGE, bitset(&["rx-fixed"]));
        let features = Features::parse(&bytes(answer));
        assert!(features.is_on("rx-gro") && features.can_go_off("rx-gro"));
        assert!(features.is_on("rx-fixed") && !features.can_go_off("rx-fixed"), "it cannot change");
        assert!(!features.is_on("rx-lro") && !features.can_go_off("rx-lro"), "it is off");
        assert!(features.is_on(VLAN_STRIPPING) && !features.can_go_off(VLAN_STRIPPING));
    }

    #[test]
    fn rings_and_queues_are_where_the_kernel_puts_them() {
        // As `linux/ethtool_netlink.h` numbers them: the header is 1.
        let header = || Writer::default().nest(HEADER, Writer::default().number(1, 7));
        let ring = header().number(2, 4_096).number(5, 2_048).number(6, 512).number(9, 256);
        assert_eq!(Amount::of_ring(&bytes(ring)), Some(Amount { now: 512, max: 4_096 }));
        let combined = header().number(2, 0).number(5, 16).number(6, 0).number(9, 4);
        assert_eq!(Amount::of_channels(&bytes(combined)), Some(Amount { now: 4, max: 16 }));
        let receive = header().number(2, 8).number(3, 8).number(6, 2).number(7, 2);
        assert_eq!(Amount::of_channels(&bytes(receive)), Some(Amount { now: 2, max: 8 }));
        assert_eq!(Amount::of_channels(&bytes(header())), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn the_loopback_interface_has_features() {
        let features = features(&Link::find("lo").unwrap()).unwrap();
        assert!(features.is_on("rx-gro"), "{features:?}");
    }
}
