//! The IPv4 header (RFC 791, 3.1).
//!
//! Options are skipped. Neither checksum is verified: a capture taken on the sending machine holds frames
//! whose checksums its network card has yet to fill in.

use base::Outcome;

use crate::ip::{self, Addresses, Fragment, Packet};

const HEADER_BYTES_MIN: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;

/// Parses the header and delimits the payload.
#[inline]
pub(crate) fn parse(bytes: &[u8], missing: usize) -> Result<Packet<'_>, Outcome> {
    let header = bytes.first_chunk::<HEADER_BYTES_MIN>().ok_or(Outcome::Truncated)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_bytes < HEADER_BYTES_MIN {
        return Err(Outcome::Malformed);
    }
    let payload = bytes.get(header_bytes..).ok_or(Outcome::Truncated)?;
    let wire_bytes = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        // Captured before the network card cut it into segments: too long for the field, so left 0.
        0 => payload.len().saturating_add(missing),
        total => total.checked_sub(header_bytes).ok_or(Outcome::Malformed)?,
    };
    let place = u16::from_be_bytes([header[6], header[7]]);
    Ok(Packet {
        addresses: Addresses::V4(header.last_chunk().ok_or(Outcome::Truncated)?),
        protocol: header[9],
        payload: ip::trim(payload, wire_bytes),
        wire_bytes,
        fragment: (place & (MORE_FRAGMENTS | FRAGMENT_OFFSET_MASK) != 0).then(|| Fragment {
            id: u32::from(u16::from_be_bytes([header[4], header[5]])),
            offset: usize::from(place & FRAGMENT_OFFSET_MASK) * 8,
            more: place & MORE_FRAGMENTS != 0,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one payload byte after it, changed by `edit`.
    fn packet(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes =
            vec![0x45, 0, 0, 21, 0xab, 0xcd, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 7];
        edit(&mut bytes);
        bytes
    }

    #[test]
    fn plain() {
        let bytes = packet(|_| ());
        let expected = Packet {
            addresses: Addresses::V4(&[10, 0, 0, 1, 10, 0, 0, 2]),
            protocol: 17,
            payload: &[7],
            wire_bytes: 1,
            fragment: None,
        };
        assert_eq!(parse(&bytes, 0), Ok(expected));
    }

    #[test]
    fn options_padding_cuts_and_offload() {
        let cases: [(Vec<u8>, &[u8], usize); 4] = [
            (packet(|b| b.splice(0..1, [0x46]).for_each(drop)), &[], 0),
            (packet(|b| b.extend([0; 25])), &[7], 1),
            (packet(|b| b[3] = 120), &[7], 100),
            (packet(|b| b[3] = 0), &[7], 31),
        ];
        // With options the same 21 bytes are too few; the others keep their shape.
        for (index, (bytes, payload, wire_bytes)) in cases.into_iter().enumerate() {
            let parsed = parse(&bytes, if index == 3 { 30 } else { 0 });
            if index == 0 {
                assert_eq!(parsed, Err(Outcome::Truncated));
            } else {
                let parsed = parsed.unwrap();
                assert_eq!(
                    (parsed.payload, parsed.wire_bytes),
                    (payload, wire_bytes),
                    "case {index}"
                );
            }
        }
        let mut with_options = packet(|b| b[0] = 0x46);
        with_options[3] = 25;
        with_options.splice(20..20, [1, 1, 1, 0]);
        assert_eq!(parse(&with_options, 0).unwrap().payload, [7]);
    }

    #[test]
    fn fragments() {
        let first = packet(|b| b[6] = 0x20);
        assert_eq!(
            parse(&first, 0).unwrap().fragment,
            Some(Fragment { id: 0xabcd, offset: 0, more: true })
        );
        let last = packet(|b| b.splice(6..8, [0x1f, 0xff]).for_each(drop));
        assert_eq!(
            parse(&last, 0).unwrap().fragment,
            Some(Fragment { id: 0xabcd, offset: 65_528, more: false })
        );
    }

    #[test]
    fn contradictions_and_cuts() {
        assert_eq!(parse(&packet(|b| b[0] = 0x55), 0), Err(Outcome::Malformed));
        assert_eq!(parse(&packet(|b| b[0] = 0x44), 0), Err(Outcome::Malformed));
        assert_eq!(parse(&packet(|b| b[3] = 19), 0), Err(Outcome::Malformed));
        assert_eq!(parse(&packet(|b| b.truncate(19)), 0), Err(Outcome::Truncated));
        assert_eq!(parse(&[], 0), Err(Outcome::Truncated));
    }
}
