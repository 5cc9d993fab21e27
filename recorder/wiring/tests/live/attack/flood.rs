//! What an attacker sends, so many frames a second.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::net::SendFlags;

use crate::callers::frame::{self, Place};
use crate::wire::{now, sender};

/// How often a flood looks how much is due.
const SLICE: Duration = Duration::from_micros(500);
/// More than this at once it does not make up for: the machine is too slow.
const BURST_MAX: u64 = 2_000;
const UDP: u8 = 17;
const GRE: u8 = 47;
const IP_IN_IP: u8 = 4;
/// Ports that RTP comes from.
const RTP_SOURCES: u32 = 100_000;

/// One kind of attack.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Frames a second, at full rate.
    rate: f64,
    make: fn(&mut ChaCha8Rng, &mut Vec<u8>),
}

pub(super) const SIP: Part = Part { name: "SIP", rate: 50_000.0, make: sip };
pub(super) const RTP: Part = Part { name: "RTP", rate: 20_000.0, make: rtp };
pub(super) const FRAGMENTS: Part = Part { name: "fragments", rate: 5_000.0, make: fragment };
pub(super) const TUNNELS: Part = Part { name: "tunnels", rate: 5_000.0, make: tunnel };

pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Duration)>,
}

impl Flood {
    /// In the current thread's namespace, at `share` of the full rate.
    pub(super) fn start(part: Part, share: f64) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let socket = sender();
        let run = move || {
            let mut random = ChaCha8Rng::seed_from_u64(part.rate as u64);
            let (began, mut sent, mut forgiven, mut bytes) = (now(), 0, 0, Vec::new());
            while !stopping.load(Ordering::Relaxed) {
                let due = (began.elapsed().as_secs_f64() * part.rate * share) as u64 - forgiven;
                forgiven += due.saturating_sub(sent + BURST_MAX);
                let until = due.min(sent + BURST_MAX);
                while sent < until {
                    (part.make)(&mut random, &mut bytes);
                    assert_eq!(
                        rustix::net::send(&socket, &bytes, SendFlags::empty()),
                        Ok(bytes.len())
                    );
                    sent += 1;
                }
                std::thread::sleep(SLICE);
            }
            (sent, began.elapsed())
        };
        Self {
            stop,
            thread: std::thread::Builder::new().name(part.name.into()).spawn(run).unwrap(),
        }
    }

    /// Gives how many frames it sent, and in which time.
    pub(super) fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Anywhere but where the calls are.
fn address(random: &mut ChaCha8Rng) -> Ipv4Addr {
    Ipv4Addr::from(0xc612_0000 + random.random_range(0..0x2_0000))
}

fn place(random: &mut ChaCha8Rng, port: u16) -> Place {
    Place { ip: address(random), port }
}

/// INVITEs of calls that nobody answers; now and then garbage, or headers without end.
fn sip(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let (from, to) = (place(random, 5060), place(random, 5060));
    let id = random.next_u64();
    let mut text = format!(
        "INVITE sip:{id}@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {1}:5060;branch=z9hG4bK{id:x}\r\nMax-Forwards: 70\r\n\
         From: <sip:{id:x}@{1}>;tag={id:x}\r\nTo: <sip:{id}@{0}>\r\nCall-ID: {id:x}@attack\r\nCSeq: 1 INVITE\r\n",
        to.ip, from.ip
    );
    match random.random_range(0..20) {
        // A start line, and then nothing that a SIP message must have; or not even that.
        0 => text.truncate(text.find("From").unwrap()),
        3 => text.truncate(20),
        1 => (0..)
            .take_while(|it| *it < 25)
            .for_each(|it| write!(text, "X-{it}: {id:x}\r\n").unwrap()),
        2 => write!(text, "X: {}\r\n", "x".repeat(600)).unwrap(),
        _ => {}
    }
    let port = random.random_range(1_024_u16..65_000);
    let body = format!(
        "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8\r\n",
        from.ip
    );
    write!(text, "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    frame::udp(bytes, from, to, text.as_bytes());
}

/// What looks like RTP, each packet of another source than the one before.
fn rtp(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let source = random.random_range(0..RTP_SOURCES);
    let from = Place {
        ip: Ipv4Addr::from(0xc633_6400 + source / 50_000),
        port: (10_000 + source % 50_000) as u16,
    };
    let to = Place { ip: Ipv4Addr::new(203, 0, 113, 1), port: (10_000 + source % 50_000) as u16 };
    let mut packet = [0x55; 172];
    random.fill_bytes(&mut packet[2..12]);
    packet[..2].copy_from_slice(&[0x80, 0]);
    frame::udp(bytes, from, to, &packet);
}

/// A first or a middle part of a datagram of which nothing else comes.
fn fragment(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    let id = random.random();
    let offset = if random.random() { 0 } else { random.random_range(1..8_000) };
    let payload = [0x20; 1_400];
    let mut packet = Vec::new();
    let part = frame::Part { id, offset, more: true };
    frame::ipv4(&mut packet, address(random), address(random), part, UDP, &payload);
    frame::ethernet(bytes, &packet);
}

/// IP in GRE in IP in GRE, as deep as a frame has room for; RTP in it.
fn tunnel(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    rtp(random, bytes);
    let whole = frame::Part { id: 0, offset: 0, more: false };
    let mut inner = bytes.split_off(frame::ETHERNET_BYTES);
    for depth in 0..random.random_range(1..40) {
        let mut packet = Vec::new();
        let (protocol, payload) = match depth % 2 {
            // RFC 2784, 2.1: no checksum, version 0, IPv4.
            0 => (GRE, [&[0, 0, 8, 0], &inner[..]].concat()),
            _ => (IP_IN_IP, inner),
        };
        frame::ipv4(&mut packet, address(random), address(random), whole, protocol, &payload);
        inner = packet;
    }
    frame::ethernet(bytes, &inner);
}
