//! Sends frames, for measurements: on interfaces that were made for them, in a network namespace of their own.
//!
//! In: whole Ethernet frames. Out: how many of them the interface took. Nothing else in this program sends, least of
//! all on a mirror port.
#![expect(unsafe_code, reason = "system calls that rustix does not have, or not as safe ones")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use rustix::thread::UnshareFlags;

use crate::nic::packet_option::PacketSocket;
use crate::nic::{Link, NicError};

/// Frames that one system call sends at most.
pub const BATCH_FRAMES_MAX: usize = 64;

/// An interface to send on.
#[derive(Debug)]
pub struct Transmitter {
    socket: PacketSocket,
    name: String,
}

impl Transmitter {
    /// Opens an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// There is none of that name, or no privilege (`CAP_NET_RAW`).
    pub fn open(name: &str) -> Result<Self, NicError> {
        let link = Link::find(name)?;
        let failed = |source| NicError::from_kernel(name, "send", source);
        let socket = PacketSocket::open().map_err(failed)?;
        socket.bind_to_send(link.index).map_err(failed)?;
        Ok(Self { socket, name: name.to_owned() })
    }

    /// Sends the first frames of a list, as many as one system call takes, and gives how many that were. 0: the
    /// interface had no room for the first one and dropped it.
    ///
    /// # Errors
    /// What the kernel says of the first frame.
    pub fn send(&self, frames: &[&[u8]]) -> Result<usize, NicError> {
        let mut parts =
            [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BATCH_FRAMES_MAX];
        for (part, frame) in parts.iter_mut().zip(frames) {
            part.iov_base = frame.as_ptr().cast_mut().cast();
            part.iov_len = frame.len();
        }
        let mut messages = parts.each_mut().map(message);
        let count = frames.len().min(BATCH_FRAMES_MAX) as libc::c_uint;
        // SAFETY: the first `count` messages each point to a part, which points to a frame; all of them outlive the
        // call. The kernel reads the frames and writes nothing but each message's `msg_len`.
        let sent = unsafe {
            libc::sendmmsg(self.socket.as_fd().as_raw_fd(), messages.as_mut_ptr(), count, 0)
        };
        usize::try_from(sent).or_else(|_| match io::Error::last_os_error() {
            full if full.raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
            error => Err(NicError::from_kernel(&self.name, "send", error)),
        })
    }
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: a structure of numbers and pointers, for all of which zero is a value.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message
}

/// Puts the calling thread, and the threads and programs that it starts from now on, into a network namespace of its
/// own. It is gone, with every interface in it, when the last of them ends, however it ends.
///
/// # Errors
/// No privilege (`CAP_SYS_ADMIN`).
pub fn enter_own_namespace() -> io::Result<()> {
    // SAFETY: only the network namespace is left, not the table of descriptors, so that every descriptor means the
    // same in all threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}
