//! The UDP header (RFC 768).

use base::Outcome;

const HEADER_BYTES: usize = 8;

/// One UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// As much of it as was captured.
    pub(crate) payload: &'a [u8],
    /// Bytes of the payload on the wire.
    pub(crate) wire_bytes: usize,
}

/// Parses an IP payload of which `wire_bytes` were on the wire. The length field decides where the
/// datagram ends; 0 means that it does not fit the field (RFC 2675, 4).
///
/// # Errors
/// The frame's outcome, if the header is cut or claims more than the IP packet holds.
#[inline]
pub(crate) fn parse(bytes: &[u8], wire_bytes: usize) -> Result<Datagram<'_>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Outcome::Truncated)?;
    let length = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => wire_bytes,
        length if length <= wire_bytes => length,
        _ => return Err(Outcome::Malformed),
    };
    let wire_bytes = length.checked_sub(HEADER_BYTES).ok_or(Outcome::Malformed)?;
    Ok(Datagram {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        payload: rest.get(..wire_bytes).unwrap_or(rest),
        wire_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_field_decides() {
        let bytes = |length: u8| [0x13, 0xc4, 0x40, 0x00, 0, length, 0, 0, 1, 2, 3];
        let datagram = |payload, wire_bytes| {
            Ok(Datagram { source_port: 5060, destination_port: 16_384, payload, wire_bytes })
        };
        assert_eq!(parse(&bytes(11), 11), datagram(&[1, 2, 3], 3));
        assert_eq!(parse(&bytes(9), 11), datagram(&[1], 1));
        assert_eq!(parse(&bytes(8), 11), datagram(&[], 0));
        assert_eq!(parse(&bytes(0), 11), datagram(&[1, 2, 3], 3));
        assert_eq!(parse(&bytes(180), 180), datagram(&[1, 2, 3], 172), "cut by the capture");
        assert_eq!(parse(&bytes(12), 11), Err(Outcome::Malformed));
        assert_eq!(parse(&bytes(7), 11), Err(Outcome::Malformed));
        assert_eq!(parse(&bytes(11)[..7], 11), Err(Outcome::Truncated));
    }
}
