//! Sender reports: where a sender says which RTP timestamp belongs to which moment of its wall clock.
//!
//! RFC 3550, 6.4.1. Parsing is by `rtcp-types`; everything else in RTCP is kept as packets, unread.

use base::Timestamp;
use rtcp_types::{Compound, Packet};

/// Bytes before a sender report's content: the common header and the SSRC.
const HEADER_BYTES: usize = 8;

/// What one sender report says about its sender's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderClock {
    /// When the report arrived.
    pub time: Timestamp,
    /// Whose report.
    pub ssrc: u32,
    /// The sender's wall clock: seconds since 1900, 32.32 fixed point.
    pub ntp: u64,
    /// The RTP timestamp of that moment.
    pub rtp: u32,
}

/// Whether a datagram on a media port is RTCP and not RTP (RFC 5761, 4): version 2, packet type 192 to
/// 223, and a first length that fits.
#[inline]
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    match datagram.first_chunk::<HEADER_BYTES>() {
        Some([flags, 192..=223, high, low, ..]) if flags >> 6 == 2 => {
            (usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4 <= datagram.len()
        }
        _ => false,
    }
}

/// The sender reports of one compound RTCP packet that arrived at `time`. Damaged or encrypted packets
/// give none.
pub fn sender_clocks(time: Timestamp, datagram: &[u8], mut found: impl FnMut(SenderClock)) {
    let Ok(compound) = Compound::parse(datagram) else { return };
    for packet in compound {
        let Ok(Packet::Sr(report)) = packet else { continue };
        let (ntp, rtp) = (report.ntp_timestamp(), report.rtp_timestamp());
        // "It MAY set the NTP timestamp to zero" if it has no notion of time (6.4.1).
        if ntp != 0 {
            found(SenderClock { time, ssrc: report.ssrc(), ntp, rtp });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtcp_types::prelude::*;
    use rtcp_types::{ReportBlock, Sdes, SenderReport};

    fn report() -> Vec<u8> {
        let sr = SenderReport::builder(0x1234_5678)
            .ntp_timestamp(0x1_8000_0000)
            .rtp_timestamp(160)
            .add_report_block(ReportBlock::builder(7));
        let compound = Compound::builder().add_packet(sr).add_packet(Sdes::builder());
        let mut bytes = vec![0; compound.calculate_size().unwrap()];
        compound.write_into(&mut bytes).unwrap();
        bytes
    }

    fn clocks(bytes: &[u8]) -> Vec<SenderClock> {
        let mut all = Vec::new();
        sender_clocks(Timestamp::from_nanos(9), bytes, |clock| all.push(clock));
        all
    }

    #[test]
    fn a_compound_packet_gives_its_sender_report() {
        let bytes = report();
        assert!(is_rtcp(&bytes));
        let expected = SenderClock {
            time: Timestamp::from_nanos(9),
            ssrc: 0x1234_5678,
            ntp: 0x1_8000_0000,
            rtp: 160,
        };
        assert_eq!(clocks(&bytes), [expected]);
        assert_eq!(clocks(&bytes[..bytes.len() - 1]), []);
    }

    #[test]
    fn rtp_with_marker_is_not_rtcp() {
        let mut rtp = vec![0x80, 0x80 | 8, 0, 1];
        rtp.resize(172, 0xd5);
        assert!(!is_rtcp(&rtp));
        let too_long = [0x80, 200, 0, 6, 0, 0, 0, 0];
        assert!(!is_rtcp(&too_long));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), sr: bool) {
            if sr && bytes.len() > 4 {
                let (flags, words) = (bytes[0], (bytes.len() / 4 - 1) as u8);
                bytes[..4].copy_from_slice(&[0x80 | (flags & 0x3f), 200, 0, words]);
            }
            prop_assert!(!is_rtcp(&bytes) || bytes.len() >= 8);
            clocks(&bytes);
        }
    }
}
