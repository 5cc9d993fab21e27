//! What can go wrong with an interface, and what to do about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an interface cannot be asked about, or set.
#[derive(Debug, Error)]
pub enum NicError {
    /// No interface of that name in this network namespace.
    #[error("there is no network interface {name:?} (`ip -brief link` lists them)")]
    NoInterface {
        /// As given.
        name: String,
    },
    /// The process lacks a privilege.
    #[error(
        "not permitted to {what} on {name}: run as root, or with the capabilities CAP_NET_ADMIN and \
         CAP_NET_RAW"
    )]
    NotPermitted {
        /// The interface.
        name: String,
        /// To do what.
        what: &'static str,
    },
    /// The kernel refuses.
    #[error("cannot {what} on {name}: {source}")]
    Refused {
        /// The interface.
        name: String,
        /// To do what.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another process has switched offloads of this interface and will switch them back.
    #[error(
        "the offloads of {name} are held by another process (it has locked {}); stop that one first",
        path.display()
    )]
    Held {
        /// The interface.
        name: String,
        /// The file that notes what they were.
        path: PathBuf,
    },
    /// What an interface was like could not be noted, so it was left as it is.
    #[error(
        "cannot note the offloads of {name} in {}: {source}; they were left alone; make the folder writable",
        path.display()
    )]
    Note {
        /// The interface.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl NicError {
    /// For an interface, from what the kernel says.
    pub(crate) fn from_kernel(name: &str, what: &'static str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(libc::ENODEV) => Self::NoInterface { name },
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { name, what },
            _ => Self::Refused { name, what, source },
        }
    }
}
