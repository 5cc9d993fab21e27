//! Ports and SSRCs of a copy: in packets, and where SDP names them.
//!
//! Both are moved by a rule, not by a table, so that a number means the same wherever it is met first. Two numbers of one
//! copy never become the same one, nor does an SSRC in two copies.

use std::ops::RangeInclusive;

/// Ports below stay: they are services'.
const PORT_MIN: u32 = 1_024;
/// So many are moved around; even, so that a port stays even or odd, and RTCP's stays the one above RTP's.
const PORTS: u32 = 65_536 - PORT_MIN;
/// Ports that mean something to the recorder, as pairs of an even and an odd one: GTP, VXLAN (two), SIP, Geneve.
const PORTS_OF_MEANING: [RangeInclusive<u16>; 5] =
    [2_152..=2_153, 4_788..=4_789, 5_060..=5_101, 6_080..=6_081, 8_472..=8_473];
/// Copies are so far apart (2^32 by the golden ratio; odd, so that no two copies are at the same place).
const SSRC_STEP: u32 = 0x9e37_79b9;

const RTP_SSRC_AT: usize = 8;
const RTP_SOURCES_AT: usize = 12;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const FEEDBACK: RangeInclusive<u8> = 205..=206;
const SENDER_BLOCKS_AT: usize = 28;
const RECEIVER_BLOCKS_AT: usize = 8;
const REPORT_BLOCK_BYTES: usize = 24;

/// The port of media in a copy.
pub(super) fn port(copy: u32, of: u16) -> u16 {
    let means_something = |port: u16| PORTS_OF_MEANING.iter().any(|range| range.contains(&port));
    if u32::from(of) < PORT_MIN || means_something(of) {
        return of;
    }
    let step = copy % (PORTS / 2) * 2;
    let mut port = of;
    loop {
        port = (PORT_MIN + (u32::from(port) - PORT_MIN + step) % PORTS) as u16;
        // Ends at the latest where it began.
        if !means_something(port) {
            return port;
        }
    }
}

/// The SSRC in a copy.
pub(super) const fn ssrc(copy: u32, of: u32) -> u32 {
    of.wrapping_add(copy.wrapping_mul(SSRC_STEP))
}

/// An RTP packet's SSRC and contributing sources (RFC 3550, 5.1). What was cut off stays unknown.
pub(super) fn rtp(copy: u32, packet: &mut [u8]) {
    let Some(first) = packet.first() else { return };
    let sources = usize::from(first & 0x0f);
    replace(copy, packet, RTP_SSRC_AT);
    (0..sources).for_each(|number| replace(copy, packet, RTP_SOURCES_AT + 4 * number));
}

/// The SSRCs in a compound of RTCP packets (RFC 3550, 6.4 to 6.7; RFC 4585, 6.1). Packets of other types (RFC 3611) have
/// their sender's only.
pub(super) fn rtcp(copy: u32, compound: &mut [u8]) {
    let mut rest = compound;
    while let Some(&[first, kind, high, low]) = rest.first_chunk::<4>() {
        let bytes = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        if first >> 6 != 2 {
            return;
        }
        let (packet, after) = rest.split_at_mut(bytes.min(rest.len()));
        one_of_rtcp(copy, usize::from(first & 0x1f), kind, packet);
        rest = after;
    }
}

fn one_of_rtcp(copy: u32, count: usize, kind: u8, packet: &mut [u8]) {
    let blocks_at = match kind {
        SENDER_REPORT => SENDER_BLOCKS_AT,
        RECEIVER_REPORT => RECEIVER_BLOCKS_AT,
        SOURCE_DESCRIPTION => return descriptions(copy, count, packet),
        GOODBYE => {
            return (0..count).for_each(|number| replace(copy, packet, 4 + 4 * number));
        }
        _ => {
            replace(copy, packet, 4);
            if FEEDBACK.contains(&kind) {
                replace(copy, packet, 8);
            }
            return;
        }
    };
    replace(copy, packet, 4);
    (0..count).for_each(|number| replace(copy, packet, blocks_at + REPORT_BLOCK_BYTES * number));
}

/// Chunks of an SSRC and items, which end with a zero and are padded to words (RFC 3550, 6.5).
fn descriptions(copy: u32, count: usize, packet: &mut [u8]) {
    let mut at = 4;
    for _ in 0..count {
        replace(copy, packet, at);
        at += 4;
        while let Some(&[kind, bytes]) = packet.get(at..).and_then(|rest| rest.first_chunk::<2>())
            && kind != 0
        {
            at += 2 + usize::from(bytes);
        }
        at = (at + 4) & !3;
    }
}

fn replace(copy: u32, packet: &mut [u8], at: usize) {
    let place = packet.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>());
    if let Some(bytes) = place {
        *bytes = ssrc(copy, u32::from_be_bytes(*bytes)).to_be_bytes();
    }
}

/// What a number in SDP is.
#[derive(Clone, Copy)]
enum Names {
    Port,
    Ssrc,
}

/// A line of SDP with its ports, and with its SSRCs if they are to be the copy's own.
pub(super) fn sdp_line(copy: u32, line: &[u8], own_ssrcs: bool) -> Vec<u8> {
    let (mut new, mut done) = (Vec::with_capacity(line.len() + 8), 0);
    for (at, names) in numbers_in(line) {
        let digits = line.get(at..).unwrap_or_default();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = digits.get(..length).and_then(|digits| std::str::from_utf8(digits).ok());
        let moved = match (names, text.unwrap_or_default()) {
            (Names::Port, text) => text.parse().ok().map(|of| u32::from(port(copy, of))),
            (Names::Ssrc, text) if own_ssrcs => text.parse().ok().map(|of| ssrc(copy, of)),
            (Names::Ssrc, _) => None,
        };
        if let Some(moved) = moved {
            new.extend(line.get(done..at).unwrap_or_default());
            new.extend(moved.to_string().bytes());
            done = at + length;
        }
    }
    new.extend(line.get(done..).unwrap_or_default());
    new
}

/// Where a line of SDP has ports (RFC 8866, 5.14; RFC 3605; RFC 8839, 5.1) and SSRCs (RFC 5576), in their order.
fn numbers_in(line: &[u8]) -> Vec<(usize, Names)> {
    let blanks = line.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    let words: Vec<usize> = blanks.map(|(at, _)| at + 1).collect();
    let attribute = |name: &[u8]| line.starts_with(name).then_some(name.len());
    if line.starts_with(b"m=") {
        return words.first().map(|at| (*at, Names::Port)).into_iter().collect();
    }
    if let Some(at) = attribute(b"a=rtcp:") {
        return vec![(at, Names::Port)];
    }
    if let Some(at) = attribute(b"a=ssrc:") {
        return vec![(at, Names::Ssrc)];
    }
    if attribute(b"a=ssrc-group:").is_some() {
        return words.into_iter().map(|at| (at, Names::Ssrc)).collect();
    }
    if attribute(b"a=candidate:").is_none() {
        return Vec::new();
    }
    let related = |at: &usize| line.get(..*at).is_some_and(|before| before.ends_with(b" rport "));
    let ports = words.iter().enumerate().filter(|(number, at)| *number == 4 || related(at));
    ports.map(|(_, at)| (*at, Names::Port)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports_of_a_copy_are_all_there_are_in_pairs() {
        for copy in [0, 1, 7, 2_018, 10_000, 32_256, u32::MAX] {
            let moved: HashSet<u16> = (0..=u16::MAX).map(|of| port(copy, of)).collect();
            assert_eq!(moved.len(), 65_536, "copy {copy}");
            for even in (PORT_MIN as u16..65_535).step_by(2) {
                assert_eq!(port(copy, even) + 1, port(copy, even + 1), "copy {copy}");
            }
            for of in [53, 1_023, 2_152, 4_789, 5_060, 8_472] {
                assert_eq!(port(copy, of), of);
            }
        }
        assert_eq!([port(1, 4_000), port(2, 4_000), port(1, 65_534)], [4_002, 4_004, 1_024]);
    }

    #[test]
    fn ssrcs_of_copies_differ() {
        let copies: HashSet<u32> = (0..=10_000).map(|copy| ssrc(copy, 0xdead_beef)).collect();
        assert_eq!(copies.len(), 10_001);
    }

    #[test]
    fn a_packets_sources_are_the_copys() {
        let mut packet = vec![0x82, 0, 0, 1, 0, 0, 0, 2];
        for word in [7_u32, 8, 9, 10] {
            packet.extend(word.to_be_bytes());
        }
        let before = packet.clone();
        rtp(3, &mut packet);
        assert_eq!(packet[..8], before[..8]);
        let words = packet[8..].chunks_exact(4);
        let words: Vec<u32> = words.map(|it| u32::from_be_bytes(it.try_into().unwrap())).collect();
        assert_eq!(
            words,
            [ssrc(3, 7), ssrc(3, 8), ssrc(3, 9), 10],
            "two contribute, the rest is sound"
        );
    }

    #[test]
    fn reports_name_the_copys_streams() {
        let report = |of: fn(u32) -> u32| {
            let mut bytes = vec![0x81, SENDER_REPORT, 0, 12];
            bytes.extend(of(7).to_be_bytes());
            bytes.extend([1; 20]);
            bytes.extend(of(8).to_be_bytes());
            bytes.extend([2; 20]);
            bytes.extend([0x82, SOURCE_DESCRIPTION, 0, 6]);
            bytes.extend(of(7).to_be_bytes());
            bytes.extend(b"\x01\x05a@b.c\0");
            bytes.extend(of(9).to_be_bytes());
            bytes.extend(b"\x01\x02me\0\0\0\0");
            bytes.extend([0x81, GOODBYE, 0, 1]);
            bytes.extend(of(7).to_be_bytes());
            bytes.extend([0x81, 206, 0, 2]);
            bytes.extend(of(7).to_be_bytes());
            bytes.extend(of(8).to_be_bytes());
            bytes
        };
        let mut compound = report(|it| it);
        rtcp(5, &mut compound);
        assert_eq!(compound, report(|it| ssrc(5, it)));
    }

    #[test]
    fn sdp_names_the_copys_ports_and_streams() {
        let line = |text: &str| String::from_utf8(sdp_line(1, text.as_bytes(), true)).unwrap();
        for (from, to) in [
            ("m=audio 4000 RTP/AVP 0 8 101\r\n", "m=audio 4002 RTP/AVP 0 8 101\r\n"),
            ("m=audio 4000/2 RTP/AVP 0\n", "m=audio 4002/2 RTP/AVP 0\n"),
            ("m=video 0 RTP/AVP 96\r\n", "m=video 0 RTP/AVP 96\r\n"),
            ("a=rtcp:4001 IN IP4 192.0.2.1\r\n", "a=rtcp:4003 IN IP4 192.0.2.1\r\n"),
            (
                "a=candidate:1 1 UDP 99 192.0.2.1 4000 typ srflx raddr 10.1.1.1 rport 6000\r\n",
                "a=candidate:1 1 UDP 99 192.0.2.1 4002 typ srflx raddr 10.1.1.1 rport 6002\r\n",
            ),
            ("a=ssrc:1 cname:4000\r\n", "a=ssrc:2654435770 cname:4000\r\n"),
            ("a=ssrc-group:FID 1 2\r\n", "a=ssrc-group:FID 2654435770 2654435771\r\n"),
            ("a=rtpmap:101 telephone-event/8000\r\n", "a=rtpmap:101 telephone-event/8000\r\n"),
            ("m=audio 99999 RTP/AVP 0", "m=audio 99999 RTP/AVP 0"),
            ("m=", "m="),
        ] {
            assert_eq!(line(from), to);
        }
        assert_eq!(sdp_line(1, b"a=ssrc:1 x", false), b"a=ssrc:1 x");
    }

    proptest! {
        /// Whatever the bytes: no panic, the same length.
        #[test]
        fn any_bytes_are_taken_for_packets(bytes in prop::collection::vec(any::<u8>(), 0..200), copy: u32) {
            for rewrite in [rtp, rtcp] {
                let mut packet = bytes.clone();
                rewrite(copy, &mut packet);
                prop_assert_eq!(packet.len(), bytes.len());
            }
            sdp_line(copy, &bytes, true);
        }
    }
}
