//! A checked view of one RTP packet: header fields and the payload's bytes, nothing copied.
//!
//! RFC 3550, 5.1 (fixed header) and 5.3.1 (extension). Every length that the packet claims is checked
//! against the bytes that are there. The fixed header costs a few nanoseconds; contributing sources,
//! the extension and padding cost only the packets that have them.

/// Bytes of the fixed header.
const FIXED_BYTES: usize = 12;
/// First byte of nearly every packet: version 2, no padding, no extension, no contributing source.
const PLAIN: u8 = 0x80;

/// One RTP packet, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp<'a> {
    /// 0 to 127.
    pub payload_type: u8,
    /// The marker bit; for audio, the first packet after silence (RFC 3551, 4.1).
    pub marker: bool,
    /// Sequence number, modulo 2^16.
    pub sequence: u16,
    /// Sampling instant of the first sample in units of the payload type's clock, modulo 2^32.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Without contributing sources, extension and padding.
    pub payload: &'a [u8],
}

/// Why a datagram is not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Fewer than 12 bytes.
    #[error("shorter than the 12 bytes of an RTP header")]
    Short,
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// The contributing sources do not fit.
    #[error("its contributing sources reach beyond its end")]
    Sources,
    /// The header extension does not fit.
    #[error("its header extension reaches beyond its end")]
    Extension,
    /// The padding count is zero or more than there is.
    #[error("its padding count is zero or larger than the payload")]
    Padding,
}

impl<'a> Rtp<'a> {
    /// Reads `datagram`, of which `whole` says whether the capture kept its end. The end holds the
    /// padding count, so a packet that was cut keeps what padding may be in it.
    ///
    /// # Errors
    /// Says which part of the header does not fit.
    #[inline]
    pub fn parse(datagram: &'a [u8], whole: bool) -> Result<Self, RtpError> {
        let Some((fixed, rest)) = datagram.split_first_chunk::<FIXED_BYTES>() else {
            return Err(RtpError::Short);
        };
        let [flags, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if flags >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let payload = if flags == PLAIN { rest } else { strip(flags, rest, whole)? };
        Ok(Self {
            payload_type: kind & 0x7f,
            marker: kind & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
            payload,
        })
    }
}

/// Takes contributing sources, extension and padding off what follows the fixed header.
#[cold]
fn strip(flags: u8, mut rest: &[u8], whole: bool) -> Result<&[u8], RtpError> {
    let sources = usize::from(flags & 0x0f) * 4;
    rest = rest.get(sources..).ok_or(RtpError::Sources)?;
    if flags & 0x10 != 0 {
        let (head, body) = rest.split_first_chunk::<4>().ok_or(RtpError::Extension)?;
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        rest = body.get(words * 4..).ok_or(RtpError::Extension)?;
    }
    if flags & 0x20 != 0 && whole {
        let padding = usize::from(*rest.last().ok_or(RtpError::Padding)?);
        let kept = rest.len().checked_sub(padding).filter(|_| padding > 0);
        rest = kept.and_then(|kept| rest.get(..kept)).ok_or(RtpError::Padding)?;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(flags: u8) -> Vec<u8> {
        vec![flags, 0x88, 0x12, 0x34, 0, 0, 1, 0, 0xde, 0xad, 0xbe, 0xef]
    }

    #[test]
    fn plain_header() {
        let mut bytes = header(0x80);
        bytes.extend([1, 2, 3]);
        let rtp = Rtp::parse(&bytes, true).unwrap();
        assert_eq!((rtp.payload_type, rtp.marker, rtp.sequence), (8, true, 0x1234));
        assert_eq!((rtp.timestamp, rtp.ssrc, rtp.payload), (256, 0xdead_beef, &[1_u8, 2, 3][..]));
    }

    #[test]
    fn padding_extension_and_sources_are_taken_off() {
        let mut bytes = header(0x80 | 0x20 | 0x10 | 2);
        bytes.extend([0; 8]); // two contributing sources
        bytes.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]); // one word of extension (RFC 8285)
        bytes.extend([7, 8, 0, 0, 3]); // two bytes of payload, three of padding
        assert_eq!(Rtp::parse(&bytes, true).unwrap().payload, [7, 8]);
        assert_eq!(Rtp::parse(&bytes, false).unwrap().payload, [7, 8, 0, 0, 3]);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert_eq!(Rtp::parse(&header(0x80)[..11], true), Err(RtpError::Short));
        assert_eq!(Rtp::parse(&header(0x40), true), Err(RtpError::Version));
        assert_eq!(Rtp::parse(&header(0x81), true), Err(RtpError::Sources));
        assert_eq!(Rtp::parse(&header(0x90), true), Err(RtpError::Extension));
        assert_eq!(Rtp::parse(&header(0xa0), true), Err(RtpError::Padding));
        for count in [0, 3] {
            let mut bytes = header(0xa0);
            bytes.extend([5, count]);
            assert_eq!(Rtp::parse(&bytes, true), Err(RtpError::Padding));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), whole: bool) {
            if let Ok(rtp) = Rtp::parse(&bytes, whole) {
                prop_assert!(rtp.payload.len() + FIXED_BYTES <= bytes.len());
                prop_assert_eq!(bytes[0] >> 6, 2);
            }
        }

        /// Any header, built by the RFC's rules, gives back what went in.
        #[test]
        fn built_packets_read_back(
            kind: u8, sequence: u16, timestamp: u32, ssrc: u32, sources in 0_usize..16,
            extension in prop::option::of(0_usize..20), padding in 0_u8..=255,
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut bytes = vec![0x80 | sources as u8, kind];
            bytes.extend(sequence.to_be_bytes());
            bytes.extend(timestamp.to_be_bytes());
            bytes.extend(ssrc.to_be_bytes());
            bytes.resize(bytes.len() + sources * 4, 0xcc);
            if let Some(words) = extension {
                bytes[0] |= 0x10;
                bytes.extend([0xbe, 0xde, 0, words as u8]);
                bytes.resize(bytes.len() + words * 4, 0xee);
            }
            bytes.extend(&payload);
            if padding > 0 {
                bytes[0] |= 0x20;
                bytes.resize(bytes.len() + usize::from(padding) - 1, 0);
                bytes.push(padding);
            }
            let rtp = Rtp::parse(&bytes, true).unwrap();
            prop_assert_eq!((rtp.payload_type, rtp.marker), (kind & 0x7f, kind & 0x80 != 0));
            prop_assert_eq!((rtp.sequence, rtp.timestamp, rtp.ssrc), (sequence, timestamp, ssrc));
            prop_assert_eq!(rtp.payload, &payload[..]);
        }
    }
}
