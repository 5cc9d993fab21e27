//! What is known of a network interface, and what is set on it for the time of a capture.
//!
//! In: an interface's name. Out: a [`Link`] (number, MTU, state, counts, XDP program), what its card and driver
//! can do ([`Nic`]), its counts by name for the ledger ([`Statistics`]), news of it going and coming
//! ([`LinkWatch`]), and three guards: [`Promiscuous`], [`OffloadsOff`] and [`NearMemory`].
//!
//! All of it is asked by netlink and ioctl, in the network namespace of the calling thread. Only the memory
//! node comes from `/sys`, which shows the namespace that it was mounted in, and is checked for that.
//!
//! Invariants:
//! - Looking changes nothing: no question that is asked here resets a card or loses a packet.
//! - An interface is given back as it was found, also by a process that is killed: promiscuous mode by the kernel,
//!   offloads by whoever comes next.
//!
//! Unsafe code is in `ioctl`, `kernel`, `near_memory` and `packet_option` only.

mod counters;
mod error;
mod ethtool;
mod generic;
mod ioctl;
mod kernel;
mod link;
mod near_memory;
mod netlink;
mod offloads;
pub(crate) mod packet_option;
mod promiscuous;
mod watch;
mod xdp_support;

pub use counters::{Counter, Statistics};
pub use error::NicError;
pub use ethtool::{Amount, Features, MERGING, VLAN_STRIPPING, features};
pub use ioctl::{Driver, Rss};
pub use kernel::{Availability, ClockQuality, Steering, clock_quality, xdp_programs, xdp_sockets};
pub use link::{AttachedXdp, Link, XdpMode};
pub use near_memory::NearMemory;
pub use offloads::OffloadsOff;
pub use promiscuous::Promiscuous;
pub use watch::{LinkState, LinkWatch};
pub use xdp_support::XdpSupport;

use std::path::Path;

use ethtool::Ethtool;
use ioctl::Ioctl;

/// Flow types and hashed fields of `linux/ethtool.h`.
const UDP_V4_FLOW: u32 = 2;
const UDP_V6_FLOW: u32 = 6;
const RXH_PORTS: u64 = 0b11 << 6;

/// What a card and its driver are and can do. What is `None` could not be asked, or does not exist there.
#[derive(Clone, Debug)]
pub struct Nic {
    /// The interface.
    pub link: Link,
    /// Which driver.
    pub driver: Option<Driver>,
    /// What can be switched.
    pub features: Option<Features>,
    /// Receive queues.
    pub queues: Option<Amount>,
    /// Receive descriptors of each queue.
    pub ring: Option<Amount>,
    /// How packets are spread over the queues.
    pub rss: Option<Rss>,
    /// Whether the ports of UDP packets are hashed, for IPv4 and for IPv6. Without, all calls between two
    /// hosts are in one queue.
    pub udp_ports_hashed: [Option<bool>; 2],
    /// Megabits a second.
    pub speed_megabits: Option<u32>,
    /// The memory node that the card is attached to.
    pub numa_node: Option<u32>,
    /// What it can do for XDP.
    pub xdp: XdpSupport,
}

impl Nic {
    /// Looks at an interface.
    ///
    /// # Errors
    /// [`NicError::NoInterface`], or what the kernel says of the interface itself.
    pub fn find(name: &str) -> Result<Self, NicError> {
        let link = Link::find(name)?;
        let ioctl = Ioctl::open(name).ok();
        let mut ethtool = Ethtool::open(&link).ok();
        let driver = ioctl.as_ref().and_then(|it| it.driver().ok());
        let hashed = |flow_type| {
            let fields = ioctl.as_ref().and_then(|it| it.hashed_fields(flow_type).ok());
            fields.filter(|fields| *fields != 0).map(|fields| fields & RXH_PORTS == RXH_PORTS)
        };
        Ok(Self {
            features: ethtool.as_mut().and_then(|it| it.features().ok()),
            queues: ethtool.as_mut().and_then(|it| it.queues().ok().flatten()),
            ring: ethtool.as_mut().and_then(|it| it.ring().ok().flatten()),
            rss: ioctl
                .as_ref()
                .and_then(|it| it.rss().ok())
                .filter(|it| !it.indirection.is_empty()),
            udp_ports_hashed: [hashed(UDP_V4_FLOW), hashed(UDP_V6_FLOW)],
            speed_megabits: ethtool.as_mut().and_then(|it| it.speed().ok().flatten()),
            numa_node: numa_node(&link),
            xdp: XdpSupport::of(&link, driver.as_ref().map_or("", |driver| &driver.name)),
            driver,
            link,
        })
    }

    /// Receive queues in use, as far as is known.
    #[must_use]
    pub fn queues_in_use(&self) -> u32 {
        self.queues.map_or(self.link.rx_queues, |queues| queues.now).max(1)
    }
}

/// Where the card's memory is near. A machine with one node says -1, or nothing.
fn numa_node(link: &Link) -> Option<u32> {
    let folder = Path::new("/sys/class/net").join(&link.name);
    let read = |file| std::fs::read_to_string(folder.join(file)).ok()?.trim().parse::<i64>().ok();
    if read("ifindex") != Some(link.index.into()) {
        return None;
    }
    read("device/numa_node").and_then(|node| u32::try_from(node).ok())
}
