//! The TCP header (RFC 9293, 3.1).

use base::Outcome;
use base::limits::TCP_LEAP_BYTES_MAX;

const HEADER_BYTES_MIN: usize = 20;

/// One TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// As much of it as was captured.
    pub(crate) payload: &'a [u8],
    /// Bytes of the payload on the wire.
    pub(crate) wire_bytes: u32,
}

impl Segment<'_> {
    /// The sequence number of the first payload byte: a SYN takes one of its own.
    pub(crate) const fn payload_sequence(&self) -> u32 {
        self.sequence.wrapping_add(self.syn as u32)
    }
}

/// Parses an IP payload of which `wire_bytes` were on the wire. Options are skipped.
///
/// # Errors
/// The frame's outcome, if the header is cut or contradicts itself.
#[inline]
pub(crate) fn parse(bytes: &[u8], wire_bytes: usize) -> Result<Segment<'_>, Outcome> {
    let header = bytes.first_chunk::<HEADER_BYTES_MIN>().ok_or(Outcome::Truncated)?;
    let header_bytes = usize::from(header[12] >> 4) * 4;
    let wire_payload = wire_bytes.checked_sub(header_bytes).ok_or(Outcome::Malformed)?;
    let wire_payload = u32::try_from(wire_payload).map_err(|_| Outcome::Malformed)?;
    // No card takes so long a segment to cut, and no stream could place it.
    if header_bytes < HEADER_BYTES_MIN || wire_payload > TCP_LEAP_BYTES_MAX {
        return Err(Outcome::Malformed);
    }
    let flag = |bit: u8| header[13] & bit != 0;
    Ok(Segment {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgment: flag(0x10)
            .then(|| u32::from_be_bytes([header[8], header[9], header[10], header[11]])),
        syn: flag(0x02),
        fin: flag(0x01),
        rst: flag(0x04),
        payload: bytes.get(header_bytes..).ok_or(Outcome::Truncated)?,
        wire_bytes: wire_payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(offset_words: u8, flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x13, 0xc4, 0x80, 0, 0, 0, 0, 9, 0, 0, 0, 7];
        bytes.extend([offset_words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend([1, 1, 1, 0, 0x41]);
        bytes
    }

    #[test]
    fn options_flags_and_cuts() {
        let whole = bytes(6, 0x10);
        let segment = parse(&whole, 25).unwrap();
        assert_eq!((segment.source_port, segment.destination_port), (5060, 32_768));
        assert_eq!((segment.sequence, segment.acknowledgment), (9, Some(7)));
        assert_eq!((segment.payload, segment.wire_bytes), (&[0x41][..], 1));
        assert_eq!(parse(&whole, 1_024).unwrap().wire_bytes, 1_000, "cut by the capture");
        let syn = bytes(5, 0x02);
        let syn = parse(&syn, 25).unwrap();
        assert_eq!((syn.syn, syn.acknowledgment, syn.payload_sequence()), (true, None, 10));
        let end = bytes(5, 0x05);
        assert!(parse(&end, 25).is_ok_and(|segment| segment.fin && segment.rst));
    }

    #[test]
    fn contradictions() {
        assert_eq!(parse(&bytes(4, 0), 25), Err(Outcome::Malformed));
        assert_eq!(parse(&bytes(7, 0), 25), Err(Outcome::Malformed), "options beyond the packet");
        assert_eq!(
            parse(&bytes(15, 0), 100),
            Err(Outcome::Truncated),
            "options cut by the capture"
        );
        assert_eq!(parse(&bytes(5, 0)[..19], 25), Err(Outcome::Truncated));
    }
}
