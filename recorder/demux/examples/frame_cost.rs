//! What a frame costs: nanoseconds for each of a few shapes, the best of several rounds.
//!
//!     cargo run --release -p demux --example frame_cost

use std::hint::black_box;
use std::time::Instant;

use base::{Ledger, Timestamp};
use capture::{Frame, LinkType};
use demux::{Demux, Guess, Packet};

const ROUNDS: usize = 10;
const FRAMES: u64 = 2_000_000;
/// As many flows as frames are prepared, so that their bytes come from the cache but not from a register.
const FLOWS: usize = 256;

fn main() {
    let rtp = [&[0x80, 0x00, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4][..], &[0xd5; 160]].concat();
    report("Ethernet/IPv4/UDP/RTP, 214 bytes", &|flow| ethernet(flow, &rtp));
    report("the same with a VLAN tag", &|flow| {
        let mut frame = ethernet(flow, &rtp);
        frame.splice(12..12, [0x81, 0x00, 0x00, 0x64]).for_each(drop);
        frame
    });
    let dns = [&[0x12, 0x34, 0x01, 0x00, 0, 1][..], &[0; 40]].concat();
    report("Ethernet/IPv4/UDP/DNS, 88 bytes", &|flow| ethernet(flow, &dns));
    let sip = format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n{}\r\n", "X: y\r\n".repeat(100));
    report("Ethernet/IPv4/UDP/SIP", &|flow| ethernet(flow, sip.as_bytes()));
    let noise = (0..1_440_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    let bulk: Vec<u8> =
        [0, 0, 0, 9, 0x50, 0x10, 1, 1, 0, 0, 0, 0].into_iter().chain(noise).collect();
    report("Ethernet/IPv4/TCP without SIP, 1,494 bytes", &|flow| {
        let mut frame = ethernet(flow, &bulk);
        // What was the UDP header becomes ports and sequence number.
        frame.splice(23..24, [6]).for_each(drop);
        frame
    });
}

/// Checksums are left out: nobody looks at them.
fn ethernet(flow: usize, payload: &[u8]) -> Vec<u8> {
    let port = 10_000 + 2 * u16::try_from(flow).unwrap_or(0);
    let udp_bytes = 8 + u16::try_from(payload.len()).unwrap_or(0);
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0x00]);
    frame.extend((20 + udp_bytes).to_be_bytes());
    frame.extend([0, 0, 0x40, 0x00, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    frame.extend([port, 5_060, udp_bytes, 0].into_iter().flat_map(u16::to_be_bytes));
    frame.extend_from_slice(payload);
    frame
}

#[expect(clippy::disallowed_methods, reason = "this measures; nothing depends on the clock")]
fn report(what: &str, build: &dyn Fn(usize) -> Vec<u8>) {
    let frames: Vec<Vec<u8>> = (0..FLOWS).map(build).collect();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        run(&frames);
        best = best.min(begin.elapsed().as_secs_f64());
    }
    println!("{:6.1} ns  {what}", best * 1e9 / FRAMES as f64);
}

fn run(frames: &[Vec<u8>]) {
    let mut demux = Demux::new();
    let mut ledger = Ledger::default();
    let mut bytes = 0_u64;
    for (number, data) in (1..=FRAMES).zip(frames.iter().cycle()) {
        let frame = Frame {
            time: Timestamp::from_nanos(number * 10_000),
            link: black_box(LinkType::Ethernet),
            data,
            wire_bytes: u32::try_from(data.len()).unwrap_or(u32::MAX),
            number,
        };
        let handled = demux.frame(&frame, &mut ledger, &mut |_, packet| match packet {
            Packet::Udp { key, guess, payload, .. } => {
                black_box(key);
                bytes += payload.len() as u64 + u64::from(guess == Guess::Rtp);
            }
            Packet::Sip { message, .. } => bytes += message.len() as u64,
        });
        let _ = black_box(handled);
    }
    black_box(bytes);
}
