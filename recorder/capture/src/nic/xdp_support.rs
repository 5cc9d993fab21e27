//! What an interface's driver can do for XDP, without trying it: attaching a program resets many a card.
//!
//! Linux 6.3 and later say so themselves (netlink family `netdev`); before that it is told by the driver's
//! name. Both say what the driver has, not that every setting of the card goes with it.

use std::io;

use super::Link;
use super::generic::Family;
use super::netlink::{Writer, attributes, u32_at, unsigned};

/// Numbers of `linux/netdev.h`.
const DEV_GET: u8 = 1;
const DEV_IFINDEX: u16 = 1;
const DEV_XDP_FEATURES: u16 = 3;
const ACT_BASIC: u64 = 1;
const ACT_REDIRECT: u64 = 2;
const ACT_XSK_ZEROCOPY: u64 = 8;
const ACT_RX_SG: u64 = 32;

/// What a driver can do for XDP. `None` where neither the kernel nor the driver's name tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpSupport {
    /// Runs programs itself and can redirect: what capturing by AF_XDP needs.
    pub native: Option<bool>,
    /// Receives into an AF_XDP socket's memory.
    pub zero_copy: Option<bool>,
    /// Gives frames larger than a page, in several buffers.
    pub multi_buffer: Option<bool>,
    /// Whether the kernel said so; else it is told by the driver's name.
    pub from_kernel: bool,
}

/// Drivers with native XDP in Linux 6.1, the oldest kernel that is tested, by their names for ethtool.
const NATIVE: [&str; 30] = [
    "atlantic",
    "bnxt_en",
    "bonding",
    "cpsw",
    "ena",
    "fsl_dpa",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "hv_netvsc",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mana",
    "mlx4_en",
    "mlx5_core",
    "mtk_eth_soc",
    "mvneta",
    "mvpp2",
    "nfp",
    "qede",
    "rvu-nicpf",
    "sfc",
    "st_gmac",
    "st_xgmac",
    "tun",
    "veth",
    "virtio_net",
];

/// Of these, those that could receive without copying then.
const ZERO_COPY: [&str; 8] =
    ["i40e", "ice", "igc", "ixgbe", "mlx5_core", "nfp", "st_gmac", "st_xgmac"];

impl XdpSupport {
    /// Of an interface with this driver (empty if that is not known).
    #[must_use]
    pub fn of(link: &Link, driver: &str) -> Self {
        match ask(link) {
            Ok(Some(features)) => Self::by_features(features),
            _ => Self::by_driver(driver),
        }
    }

    fn by_features(features: u64) -> Self {
        let needed = ACT_BASIC | ACT_REDIRECT;
        Self {
            native: Some(features & needed == needed),
            zero_copy: Some(features & ACT_XSK_ZEROCOPY != 0),
            multi_buffer: Some(features & ACT_RX_SG != 0),
            from_kernel: true,
        }
    }

    fn by_driver(driver: &str) -> Self {
        let native = NATIVE.contains(&driver);
        let zero_copy = ZERO_COPY.contains(&driver);
        // A driver that is not listed may be new, or not part of the kernel.
        Self {
            native: native.then_some(true),
            zero_copy: native.then_some(zero_copy),
            multi_buffer: None,
            from_kernel: false,
        }
    }
}

fn ask(link: &Link) -> io::Result<Option<u64>> {
    let question = Writer::default().number(DEV_IFINDEX, link.index);
    let answer = Family::open("netdev")?.ask(DEV_GET, question)?;
    Ok(parse(&answer, link.index))
}

fn parse(answer: &[u8], index: u32) -> Option<u64> {
    let find =
        |wanted| attributes(answer).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let same = find(DEV_IFINDEX).and_then(|value| u32_at(value, 0)) == Some(index);
    find(DEV_XDP_FEATURES).and_then(unsigned).filter(|_| same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::netlink::tests::bytes;

    #[test]
    fn the_kernels_bits_are_read() {
        let answer = |features: u64| {
            let writer = Writer::default().number(DEV_IFINDEX, 7);
            bytes(writer.attribute(DEV_XDP_FEATURES, &features.to_ne_bytes()))
        };
        assert_eq!(parse(&answer(0x6f), 7), Some(0x6f));
        assert_eq!(parse(&answer(0x6f), 8), None, "another interface's");
        let all = XdpSupport::by_features(0x7f);
        assert_eq!(
            (all.native, all.zero_copy, all.multi_buffer),
            (Some(true), Some(true), Some(true))
        );
        let none = XdpSupport::by_features(0);
        assert_eq!((none.native, none.zero_copy), (Some(false), Some(false)));
        let no_redirect = XdpSupport::by_features(ACT_BASIC);
        assert_eq!(no_redirect.native, Some(false), "AF_XDP works by redirecting");
    }

    #[test]
    fn an_older_kernel_is_judged_by_the_driver() {
        let ice = XdpSupport::by_driver("ice");
        assert_eq!((ice.native, ice.zero_copy), (Some(true), Some(true)));
        let ena = XdpSupport::by_driver("ena");
        assert_eq!((ena.native, ena.zero_copy), (Some(true), Some(false)));
        assert_eq!(XdpSupport::by_driver("e1000e"), XdpSupport::default());
        assert!(ZERO_COPY.iter().all(|driver| NATIVE.contains(driver)));
    }
}
