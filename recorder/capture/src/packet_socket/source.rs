//! The source: a socket, its ring, and what becomes of both when the interface goes away.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;

use super::block::{TAG_BYTES, each_frame};
use super::ring::Ring;
use super::{Options, PacketError};
use crate::nic::packet_option::{PacketSocket, RingRequest};
use crate::nic::{Link, NicError};
use crate::{CaptureError, Frame, LinkType, Poll, Source};

/// What became of the frames, since the source was made: `offered` is the sum of the others and of what is in the
/// ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that the kernel had for this source.
    pub offered: u64,
    /// Frames handed over.
    pub received: u64,
    /// Frames that the kernel dropped because the ring was full.
    pub dropped: u64,
    /// Frames that were in the ring of an interface that went away when it was opened anew.
    pub abandoned: u64,
    /// Frames in blocks that contradicted themselves. More than zero is a mistake.
    pub damaged: u64,
    /// How often the ring became full.
    pub freezes: u64,
}

impl Statistics {
    /// Frames that were lost here.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.dropped + self.abandoned + self.damaged
    }

    /// Frames that are in the ring.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.received + self.lost())
    }
}

/// Whether more can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Capturing,
    /// The interface was down when it was last heard of.
    Down,
    Removed,
    /// Nothing new is taken. The ring was found empty so many times.
    Stopping(u8),
}

/// The frames of an interface. One thread owns it.
#[derive(Debug)]
pub struct PacketSource {
    name: String,
    options: Options,
    request: RingRequest,
    /// Before the socket: unmapped first.
    ring: Ring,
    socket: PacketSocket,
    index: u32,
    link_type: LinkType,
    state: State,
    statistics: Statistics,
}

impl PacketSource {
    /// Begins to capture. An interface that is down is opened too; its frames come once it is up.
    ///
    /// # Errors
    /// No such interface, no privilege, options out of range, or what the kernel says.
    pub fn open(interface: &str, options: Options) -> Result<Self, PacketError> {
        let request = options.ring()?;
        let Opened { link, link_type, socket, ring } = open(interface, &options, &request)?;
        Ok(Self {
            name: link.name,
            options,
            request,
            ring,
            socket,
            index: link.index,
            link_type,
            state: State::Capturing,
            statistics: Statistics::default(),
        })
    }

    /// Opens the interface anew, after [`PacketError::Removed`]. Frames that are still in the old ring are abandoned
    /// (and counted): poll until it is empty first. Numbers and counts go on.
    ///
    /// # Errors
    /// As for [`PacketSource::open`]; the source stays as it was, so that it can be tried again.
    pub fn reopen(&mut self) -> Result<(), PacketError> {
        let Opened { link, link_type, socket, ring } =
            open(&self.name, &self.options, &self.request)?;
        self.count()?;
        self.statistics.abandoned += self.statistics.waiting();
        self.ring = ring;
        self.socket = socket;
        self.index = link.index;
        self.link_type = link_type;
        self.state = State::Capturing;
        Ok(())
    }

    /// Waits until frames are ready, something is wrong, or `timeout` is over; a signal ends it too.
    ///
    /// # Errors
    /// [`PacketError::Down`] or [`PacketError::Removed`], each once.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PacketError> {
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return self.look_for_removal(),
            Ok(_) => {}
            Err(errno) => return Err(self.failed("wait for frames", errno.into())),
        }
        if !fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
            return Ok(());
        }
        match socket_error(&self.socket) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Errno::NETDOWN)) => {
                self.state = State::Down;
                self.look_for_removal()?;
                Err(PacketError::Down { name: self.name.clone() })
            }
            Ok(Err(errno)) | Err(errno) => Err(self.failed("receive", errno.into())),
        }
    }

    /// The kernel tells that an interface went down, but not, some time later, that it is gone.
    fn look_for_removal(&mut self) -> Result<(), PacketError> {
        if self.state != State::Down {
            return Ok(());
        }
        if self.socket.is_bound().map_err(|error| self.failed("look after the socket", error))? {
            return Ok(());
        }
        self.state = State::Removed;
        Err(PacketError::Removed { name: self.name.clone() })
    }

    /// Takes no new frames. [`Source::poll`] gives those that were captured, then [`Poll::End`]; between, it is
    /// idle until the last block is closed, which [`PacketSource::wait`] waits for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stop(&mut self) -> Result<(), PacketError> {
        self.socket.refuse_all(true).map_err(|error| self.failed("stop receiving", error))?;
        self.state = State::Stopping(0);
        Ok(())
    }

    /// What became of the frames.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn statistics(&mut self) -> Result<Statistics, PacketError> {
        self.count()?;
        Ok(self.statistics)
    }

    /// The interface's number, of the one that was opened last.
    #[must_use]
    pub const fn interface_index(&self) -> u32 {
        self.index
    }

    fn count(&mut self) -> Result<(), PacketError> {
        let new = self.socket.take_statistics().map_err(|error| self.failed("count", error))?;
        self.statistics.offered += u64::from(new.packets);
        self.statistics.dropped += u64::from(new.drops);
        self.statistics.freezes += u64::from(new.freezes);
        Ok(())
    }

    /// Whether everything is out, after [`PacketSource::stop`]. A packet that another CPU was just handing over
    /// then may still be counted a moment later, so that the second look decides.
    fn is_over(&mut self) -> Result<bool, PacketError> {
        let State::Stopping(calm) = self.state else { return Ok(false) };
        if self.statistics()?.waiting() > 0 {
            return Ok(false);
        }
        self.state = State::Stopping(calm.saturating_add(1));
        Ok(calm > 0)
    }

    fn failed(&self, what: &'static str, source: io::Error) -> PacketError {
        NicError::from_kernel(&self.name, what, source).into()
    }
}

impl Source for PacketSource {
    /// Hands over a block: what came within the block timeout, or as much as fits. Never waits.
    #[inline]
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        let Some(mut block) = self.ring.take() else {
            return Ok(if self.is_over()? { Poll::End } else { Poll::Idle });
        };
        let (first, packets, link) = (block.first, block.packets, self.link_type);
        let before = self.statistics.received;
        let received = &mut self.statistics.received;
        let result = each_frame(block.bytes(), first, packets, link, received, on_frame);
        drop(block);
        if self.state == State::Down {
            self.state = State::Capturing;
        }
        if let Err(lost) = result {
            self.statistics.damaged += u64::from(lost);
            return Err(PacketError::Damaged { name: self.name.clone(), lost }.into());
        }
        let frames = usize::try_from(self.statistics.received - before).unwrap_or(usize::MAX);
        Ok(if frames == 0 { Poll::Idle } else { Poll::Frames(frames) })
    }
}

/// For waiting together with others. Readable when a block is ready, in error when the interface went down.
impl AsFd for PacketSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

struct Opened {
    link: Link,
    link_type: LinkType,
    socket: PacketSocket,
    ring: Ring,
}

fn open(name: &str, options: &Options, request: &RingRequest) -> Result<Opened, PacketError> {
    let link = Link::find(name)?;
    let link_type =
        link.link_type.ok_or_else(|| PacketError::LinkType { name: name.to_owned() })?;
    let refused = |what| move |source| PacketError::from(NicError::from_kernel(name, what, source));
    let socket = PacketSocket::open().map_err(refused("open a packet socket"))?;
    prepare(&socket, options).map_err(refused("set up a packet socket"))?;
    let bytes = u64::from(request.block_bytes) * u64::from(request.blocks);
    let no_memory = |source: io::Error| match source.raw_os_error() {
        Some(libc::ENOMEM) => PacketError::Memory { name: name.to_owned(), bytes, source },
        _ => refused("make a ring of packets")(source),
    };
    socket.set_ring(request).map_err(no_memory)?;
    let ring = Ring::map(&socket, request).map_err(no_memory)?;
    if options.promiscuous {
        let result = socket.make_promiscuous(link.index);
        result.map_err(refused("switch promiscuous mode on"))?;
    }
    // Between binding and joining its group, a socket would get every frame: all of them would be seen twice.
    socket.refuse_all(true).map_err(refused("set up a packet socket"))?;
    socket.bind(link.index).map_err(refused("receive"))?;
    if let Some(fanout) = options.fanout {
        let argument = fanout.argument(link.index, options.outgoing);
        let (name, group) = (name.to_owned(), fanout.group_on(link.index));
        let joined = socket.set_number(libc::PACKET_FANOUT, argument);
        joined.map_err(|source| PacketError::Group { name, group, source })?;
    }
    socket.refuse_all(false).map_err(refused("begin to receive"))?;
    Ok(Opened { link, link_type, socket, ring })
}

fn prepare(socket: &PacketSocket, options: &Options) -> io::Result<()> {
    socket.set_number(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as u32)?;
    socket.set_number(libc::PACKET_RESERVE, TAG_BYTES as u32)?;
    socket.set_number(libc::PACKET_IGNORE_OUTGOING, u32::from(!options.outgoing))
}
