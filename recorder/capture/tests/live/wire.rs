//! A namespace with a pair of virtual Ethernet interfaces: what is sent on `far0` is received on `span0`.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base::Timestamp;
use capture::packet_socket::{Options, Statistics};
use capture::{CaptureError, Frame, PacketSource, Poll, Source as _};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// The end that is captured on.
pub(crate) const SPAN: &str = "span0";
/// The end that is sent on.
pub(crate) const FAR: &str = "far0";

/// Long enough for anything that happens in the same machine, however loaded.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pair, in the namespace of the calling thread.
pub(crate) struct Wire {
    sender: OwnedFd,
}

/// Runs a test in a namespace of its own, in a thread of its own.
#[expect(clippy::disallowed_methods, reason = "a namespace is a thread's")]
pub(crate) fn with_wire(test: fn(&Wire)) {
    let missing = match (rustix::process::geteuid().is_root(), run_quietly("ip", &["-V"])) {
        (false, _) => Some("needs root"),
        (true, false) => Some("needs the program ip (package iproute2)"),
        (true, true) => None,
    };
    if let Some(reason) = missing {
        let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        // Past the test harness, which would swallow it.
        let line = format!("skipped: {name}: {reason} ({count} so far)\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    let run = move || {
        enter_namespace();
        test(&Wire::new());
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

#[expect(unsafe_code, reason = "a thread that leaves its namespaces")]
fn enter_namespace() {
    // SAFETY: no descriptor table is left, so that no other thread's descriptors change meaning.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
    // So that /sys shows this namespace's interfaces, here only.
    run("mount", &["--make-rprivate", "/"]);
    run("mount", &["-t", "sysfs", "sysfs", "/sys"]);
    // The host sends nothing of its own (neighbour discovery) that the tests would have to tell apart.
    for which in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        // A kernel without IPv6 has nothing to switch off.
        let _ = std::fs::write(path, "1");
    }
}

impl Wire {
    fn new() -> Self {
        add_pair();
        Self { sender: direct_sender(FAR) }
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) {
        let sent = rustix::net::send(&self.sender, frame, SendFlags::empty()).unwrap();
        assert_eq!(sent, frame.len());
    }
}

/// Makes the pair and brings it up.
pub(crate) fn add_pair() {
    ip(&["link", "add", SPAN, "type", "veth", "peer", "name", FAR]);
    ip(&["link", "set", SPAN, "up"]);
    ip(&["link", "set", FAR, "up"]);
}

/// A socket that sends on an interface.
#[expect(unsafe_code, reason = "an address that rustix does not know")]
pub(crate) fn sender(interface: &str) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).unwrap();
    let index = capture::nic::Link::find(interface).unwrap().index;
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address) as u32;
    // SAFETY: an address of that length, which the kernel reads.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    socket
}

/// The same, past the interface's queue: what does not go out at once is an error. Who captures what is sent does not
/// see it.
#[expect(unsafe_code, reason = "an option that rustix does not know")]
pub(crate) fn direct_sender(interface: &str) -> OwnedFd {
    let socket = sender(interface);
    let (bypass, length) = (1_u32, size_of::<u32>() as u32);
    // SAFETY: a number, which the kernel reads.
    let result = unsafe {
        let value = (&raw const bypass).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_QDISC_BYPASS,
            value,
            length,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    socket
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
}

fn run_quietly(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// An Ethernet frame for another host's address, with `tags` before its type and `payload` behind it.
pub(crate) fn frame(tags: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 0x77, 0x02, 0, 0, 0, 0, 0x01];
    frame.extend(tags);
    frame.extend([0x88, 0xb5]); // for local experiments (IEEE 802)
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A ring that is quick to make.
pub(crate) fn small() -> Options {
    Options { block_bytes: 512 * 1024, blocks: 8, ..Options::default() }
}

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) time: Timestamp,
    pub(crate) data: Vec<u8>,
    pub(crate) wire_bytes: u32,
    pub(crate) number: u64,
}

/// What a source gives.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) seen: Vec<Seen>,
}

impl Reader {
    /// One look.
    pub(crate) fn poll(&mut self, source: &mut PacketSource) -> Result<Poll, CaptureError> {
        source.poll(&mut |frame: Frame<'_>| {
            let Frame { time, wire_bytes, number, .. } = frame;
            self.seen.push(Seen { time, data: frame.data.to_vec(), wire_bytes, number });
        })
    }

    /// Reads until there are `frames`.
    pub(crate) fn read(&mut self, source: &mut PacketSource, frames: usize) {
        let begun = now();
        while self.seen.len() < frames {
            assert!(begun.elapsed() < PATIENCE, "{} of {frames} frames came", self.seen.len());
            if self.poll(source).unwrap() == Poll::Idle {
                source.wait(Duration::from_millis(50)).unwrap();
            }
        }
    }

    /// Reads what is still to come, to the end.
    pub(crate) fn finish(&mut self, source: &mut PacketSource) -> Statistics {
        source.stop().unwrap();
        let begun = now();
        while self.poll(source).unwrap() != Poll::End {
            assert!(begun.elapsed() < PATIENCE, "the source does not end");
            source.wait(Duration::from_millis(5)).unwrap();
        }
        source.statistics().unwrap()
    }
}

/// Waits for something to happen.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits")]
fn now() -> Instant {
    Instant::now()
}
