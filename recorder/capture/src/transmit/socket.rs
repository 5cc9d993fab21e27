//! Frames sent through a packet socket (packet(7)), many by a system call.
#![expect(unsafe_code, reason = "a system call that rustix does not have")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::batch::Batch;
use crate::nic::packet_option::PacketSocket;

/// Frames that one system call sends at most.
const CALL_FRAMES_MAX: usize = 64;

/// Sends on one interface.
#[derive(Debug)]
pub(super) struct Socket(PacketSocket);

impl Socket {
    /// On an interface, by its number.
    pub(super) fn open(interface: u32) -> io::Result<Self> {
        let socket = PacketSocket::open()?;
        socket.bind_to_send(interface)?;
        Ok(Self(socket))
    }

    /// Sends a batch. Gives how many frames the interface had no room for.
    pub(super) fn send(&self, batch: &Batch) -> io::Result<u64> {
        let frames: Vec<&[u8]> = batch.frames().collect();
        let (mut left, mut dropped) = (frames.as_slice(), 0);
        while !left.is_empty() {
            let sent = self.send_some(left)?;
            dropped += u64::from(sent == 0);
            left = left.get(sent.max(1)..).unwrap_or_default();
        }
        Ok(dropped)
    }

    /// Sends the first frames of a list, as many as one system call takes, and gives how many that were. 0: the
    /// interface had no room for the first one and dropped it.
    fn send_some(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let mut parts =
            [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; CALL_FRAMES_MAX];
        for (part, frame) in parts.iter_mut().zip(frames) {
            part.iov_base = frame.as_ptr().cast_mut().cast();
            part.iov_len = frame.len();
        }
        let mut messages = parts.each_mut().map(message);
        let count = frames.len().min(CALL_FRAMES_MAX) as libc::c_uint;
        // SAFETY: the first `count` messages each point to a part, which points to a frame; all of them outlive the
        // call. The kernel reads the frames and writes nothing but each message's `msg_len`.
        let sent =
            unsafe { libc::sendmmsg(self.0.as_fd().as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).or_else(|_| match io::Error::last_os_error() {
            full if full.raw_os_error() == Some(libc::ENOBUFS) => Ok(0),
            error => Err(error),
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
