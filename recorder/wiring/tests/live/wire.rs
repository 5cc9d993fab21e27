//! A namespace with a pair of virtual Ethernet interfaces, and captures played onto it in real time.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use capture::{Merged, Poll, Source as _};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// The end that is captured on.
pub(crate) const SPAN: &str = "span0";
/// The end that is sent on.
pub(crate) const FAR: &str = "far0";

/// Runs a test in a namespace of its own, in a thread of its own.
pub(crate) fn with_wire(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return skip("needs root");
    }
    let run = move || {
        enter_namespace();
        add_pair();
        test();
    };
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    if let Err(panic) = std::thread::Builder::new().name(name).spawn(run).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Says that the current test cannot run, past the test harness, which would swallow it.
pub(crate) fn skip(why: &str) {
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let current = std::thread::current();
    let name = current.name().unwrap_or("a test");
    let line = format!("skipped: {name}: {why} ({count} so far)\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Puts the current thread, and the programs that it starts, into a new network namespace.
#[expect(unsafe_code, reason = "a thread that leaves its namespace")]
pub(crate) fn enter_namespace() {
    // SAFETY: no descriptor table is left, so that no other thread's descriptors change meaning.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
}

/// Makes the pair and brings it up.
pub(crate) fn add_pair() {
    add_pair_of_queues(4);
}

/// The same with so many queues.
pub(crate) fn add_pair_of_queues(count: u32) {
    let count = count.to_string();
    let queues = ["numrxqueues", &count, "numtxqueues", &count];
    let link =
        [&["link", "add", SPAN], &queues[..], &["type", "veth", "peer", "name", FAR]].concat();
    ip(&[&link[..], &queues[..]].concat());
    for interface in [SPAN, FAR] {
        bring_up(interface);
    }
}

/// Brings an interface up, on which the kernel itself says nothing.
pub(crate) fn bring_up(interface: &str) {
    ip(&["link", "set", interface, "addrgenmode", "none"]);
    ip(&["link", "set", interface, "up"]);
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &[&str]) {
    output_of("ip", arguments).unwrap();
}

/// Runs a program; gives what it prints, or what it says is wrong.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|it| it.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{program} {}: {}", arguments.join(" "), text(&output.stderr))),
    }
}

/// How many frames were sent on the far end.
pub(crate) fn sent() -> u64 {
    let told = output_of("ip", &["-s", "-j", "link", "show", FAR]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
}

#[expect(unsafe_code, reason = "an address that rustix does not know")]
pub(crate) fn sender() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).unwrap();
    let index = capture::nic::Link::find(FAR).unwrap().index;
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

/// What was sent.
pub(crate) struct Played {
    pub(crate) frames: u64,
    /// How much later than due a frame was sent, at worst.
    pub(crate) late: Duration,
}

/// Sends the frames of a capture at the pace at which they were captured.
pub(crate) fn play(capture: &Path) -> Played {
    play_begin(capture, Duration::MAX)
}

/// The same for the frames of its first so many seconds.
pub(crate) fn play_begin(capture: &Path, length: Duration) -> Played {
    let socket = sender();
    let mut source = Merged::open(&[PathBuf::from(capture)]).unwrap();
    let (mut first, began) = (None, now());
    let mut played = Played { frames: 0, late: Duration::ZERO };
    let mut send = |frame: capture::Frame<'_>| {
        let due = frame.time.since(*first.get_or_insert(frame.time));
        if due > length {
            return;
        }
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        match rustix::net::send(&socket, frame.data, SendFlags::empty()) {
            // The other end is down: nothing takes the frame, as on a port without a link.
            Err(Errno::NOBUFS) => {}
            sent => {
                assert_eq!(sent, Ok(frame.data.len()));
                played.frames += 1;
            }
        }
        played.late = played.late.max(began.elapsed().saturating_sub(due));
    };
    while source.poll(&mut send).unwrap() != Poll::End {}
    played
}

/// Sends the frames of a capture, over and over, as fast as it goes.
pub(crate) fn flood(capture: &Path, count: usize) {
    let socket = sender();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut source = Merged::open(&[PathBuf::from(capture)]).unwrap();
    while source.poll(&mut |frame| frames.push(frame.data.to_vec())).unwrap() != Poll::End {}
    for frame in frames.iter().cycle().take(count) {
        rustix::net::send(&socket, frame, SendFlags::empty()).unwrap();
    }
}

/// Waits for something to happen.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that waits")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
