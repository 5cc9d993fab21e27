//! A network namespace with a pair of virtual interfaces, and the calls of a capture sent over it in real time.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use base::Timestamp;
use capture::{Merged, Poll, Source as _};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

use super::rig::{command, now};

/// The end that is captured on.
pub(super) const SPAN: &str = "span0";
/// The end that is sent on.
const FAR: &str = "far0";

/// Gives this thread, and what it starts, a network and mounts of its own; both are gone with it.
#[expect(unsafe_code, reason = "a thread that leaves its namespaces")]
pub(super) fn enter_namespaces() {
    // SAFETY: no descriptor table is left, so that no other thread's descriptors change meaning.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
        .expect("root may unshare");
    command("mount", &["--make-rprivate", "/"]);
    command("ip", &["link", "add", SPAN, "type", "veth", "peer", "name", FAR]);
    for interface in [SPAN, FAR] {
        command("ip", &["link", "set", interface, "addrgenmode", "none"]);
        command("ip", &["link", "set", interface, "up"]);
    }
}

/// Calls on their way.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<Sent>>,
}

/// What was sent when.
pub(super) struct Sent {
    /// The beginning, on the clock that the recorder's kernel stamps packets with.
    began: (Instant, Timestamp),
    /// By the times of the capture, in the order of sending.
    frames: Vec<(Timestamp, Instant)>,
}

impl Sent {
    /// When the frame that the capture has at `time` was sent.
    pub(super) fn at(&self, time: Timestamp) -> Instant {
        let place = self.frames.partition_point(|(other, _)| *other < time);
        self.frames.get(place).map(|(_, sent)| *sent).expect("every frame was sent")
    }

    /// The same on the wall clock.
    pub(super) fn wall(&self, time: Timestamp) -> Timestamp {
        let (began, wall) = self.began;
        wall.plus(self.at(time).saturating_duration_since(began))
    }
}

impl Traffic {
    /// Sends the frames of `capture` at their own pace from now on.
    pub(super) fn start(capture: &Path) -> Self {
        let mut frames: Vec<(Timestamp, Vec<u8>)> = Vec::new();
        let mut source = Merged::open(&[PathBuf::from(capture)]).expect("the capture opens");
        let mut take = |frame: capture::Frame<'_>| frames.push((frame.time, frame.data.to_vec()));
        while source.poll(&mut take).expect("the capture is whole") != Poll::End {}
        let (socket, stop) = (sender(), Arc::new(AtomicBool::new(false)));
        let theirs = Arc::clone(&stop);
        let sender = std::thread::Builder::new()
            .name("wire".into())
            .spawn(move || send(&socket, &frames, &theirs))
            .expect("a thread starts");
        Self { stop, sender: Some(sender) }
    }

    /// Waits for the last frame.
    pub(super) fn join(mut self) -> Sent {
        self.sender.take().expect("joined once").join().expect("all is sent")
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn send(socket: &OwnedFd, frames: &[(Timestamp, Vec<u8>)], stop: &AtomicBool) -> Sent {
    let (began, wall, mut sent) = (now(), wall_clock(), Vec::with_capacity(frames.len()));
    let first = frames.first().map_or(Timestamp::ZERO, |(time, _)| *time);
    for (time, bytes) in frames {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(time.since(first).saturating_sub(began.elapsed()));
        // Before it is on the wire: what is counted as sent may only be older than it is.
        sent.push((*time, now()));
        let length = rustix::net::send(socket, bytes, SendFlags::empty());
        assert_eq!(length, Ok(bytes.len()));
    }
    Sent { began: (began, wall), frames: sent }
}

#[expect(clippy::disallowed_methods, reason = "a recording says when it was heard")]
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.plus(since)
}

#[expect(unsafe_code, reason = "an address that rustix does not know")]
fn sender() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
        .expect("root may open a packet socket");
    let index = capture::nic::Link::find(FAR).expect("the interface is there").index;
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
