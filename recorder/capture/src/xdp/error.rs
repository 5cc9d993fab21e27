//! What can go wrong with XDP, and what to do about it.

use std::io;

use aya::maps::MapError;
use aya::programs::ProgramError;

use crate::nic::NicError;

/// Why live capture by XDP does not work.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// The interface cannot be looked up.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The process lacks privileges.
    #[error(
        "not permitted to {what}: run as root, or with the capabilities CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF \
         and CAP_PERFMON"
    )]
    NotPermitted {
        /// To do what.
        what: &'static str,
    },
    /// The kernel was built without something.
    #[error("this kernel has no {what}: it was built without {option}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The kernel's configuration option.
        option: &'static str,
    },
    /// Another XDP program is on the interface.
    #[error(
        "interface {interface} already runs another XDP program (id {id}, {mode}); it was left alone. \
         `bpftool prog show id {id}` tells what it is; it goes when the service that attached it is stopped, \
         or by `ip link set dev {interface} {off} off`"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// The other program's id, 0 if the kernel does not say.
        id: u32,
        /// How it is attached.
        mode: &'static str,
        /// The word for `ip link set`.
        off: &'static str,
    },
    /// The kernel does not take the program.
    #[error("the kernel refuses the XDP program ({source}); its verifier ends with:\n{log}")]
    Refused {
        /// Why.
        source: io::Error,
        /// The end of the verifier's log.
        log: String,
    },
    /// Loading failed otherwise.
    #[error("cannot load the XDP program: {reason}")]
    Load {
        /// Why.
        reason: String,
    },
    /// Attaching failed.
    #[error(
        "cannot attach the XDP program to {interface}: {reason}. Some drivers want a smaller MTU (`ip link \
         set dev {interface} mtu 1500`) or offloads switched off (`ethtool -K {interface} lro off gro-hw off`)"
    )]
    Attach {
        /// The interface.
        interface: String,
        /// Why.
        reason: String,
    },
    /// A map of the program does not do what it should.
    #[error("the XDP program's map {name} fails")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why.
        source: MapError,
    },
    /// The table of endpoints is full.
    #[error("the kernel's table of media endpoints is full ({max}); raise xdp.endpoints_max")]
    EndpointsFull {
        /// How many it has room for.
        max: u32,
        /// How many of the batch were set.
        set: usize,
    },
    /// Settings that the program cannot be told.
    #[error("{what}: at most {max} are possible, {given} are configured")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        max: usize,
        /// What was asked for.
        given: usize,
    },
    /// A ring or frame size out of range.
    #[error("{what} is {given}: it must be a power of two from {min} to {max}")]
    Size {
        /// Which size.
        what: &'static str,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
        /// What was asked for.
        given: u32,
    },
    /// The memory for frames is not to be had.
    #[error("cannot get {bytes} bytes of memory for packets; use smaller or fewer rings")]
    Memory {
        /// How much.
        bytes: usize,
        /// Why.
        source: io::Error,
    },
    /// The interface's packets do not fit the memory for one, and this kernel cannot give them in several.
    #[error(
        "packets on {interface} may have {mtu} bytes (its MTU), but without multi-buffer AF_XDP (Linux 6.6) at most \
         {mtu_max} fit; lower it (`ip link set dev {interface} mtu {mtu_max}`) if the mirrored packets are no larger, or \
         capture by a packet socket (mode = \"packet\")"
    )]
    Mtu {
        /// The interface.
        interface: String,
        /// Its MTU, bytes.
        mtu: u32,
        /// The largest that fits.
        mtu_max: u32,
    },
    /// A socket cannot be set up.
    #[error("AF_XDP socket of {interface}, queue {queue}: cannot {what}")]
    Socket {
        /// The interface.
        interface: String,
        /// The receive queue.
        queue: u32,
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl XdpError {
    /// The error number behind a map's error.
    pub(super) fn errno(error: &MapError) -> Option<i32> {
        match error {
            MapError::SyscallError(error) => error.io_error.raw_os_error(),
            MapError::CreateError { io_error, .. } => io_error.raw_os_error(),
            _ => None,
        }
    }

    /// From what loading a program gave.
    pub(super) fn of_load(error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError { io_error, .. }
                if io_error.raw_os_error() == Some(libc::EPERM) =>
            {
                Self::NotPermitted { what: "load an XDP program" }
            }
            ProgramError::LoadError { io_error, verifier_log } => {
                let log = verifier_log.to_string();
                let lines: Vec<&str> = log.lines().rev().take(12).collect();
                let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                Self::Refused { source: io_error, log }
            }
            other => Self::Load { reason: chain(&other) },
        }
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
