//! Sends frames, for measurements: on interfaces that were made for them, in a network namespace of their own.
//!
//! In: whole Ethernet frames, written into the batch that goes out together. Out: how many of them the interface took,
//! as far as it says so. Nothing else in this program sends, least of all on a mirror port.

mod batch;
mod kernel;
mod namespace;
mod socket;

use crate::nic::{Link, NicError};
use batch::Batch;
use kernel::Kernel;
use socket::Socket;

pub use abi::transmit::FRAME_BYTES_MAX;
pub use namespace::enter_own_namespace;

/// An interface to send on, and the frames that are about to be.
pub struct Transmitter {
    way: Way,
    batch: Batch,
    name: String,
}

enum Way {
    Kernel(Kernel),
    Socket(Socket, String),
}

impl Transmitter {
    /// Opens an interface of the calling thread's network namespace. `spread` if frames are to be spread over the far
    /// end's receive queues, which only the slower way does.
    ///
    /// # Errors
    /// There is none of that name, or no privilege (`CAP_NET_RAW`).
    pub fn open(name: &str, spread: bool) -> Result<Self, NicError> {
        let link = Link::find(name)?;
        let failed = |source| NicError::from_kernel(name, "send", source);
        let name = name.to_owned();
        let why = if spread {
            "several receive queues".to_owned()
        } else {
            match Kernel::open(link.index) {
                Ok((kernel, batch)) => return Ok(Self { way: Way::Kernel(kernel), batch, name }),
                Err(error) => format!("not by the kernel's live frames: {error}"),
            }
        };
        let socket = Socket::open(link.index).map_err(failed)?;
        Ok(Self { way: Way::Socket(socket, why), batch: Batch::own().map_err(failed)?, name })
    }

    /// How it sends, in words.
    #[must_use]
    pub fn way(&self) -> String {
        match &self.way {
            Way::Kernel(_) => "live frames of the kernel (BPF_PROG_TEST_RUN)".into(),
            Way::Socket(_, why) => format!("packet socket ({why})"),
        }
    }

    /// Frames of the batch.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Room for one more frame in the batch. None if that is full.
    #[inline]
    pub fn room(&mut self) -> Option<&mut [u8; FRAME_BYTES_MAX]> {
        self.batch.room()
    }

    /// The first bytes of the room are a frame.
    #[inline]
    pub fn add(&mut self, frame_bytes: usize) {
        self.batch.add(frame_bytes);
    }

    /// Sends the batch, and begins another. Gives how many frames were dropped as far as the kernel tells: what the
    /// other end had no room for is seen in what came there only.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn flush(&mut self) -> Result<u64, NicError> {
        if self.batch.len() == 0 {
            return Ok(0);
        }
        let sent = match &mut self.way {
            Way::Kernel(kernel) => kernel.send(&mut self.batch).map(|()| 0),
            Way::Socket(socket, _) => socket.send(&self.batch),
        };
        self.batch.clear();
        sent.map_err(|source| NicError::from_kernel(&self.name, "send", source))
    }
}
