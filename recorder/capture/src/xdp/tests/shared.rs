//! The program for an interface that is shared with the host.

use abi::{COPY_DATA_BYTES, Reason};

use super::frames::*;
use super::rig::{PASS, with};
use crate::xdp::{Mode, Settings};

fn shared(copies_bytes: u32) -> Settings {
    Settings { mode: Mode::Shared { copies_bytes }, ..Settings::default() }
}

/// Signalling in a frame of so many bytes.
fn frame_of(bytes: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..bytes - 42).map(|at| at as u8).collect();
    ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, &payload)))
}

#[test]
fn everything_is_passed_and_what_is_selected_is_copied() {
    // The longest that a test run takes is a page less headroom; larger ones come in several buffers.
    let sizes = [60, 214, 255, 256, 257, 1514, 1536, 1537, 3000, 9014, 9216, 9217, 30_000];
    with(&shared(1 << 20), |rig| {
        let mut copies = rig.program.take_copies().unwrap();
        for bytes in sizes {
            let frame = frame_of(bytes);
            let ran = rig.run(&frame);
            assert_eq!((ran.action, ran.reason, ran.meta), (PASS, Reason::Signalling, None));
            let mut seen = 0;
            let drained = copies.drain(8, &mut |packet| {
                seen += 1;
                assert_eq!(packet.data, frame);
                assert_eq!(packet.wire_bytes as usize, bytes);
                assert_eq!((packet.meta.l4, packet.meta.payload), (34, 42));
                assert!(packet.meta.time > 0);
            });
            assert_eq!((drained, seen), (1, 1), "{bytes} bytes");
        }
        let ran = rig.run(&ethernet(0x0806, &[0; 46]));
        assert_eq!((ran.action, ran.reason), (PASS, Reason::NotIp));
        assert_eq!(copies.drain(8, &mut |_| panic!("nothing was selected")), 0);
    });
}

#[test]
fn a_full_ring_is_counted_and_the_host_keeps_its_traffic() {
    with(&shared(65_536), |rig| {
        let mut copies = rig.program.take_copies().unwrap();
        let frame = frame_of(1000);
        let room = 65_536 / (COPY_DATA_BYTES[1] as u64 + 40 + 8);
        for _ in 0..room + 10 {
            assert_eq!(rig.run(&frame).action, PASS);
        }
        let counters = rig.program.counters().unwrap();
        let copied = counters.of(Reason::Signalling);
        assert!((room - 1..=room).contains(&copied), "{copied} of {room}");
        assert_eq!(counters.of(Reason::CopiesFull), room + 10 - copied);
        assert_eq!(counters.lost(), counters.of(Reason::CopiesFull));
        let batch = usize::try_from(copied).unwrap() + 1;
        assert_eq!(copies.drain(batch, &mut |packet| assert_eq!(packet.data, frame)), batch - 1);
        assert_eq!(rig.run(&frame).reason, Reason::Signalling);
    });
}
