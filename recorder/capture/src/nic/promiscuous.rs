//! Promiscuous mode: a mirror port's frames are for other hosts' addresses, and a card drops those.

use super::packet_option::PacketSocket;
use super::{Link, NicError};

/// Has an interface take every frame, as long as it lives.
///
/// The kernel counts who wants that of an interface, and takes this one's wish back when the process ends,
/// however it does: the interface is as it was found, and who else wanted it (tcpdump, a bridge) keeps it.
/// It ends with an interface that is removed; one that is made anew needs a new guard.
#[derive(Debug)]
pub struct Promiscuous {
    /// Receives nothing. Closing it takes the wish back.
    _socket: PacketSocket,
}

impl Promiscuous {
    /// From now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn on(link: &Link) -> Result<Self, NicError> {
        let socket = PacketSocket::open().and_then(|socket| {
            socket.make_promiscuous(link.index)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(source) => {
                Err(NicError::from_kernel(&link.name, "switch promiscuous mode on", source))
            }
        }
    }
}
