//! AF_PACKET sockets (packet(7)): opening one, its options, binding it to an interface; and busy polling, for any
//! kind of socket.
#![expect(unsafe_code, reason = "socket options and addresses that rustix does not know")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Every protocol, in network byte order.
const ALL_PROTOCOLS: u16 = (libc::ETH_P_ALL as u16).to_be();

/// `struct packet_mreq`: what a socket asks of an interface.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Membership {
    index: u32,
    kind: u16,
    address_bytes: u16,
    address: [u8; 8],
}

/// `struct tpacket_req3`: the size of a ring.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct RingRequest {
    pub(crate) block_bytes: u32,
    pub(crate) blocks: u32,
    pub(crate) frame_bytes: u32,
    pub(crate) frames: u32,
    pub(crate) block_timeout_milliseconds: u32,
    pub(crate) private_bytes: u32,
    pub(crate) features: u32,
}

/// `struct tpacket_stats_v3`. Reading it sets the kernel's to zero.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RingStatistics {
    /// Those that were dropped included.
    pub(crate) packets: u32,
    pub(crate) drops: u32,
    pub(crate) freezes: u32,
}

/// An AF_PACKET socket.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a socket that receives nothing yet.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?))
    }

    /// Sets an option that is a number.
    pub(crate) fn set_number(&self, option: libc::c_int, value: u32) -> io::Result<()> {
        self.set(libc::SOL_PACKET, option, value.as_bytes())
    }

    /// Makes the ring. It must not be done while a ring is mapped.
    pub(crate) fn set_ring(&self, request: &RingRequest) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, request.as_bytes())
    }

    /// Has the interface take every frame, until this socket is closed, by whatever kills its process.
    pub(crate) fn make_promiscuous(&self, index: u32) -> io::Result<()> {
        let kind = libc::PACKET_MR_PROMISC as u16;
        let membership = Membership { index, kind, address_bytes: 0, address: [0; 8] };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, membership.as_bytes())
    }

    /// What the ring has counted since this was last asked.
    pub(crate) fn take_statistics(&self) -> io::Result<RingStatistics> {
        let mut statistics = RingStatistics::default();
        let bytes = statistics.as_mut_bytes();
        let mut length = bytes.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `bytes`, which has them.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                bytes.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        checked(result).map(|()| statistics)
    }

    /// Receives from an interface from now on, every protocol.
    pub(crate) fn bind(&self, index: u32) -> io::Result<()> {
        self.bind_for(index, ALL_PROTOCOLS)
    }

    /// Sends on an interface from now on, and receives nothing.
    pub(crate) fn bind_to_send(&self, index: u32) -> io::Result<()> {
        self.bind_for(index, 0)
    }

    fn bind_for(&self, index: u32, protocol: u16) -> io::Result<()> {
        let mut address = address();
        address.sll_protocol = protocol;
        address.sll_ifindex = index.cast_signed();
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is a `sockaddr_ll` of that length, which the kernel reads.
        let result = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) };
        checked(result)
    }

    /// Whether the interface that it was bound to is still there.
    pub(crate) fn is_bound(&self) -> io::Result<bool> {
        let mut address = address();
        let mut length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `address`, which has them, all of them numbers.
        let result = unsafe {
            libc::getsockname(self.0.as_raw_fd(), (&raw mut address).cast(), &raw mut length)
        };
        checked(result).map(|()| address.sll_ifindex > 0)
    }

    /// Refuses every packet from now on, or no longer does. Refused packets are not counted.
    pub(crate) fn refuse_all(&self, refuse: bool) -> io::Result<()> {
        if !refuse {
            return self.set(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0_u32.as_bytes());
        }
        // `ret 0`: take no byte of it.
        let mut instruction =
            libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
        let program = libc::sock_fprog { len: 1, filter: &raw mut instruction };
        // SAFETY: the kernel reads the program, and the one instruction that it points to, which outlive the
        // call.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of_val(&program) as libc::socklen_t,
            )
        };
        checked(result)
    }

    /// Sets an option that has no pointers in it.
    fn set(&self, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
        set(self.0.as_fd(), level, option, value)
    }
}

/// Has the kernel look for packets on the card when a socket asks for some, at most for so long and so many, and
/// the card keep its interrupts back meanwhile (`SO_PREFER_BUSY_POLL`; Documentation/networking/napi.rst).
pub(crate) fn set_busy_poll(
    socket: BorrowedFd<'_>,
    microseconds: u32,
    packets: u32,
) -> io::Result<()> {
    let options = [
        (libc::SO_PREFER_BUSY_POLL, 1),
        (libc::SO_BUSY_POLL, microseconds),
        (libc::SO_BUSY_POLL_BUDGET, packets),
    ];
    let set = |(option, value): (_, u32)| set(socket, libc::SOL_SOCKET, option, value.as_bytes());
    options.into_iter().try_for_each(set)
}

/// Sets an option that has no pointers in it.
fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`; the options that this is called for hold numbers
    // only, through which it reaches no other memory.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length)
    };
    checked(result)
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn address() -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::sa_family_t,
        sll_protocol: 0,
        sll_ifindex: 0,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
