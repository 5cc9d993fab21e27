//! What ethtool's netlink family does not tell, or not on kernels still in use: by ioctl (`linux/ethtool.h`).
#![expect(unsafe_code, reason = "ioctl")]

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRSSH: u32 = 0x46;
/// `struct ethtool_drvinfo`: command, then driver, version, firmware, bus as texts of 32 bytes, and more.
const DRVINFO_BYTES: usize = 196;
/// `struct ethtool_rxnfc`: command, flow type, 64 bits of data, and more.
const RXNFC_BYTES: usize = 192;
/// `struct ethtool_rxfh` before its tables: command, context, sizes of table and key, hash function.
const RXFH_BYTES: usize = 24;
/// Above this, a table or key is no card's.
const RSS_ENTRIES_MAX: u32 = 65_536;

/// Which driver serves an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its version, which for most is the kernel's.
    pub version: String,
    /// The card's firmware; empty for a virtual one.
    pub firmware: String,
}

/// How a card spreads packets over its queues (receive-side scaling).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// The queue of each hash value, modulo the table's length.
    pub indirection: Vec<u32>,
    /// The hash's key.
    pub key: Vec<u8>,
}

/// A socket for questions about one interface, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Ioctl {
    fd: OwnedFd,
    name: [u8; libc::IFNAMSIZ],
}

impl Ioctl {
    /// `name` is an interface's, so that it has at most 15 bytes.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut padded = [0; libc::IFNAMSIZ];
        padded.iter_mut().zip(name.bytes().take(15)).for_each(|(place, byte)| *place = byte);
        Ok(Self { fd, name: padded })
    }

    pub(super) fn driver(&self) -> io::Result<Driver> {
        let mut info = [0_u8; DRVINFO_BYTES];
        put(&mut info, 0, ETHTOOL_GDRVINFO);
        // SAFETY: for this command the kernel writes one `struct ethtool_drvinfo`, which `info` has room for.
        unsafe { self.call(&mut info) }?;
        let text = |at: usize| super::netlink::text(info.get(at..at + 32).unwrap_or_default());
        Ok(Driver { name: text(4), version: text(36), firmware: text(68) })
    }

    /// What is hashed of packets of a flow type, as bits (`RXH_*`).
    pub(super) fn hashed_fields(&self, flow_type: u32) -> io::Result<u64> {
        let mut question = [0_u8; RXNFC_BYTES];
        put(&mut question, 0, ETHTOOL_GRXFH);
        put(&mut question, 4, flow_type);
        // SAFETY: for this command the kernel writes at most one `struct ethtool_rxnfc`; its table of rules is
        // for other commands.
        unsafe { self.call(&mut question) }?;
        let data = question.get(8..16).and_then(<[u8]>::first_chunk);
        Ok(data.map_or(0, |data| u64::from_ne_bytes(*data)))
    }

    pub(super) fn rss(&self) -> io::Result<Rss> {
        let mut sizes = vec![0_u8; RXFH_BYTES];
        put(&mut sizes, 0, ETHTOOL_GRSSH);
        // SAFETY: asked with sizes of zero, the kernel writes the sizes and neither table nor key.
        unsafe { self.call(&mut sizes) }?;
        let size = |at| super::netlink::u32_at(&sizes, at).unwrap_or(0).min(RSS_ENTRIES_MAX);
        let (entries, key_bytes) = (size(8), size(12));
        let table_bytes = entries as usize * 4;
        let mut question = vec![0_u8; RXFH_BYTES + table_bytes + key_bytes as usize];
        put(&mut question, 0, ETHTOOL_GRSSH);
        put(&mut question, 8, entries);
        put(&mut question, 12, key_bytes);
        // SAFETY: the kernel writes a table and a key of the sizes that the question names, which it has room
        // for, and refuses if the card's are others by now.
        unsafe { self.call(&mut question) }?;
        let tables = question.get(RXFH_BYTES..).unwrap_or_default();
        let (table, key) = tables.split_at_checked(table_bytes).unwrap_or_default();
        let (entries, _) = table.as_chunks();
        let indirection = entries.iter().map(|entry| u32::from_ne_bytes(*entry)).collect();
        Ok(Rss { indirection, key: key.to_vec() })
    }

    /// Gives the command that `data` begins with.
    ///
    /// # Safety
    /// The kernel writes at most `data.len()` bytes for it.
    unsafe fn call(&self, data: &mut [u8]) -> io::Result<()> {
        let mut request = libc::ifreq {
            ifr_name: self.name.map(u8::cast_signed),
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data.as_mut_ptr().cast() },
        };
        // SAFETY: the request and the data it points to are valid for reading and, as the caller says, for
        // what the kernel writes.
        match unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}
