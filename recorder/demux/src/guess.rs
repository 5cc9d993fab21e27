//! What a datagram looks like: RTP, RTCP or neither.
//!
//! A guess only. Two of RTP's first sixteen bits are fixed, so many a random datagram passes; who knows
//! what was announced for an endpoint knows better.

use crate::Guess;

/// What tells RTCP from RTP on the same port (RFC 5761, 4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;
const RTCP_SENDER_REPORT: u8 = 200;
/// An RTCP sender report without report blocks (RFC 3550, 6.4.1).
const SENDER_REPORT_BYTES_MIN: usize = 28;
const RTCP_BYTES_MIN: usize = 8;
const RTP_HEADER_BYTES: usize = 12;

/// Guesses from the header checks of RFC 3550, appendix A. `wire_bytes` is the payload's length before the
/// capture cut it.
#[inline]
pub(crate) fn guess(payload: &[u8], wire_bytes: usize) -> Guess {
    let Some(head) = payload.first_chunk::<4>() else { return Guess::Other };
    if head[0] >> 6 != 2 {
        return Guess::Other;
    }
    if RTCP_TYPES.contains(&head[1]) {
        return if is_rtcp(*head, wire_bytes) { Guess::Rtcp } else { Guess::Other };
    }
    if is_rtp(head[0], payload, wire_bytes) { Guess::Rtp } else { Guess::Other }
}

/// A.2, without what reduced-size packets (RFC 5506) and the trailer of SRTCP break: the first packet may
/// be of any type, and something that is no packet may follow the last.
#[inline]
fn is_rtcp(head: [u8; 4], wire_bytes: usize) -> bool {
    let length = (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1) * 4;
    let least =
        if head[1] == RTCP_SENDER_REPORT { SENDER_REPORT_BYTES_MIN } else { RTCP_BYTES_MIN };
    (least..=wire_bytes).contains(&length)
}

/// A.1: the header, its contributing sources and its extension fit. A captured piece too short to hold the
/// extension's length gets the benefit of the doubt.
#[inline]
fn is_rtp(first: u8, payload: &[u8], wire_bytes: usize) -> bool {
    let sources = RTP_HEADER_BYTES + usize::from(first & 0x0f) * 4;
    if payload.len() < RTP_HEADER_BYTES || wire_bytes < sources {
        return false;
    }
    if first & 0x10 == 0 {
        return true;
    }
    let words = payload.get(sources..).and_then(|rest| rest.first_chunk::<4>());
    let words = words.map_or(0, |header| usize::from(u16::from_be_bytes([header[2], header[3]])));
    wire_bytes >= sources + 4 + words * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &[u8], length: usize) -> Guess {
        let mut payload = head.to_vec();
        payload.resize(length, 0);
        guess(&payload, length)
    }

    #[test]
    fn rtp() {
        assert_eq!(of(&[0x80, 0], 172), Guess::Rtp);
        assert_eq!(of(&[0x80, 0x88], 172), Guess::Rtp, "marker");
        assert_eq!(of(&[0x80, 0], 12), Guess::Rtp, "no payload");
        assert_eq!(of(&[0x80, 0], 11), Guess::Other);
        assert_eq!(of(&[0x8f, 0], 72), Guess::Rtp, "15 contributing sources");
        assert_eq!(of(&[0x8f, 0], 71), Guess::Other);
        assert_eq!(of(&[0x40, 0], 172), Guess::Other, "version 1");
        assert_eq!(of(&[0x00, 0x01, 0, 0], 20), Guess::Other, "STUN");
        assert_eq!(of(&[], 0), Guess::Other);
    }

    #[test]
    fn an_extension_header_fits_or_not() {
        let head = [0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0, 2];
        assert_eq!(of(&head, 24), Guess::Rtp);
        assert_eq!(of(&head, 23), Guess::Other);
        assert_eq!(of(&head, 15), Guess::Other, "no room for its own header");
        assert_eq!(guess(&head[..12], 40), Guess::Rtp, "its length was cut off");
    }

    #[test]
    fn rtcp() {
        assert_eq!(of(&[0x80, 200, 0, 6], 28), Guess::Rtcp);
        assert_eq!(of(&[0x80, 200, 0, 5], 28), Guess::Other, "too short for a sender report");
        assert_eq!(of(&[0x81, 201, 0, 7], 32), Guess::Rtcp);
        assert_eq!(of(&[0x81, 205, 0, 2], 12), Guess::Rtcp, "reduced size: feedback alone");
        assert_eq!(of(&[0x80, 201, 0, 1], 22), Guess::Rtcp, "the trailer of SRTCP");
        assert_eq!(of(&[0x81, 201, 0, 8], 32), Guess::Other, "longer than the datagram");
        assert_eq!(guess(&[0x81, 201, 0, 7], 32), Guess::Rtcp, "cut by the capture");
    }
}
