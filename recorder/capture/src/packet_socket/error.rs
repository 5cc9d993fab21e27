//! What can go wrong with capturing by AF_PACKET, and what to do about it.

use std::io;

use thiserror::Error;

use crate::nic::NicError;

/// Why frames cannot be captured, or not now.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The interface cannot be looked up.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// Its frames are of a kind that is not understood.
    #[error("{name} is not an Ethernet or IP interface; capture on the interface below it")]
    LinkType {
        /// The interface.
        name: String,
    },
    /// A size out of range.
    #[error("{what} is {given}: it must be {wanted}")]
    Size {
        /// Which.
        what: &'static str,
        /// What it may be.
        wanted: &'static str,
        /// What was asked for.
        given: u64,
    },
    /// The kernel does not give the memory.
    #[error(
        "cannot get {bytes} bytes of memory for the packets of {name}: {source}; use fewer or smaller blocks"
    )]
    Memory {
        /// The interface.
        name: String,
        /// How much.
        bytes: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The sockets of a group do not fit together.
    #[error(
        "cannot join group {group} of sockets on {name}: {source}; another program may use that number, or \
         sockets of an interface that went away still hold it"
    )]
    Group {
        /// The interface.
        name: String,
        /// The group.
        group: u16,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The interface went down. Frames come again once it is up; nothing has to be opened anew.
    #[error("{name} is down (`ip link set dev {name} up`); capture goes on when it is up again")]
    Down {
        /// The interface.
        name: String,
    },
    /// The interface is gone. One that comes back under its name has to be opened anew.
    #[error("{name} was removed; capture goes on when it is there again and opened anew")]
    Removed {
        /// The interface.
        name: String,
    },
    /// What the kernel put into the ring is not what it should.
    #[error(
        "a block of packets from {name} contradicts itself; its {lost} last packets are lost. This is a mistake \
         of the kernel or of this program: please report it"
    )]
    Damaged {
        /// The interface.
        name: String,
        /// Packets that could not be reached.
        lost: u32,
    },
}
