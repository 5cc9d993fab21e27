//! AF_XDP sockets: one for each receive queue of an interface, over one memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use abi::Meta;
use base::limits::FRAME_BYTES_MAX;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING,
    XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpRingOffset,
};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

use super::umem::{Chunk, FillRing, Filled, RxRing, Umem};
use super::{UtcOffset, XdpError};
use crate::mapping::Mapping;
use crate::nic::Link;
use crate::nic::packet_option::set_busy_poll;
use crate::{Frame, LinkType};

/// Sizes of rings and frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Places in the receive and in the fill ring of each queue: a power of two from 4,096 to 65,536. It
    /// bounds how long a worker may be away: 32,768 are 10 ms at 3 million packets a second.
    pub ring_size: u32,
    /// Bytes of a chunk: 2,048 or 4,096. A frame has 256 less; larger frames come in several.
    pub chunk_bytes: u32,
    /// Whether to try zero-copy first. Without, the kernel copies each frame.
    pub zero_copy: bool,
    /// Whether to take frames larger than a chunk, in several, where the kernel can (6.6). Without, an interface
    /// with such frames is refused.
    pub multi_buffer: bool,
    /// Whether whoever drains has the card polled at once instead of waiting for its interrupt. It has to drain
    /// without a pause, and takes a whole CPU.
    pub busy_poll: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            ring_size: 32_768,
            chunk_bytes: 2_048,
            zero_copy: true,
            multi_buffer: true,
            busy_poll: false,
        }
    }
}

/// How a socket came to be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The driver writes into our memory.
    pub zero_copy: bool,
    /// Frames larger than a chunk come in several; without, the interface has none.
    pub multi_buffer: bool,
    /// The memory is in huge pages.
    pub huge_pages: bool,
    /// Draining polls the card.
    pub busy_poll: bool,
}

/// A packet, borrowed from the ring for the length of one call.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the XDP program said about it.
    pub meta: Meta,
    /// Its bytes.
    pub data: &'a [u8],
    /// Bytes on the wire; more than `data.len()` if they did not all fit.
    pub wire_bytes: u32,
}

/// Why a packet is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is handed over after some others.
    Soon,
    /// It is handed over.
    Now,
}

impl<'a> Received<'a> {
    /// The packet as a frame: with its time in UTC, and the number that the caller counts.
    #[must_use]
    #[inline]
    pub fn frame(&self, clock: UtcOffset, number: u64) -> Frame<'a> {
        Frame {
            time: clock.utc(self.meta.time),
            link: LinkType::Ethernet,
            data: self.data,
            wire_bytes: self.wire_bytes,
            number,
        }
    }
}

/// What a socket lost, by its own and the kernel's count (`XDP_STATISTICS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets handed over.
    pub received: u64,
    /// Dropped by the kernel: no free chunk, or too large. `fill_ring_empty` says how many for the former.
    pub rx_dropped: u64,
    /// Dropped by the kernel: the receive ring was full.
    pub rx_ring_full: u64,
    /// How often the kernel found no free chunk. Each is also in `rx_dropped`.
    pub fill_ring_empty: u64,
    /// Chunks that the kernel refused. More than zero is a mistake of ours.
    pub rx_invalid: u64,
    /// Packets in more buffers than any frame has; dropped here.
    pub too_long: u64,
}

impl Statistics {
    /// Packets of interest that were lost here.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.rx_dropped + self.rx_ring_full + self.too_long
    }
}

/// The socket of one receive queue. One thread owns it.
pub struct Socket {
    fd: OwnedFd,
    umem: Arc<Umem>,
    rx: RxRing,
    fill: FillRing,
    queue: u32,
    binding: Binding,
    /// The packet that is coming in several buffers.
    chain: Chain,
    received: u64,
}

/// A packet put together from several buffers. Memory for the largest is set aside.
struct Chain {
    meta: Meta,
    data: Vec<u8>,
    wire_bytes: u32,
    begun: bool,
    too_long: u64,
}

/// Opens a socket for each receive queue in use, the first with the interface's memory, the others sharing
/// it. They receive once a program sends to them ([`Program::set_socket`](super::Program::set_socket)).
///
/// # Errors
/// Sizes out of range, too little memory, or what the kernel says; one that another process has bound to a
/// queue is `EBUSY`.
pub fn open_sockets(link: &Link, options: &SocketOptions) -> Result<Vec<Socket>, XdpError> {
    check("xdp.ring_size", options.ring_size, 4_096, 65_536)?;
    check("xdp.chunk_bytes", options.chunk_bytes, 2_048, 4_096)?;
    let queues = link.rx_queues.clamp(1, abi::limits::QUEUES_MAX);
    let (umem, mut chunks) = Umem::new(queues * options.ring_size, options.chunk_bytes)?;
    let mut sockets: Vec<Socket> = Vec::new();
    for queue in 0..queues {
        let opener = Opener { link, options, queue, umem: &umem, first: sockets.first() };
        match opener.open(&mut chunks) {
            Ok(socket) => sockets.push(socket),
            // The driver made room for more queues than it uses.
            Err(XdpError::Socket { what: BIND, source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) && !sockets.is_empty() =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

fn check(what: &'static str, given: u32, min: u32, max: u32) -> Result<(), XdpError> {
    if given.is_power_of_two() && (min..=max).contains(&given) {
        return Ok(());
    }
    Err(XdpError::Size { what, min, max, given })
}

const BIND: &str = "bind to the queue";

/// How many packets before its turn a packet is fetched from the memory that the kernel wrote it to, and shown.
const FETCHED_AHEAD: u32 = 20;
const SHOWN_AHEAD: u32 = 12;

/// How long one look at the card may take, and how many packets it may find: as many as the kernel's own polling.
const BUSY_MICROSECONDS: u32 = 20;
const BUSY_PACKETS: u32 = 64;

/// What a chunk holds beside the packet that the MTU bounds: Ethernet header, four VLAN tags, the kernel's headroom.
const CHUNK_EXTRA_BYTES: u32 = 14 + 16 + 256;

/// Opens one socket.
struct Opener<'a> {
    link: &'a Link,
    options: &'a SocketOptions,
    queue: u32,
    umem: &'a Arc<Umem>,
    /// Whose memory it shares, if it is not the first.
    first: Option<&'a Socket>,
}

impl Opener<'_> {
    fn open(&self, chunks: &mut impl Iterator<Item = Chunk>) -> Result<Socket, XdpError> {
        let fd = rustix::net::socket_with(
            AddressFamily::XDP,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| match errno {
            rustix::io::Errno::PERM => XdpError::NotPermitted { what: "open an AF_XDP socket" },
            rustix::io::Errno::AFNOSUPPORT => {
                XdpError::Missing { what: "AF_XDP", option: "CONFIG_XDP_SOCKETS" }
            }
            errno => self.error("open", errno),
        })?;
        let size = self.options.ring_size;
        if self.first.is_none() {
            sockopt::set_xdp_umem_reg(&fd, self.umem.registration())
                .map_err(|errno| self.error("register its memory", errno))?;
        }
        // The completion ring is for sending, which never happens; the kernel wants one all the same.
        sockopt::set_xdp_umem_fill_ring_size(&fd, size)
            .and_then(|()| sockopt::set_xdp_umem_completion_ring_size(&fd, 64))
            .and_then(|()| sockopt::set_xdp_rx_ring_size(&fd, size))
            .map_err(|errno| self.error("create its rings", errno))?;
        let (rx, mut fill) = self.rings(&fd)?;
        chunks.take(size as usize).for_each(|chunk| fill.push(chunk));
        fill.submit();
        let binding = self.bind(&fd)?;
        if binding.busy_poll {
            set_busy_poll(fd.as_fd(), BUSY_MICROSECONDS, BUSY_PACKETS)
                .map_err(|source| self.failed("switch busy polling on", source))?;
        }
        let (umem, queue) = (Arc::clone(self.umem), self.queue);
        let chain = Chain::new();
        Ok(Socket { fd, umem, rx, fill, queue, binding, chain, received: 0 })
    }

    #[expect(unsafe_code, reason = "the rings' memory is the kernel's")]
    fn rings(&self, fd: &OwnedFd) -> Result<(RxRing, FillRing), XdpError> {
        let offsets =
            sockopt::xdp_mmap_offsets(fd).map_err(|errno| self.error("size up", errno))?;
        let size = self.options.ring_size;
        let map = |at, offsets: &XdpRingOffset, entry: usize| {
            let bytes = offsets.desc as usize + size as usize * entry;
            Mapping::of_file(fd.as_fd(), at, bytes)
                .map_err(|source| self.failed("map its rings", source))
        };
        let rx = map(XDP_PGOFF_RX_RING, &offsets.rx, 16)?;
        let fill = map(XDP_UMEM_PGOFF_FILL_RING, &offsets.fr, 8)?;
        // SAFETY: these are the rings of a socket that was just created, mapped once, at the offsets that the
        // kernel gave for them.
        Ok(unsafe { (RxRing::new(rx, &offsets.rx, size), FillRing::new(fill, &offsets.fr, size)) })
    }

    /// Binds in the best way that works: zero-copy before copy, with buffers for jumbo frames before without.
    fn bind(&self, fd: &OwnedFd) -> Result<Binding, XdpError> {
        use SocketAddrXdpFlags as Flags;
        if let Some(first) = self.first {
            // Of a shared memory, all is as with the first.
            let addr = SocketAddrXdp::new(Flags::XDP_SHARED_UMEM, self.link.index, self.queue);
            let shared_umem_fd = first.fd.as_fd();
            rustix::net::bind(fd, &SocketAddrXdpWithSharedUmem { addr, shared_umem_fd })
                .map_err(|errno| self.error(BIND, errno))?;
            return Ok(first.binding);
        }
        let mut result = Err(rustix::io::Errno::INVAL);
        for way in self.ways() {
            let flags = way | Flags::XDP_USE_NEED_WAKEUP;
            let addr = SocketAddrXdp::new(flags, self.link.index, self.queue);
            result = rustix::net::bind(fd, &addr);
            // Not to be had that way, or not known to this kernel (XDP_USE_SG came with 6.6).
            if matches!(result, Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL)) {
                continue;
            }
            result.map_err(|errno| self.error(BIND, errno))?;
            return Ok(Binding {
                zero_copy: self.is_zero_copy(fd)?,
                multi_buffer: way.contains(Flags::XDP_USE_SG),
                huge_pages: self.umem.is_huge(),
                busy_poll: self.options.busy_poll,
            });
        }
        if !self.fits_a_chunk() {
            return Err(self.too_large());
        }
        Err(self.error(BIND, result.err().unwrap_or(rustix::io::Errno::INVAL)))
    }

    /// The ways to bind, best first. None would drop frames for their size.
    fn ways(&self) -> impl Iterator<Item = SocketAddrXdpFlags> + use<> {
        use SocketAddrXdpFlags as Flags;
        let (zero_copy, several) = (self.options.zero_copy, self.options.multi_buffer);
        let fits = self.fits_a_chunk();
        [(Flags::XDP_ZEROCOPY, zero_copy), (Flags::XDP_COPY, true)]
            .into_iter()
            .filter(|(_, wanted)| *wanted)
            .flat_map(|(way, _)| [(way | Flags::XDP_USE_SG, true), (way, false)])
            .filter(move |(_, in_several)| if *in_several { several } else { fits })
            .map(|(way, _)| way)
    }

    fn too_large(&self) -> XdpError {
        let Link { name, mtu, .. } = self.link;
        XdpError::Mtu {
            interface: name.clone(),
            mtu: *mtu,
            mtu_max: self.options.chunk_bytes - CHUNK_EXTRA_BYTES,
        }
    }

    fn is_zero_copy(&self, fd: &OwnedFd) -> Result<bool, XdpError> {
        let options = sockopt::xdp_options(fd).map_err(|errno| self.error("ask", errno))?;
        Ok(options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
    }

    /// Whether every frame of the interface fits one chunk.
    fn fits_a_chunk(&self) -> bool {
        self.link.mtu.saturating_add(CHUNK_EXTRA_BYTES) <= self.options.chunk_bytes
    }

    fn error(&self, what: &'static str, errno: rustix::io::Errno) -> XdpError {
        self.failed(what, errno.into())
    }

    fn failed(&self, what: &'static str, source: io::Error) -> XdpError {
        let interface = self.link.name.clone();
        XdpError::Socket { interface, queue: self.queue, what, source }
    }
}

impl Socket {
    /// Its receive queue.
    #[must_use]
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// How it is bound.
    #[must_use]
    pub const fn binding(&self) -> Binding {
        self.binding
    }

    /// Hands over what came, at most `batch` frames (a frame in several buffers may make it a few more),
    /// then gives their memory back to the kernel; how many packets there were. Does not wait.
    pub fn drain(&mut self, batch: usize, on_packet: &mut impl FnMut(Received<'_>)) -> usize {
        self.drain_ahead(batch, &mut |turn, packet| {
            if turn == Turn::Now {
                on_packet(packet);
            }
        })
    }

    /// The same, and shows packets some packets before their turn: most of those in one buffer, once or twice.
    pub fn drain_ahead(
        &mut self,
        batch: usize,
        on_packet: &mut impl FnMut(Turn, Received<'_>),
    ) -> usize {
        let before = self.received;
        let mut taken = 0;
        self.fill.retry();
        self.rx.refresh();
        (0..FETCHED_AHEAD).for_each(|after| self.fetch(after));
        (0..SHOWN_AHEAD).for_each(|after| self.show(after, on_packet));
        while taken < batch
            && let Some(filled) = self.rx.pop()
        {
            self.fetch(FETCHED_AHEAD);
            self.show(SHOWN_AHEAD, on_packet);
            self.hand_over(&filled, &mut |packet| on_packet(Turn::Now, packet));
            self.fill.push(filled.chunk);
            taken += 1;
        }
        if taken > 0 {
            self.rx.release();
            self.fill.submit();
        }
        if self.fill.needs_wakeup() || (self.binding.busy_poll && taken < batch) {
            self.wake();
        }
        usize::try_from(self.received - before).unwrap_or(usize::MAX)
    }

    /// Has the packet that comes so many after the next one fetched from where the kernel wrote it.
    #[inline]
    fn fetch(&self, after: u32) {
        if let Some(coming) = self.rx.peek(after) {
            self.umem.prefetch(&coming);
        }
    }

    /// Shows it.
    #[inline]
    fn show(&self, after: u32, on_packet: &mut impl FnMut(Turn, Received<'_>)) {
        if let Some(coming) = self.rx.peek(after)
            && let Some((meta, data)) = self.umem.look(&coming)
        {
            let wire_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            on_packet(Turn::Soon, Received { meta, data, wire_bytes });
        }
    }

    #[inline]
    fn hand_over(&mut self, filled: &Filled, on_packet: &mut impl FnMut(Received<'_>)) {
        let data = self.umem.bytes(&filled.chunk, filled.bytes);
        if filled.continues || self.chain.begun {
            if !self.chain.begun {
                self.chain.begin(self.umem.meta(&filled.chunk).unwrap_or_default());
            }
            self.chain.add(data);
            if !filled.continues
                && let Some(packet) = self.chain.end()
            {
                self.received += 1;
                on_packet(packet);
            }
            return;
        }
        self.received += 1;
        let meta = self.umem.meta(&filled.chunk).unwrap_or_default();
        on_packet(Received { meta, data, wire_bytes: filled.bytes });
    }

    /// Tells the kernel that there are free chunks again. A driver that sleeps for want of them asks for it. With
    /// busy polling, has it look for frames.
    #[cold]
    fn wake(&self) {
        // That there is nothing to receive this way is the usual answer; an interface that is down wakes up
        // by itself.
        let _ = rustix::net::recv(&self.fd, &mut [0_u8; 0][..], RecvFlags::DONTWAIT);
    }

    /// What was received and lost. Each packet that the program sent to this socket is in `received` or in
    /// [`Statistics::lost`], or still in the ring.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let kernel = sockopt::xdp_statistics(&self.fd)?;
        Ok(Statistics {
            received: self.received,
            rx_dropped: kernel.rx_dropped,
            rx_ring_full: kernel.rx_ring_full.unwrap_or(0),
            fill_ring_empty: kernel.rx_fill_ring_empty_descs.unwrap_or(0),
            rx_invalid: kernel.rx_invalid_descs,
            too_long: self.chain.too_long,
        })
    }

    /// Chunks that the kernel has ready for frames; at rest, as many as the ring has places.
    #[must_use]
    pub fn free_chunks(&self) -> u32 {
        self.fill.free()
    }
}

/// For the program's socket map, and for waiting.
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Chain {
    fn new() -> Self {
        let data = Vec::with_capacity(FRAME_BYTES_MAX);
        Self { meta: Meta::default(), data, wire_bytes: 0, begun: false, too_long: 0 }
    }

    fn begin(&mut self, meta: Meta) {
        self.data.clear();
        self.meta = meta;
        self.wire_bytes = 0;
        self.begun = true;
    }

    fn add(&mut self, data: &[u8]) {
        self.wire_bytes =
            self.wire_bytes.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        let room = FRAME_BYTES_MAX - self.data.len();
        self.data.extend_from_slice(data.get(..room).unwrap_or(data));
    }

    /// The whole packet, or nothing (counted) if it is longer than any frame.
    fn end(&mut self) -> Option<Received<'_>> {
        self.begun = false;
        if self.wire_bytes as usize > FRAME_BYTES_MAX {
            self.too_long += 1;
            return None;
        }
        Some(Received { meta: self.meta, data: &self.data, wire_bytes: self.wire_bytes })
    }
}
