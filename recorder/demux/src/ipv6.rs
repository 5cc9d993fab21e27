//! The IPv6 header and its extension headers (RFC 8200, 3 and 4).
//!
//! Extension headers are skipped up to the payload or a fragment header. A routing header is not obeyed:
//! the flow is named by the addresses in the packet, as its receiver on this link sees them.

use base::Outcome;
use base::limits::IPV6_EXTENSIONS_MAX;

use crate::ip::{self, Addresses, Fragment, Packet};

const HEADER_BYTES: usize = 40;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Mobility, host identity, shim6: laid out as the options headers are (RFC 6564, 4).
const LIKE_OPTIONS: [u8; 3] = [135, 139, 140];

/// What the extension headers come down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inside<'a> {
    /// What the payload is.
    pub(crate) protocol: u8,
    /// As much of it as there is.
    pub(crate) payload: &'a [u8],
    /// Set if a fragment header came before it.
    pub(crate) fragment: Option<Fragment>,
}

/// Parses the header and its extensions, and delimits the payload.
#[inline]
pub(crate) fn parse(bytes: &[u8], missing: usize) -> Result<Packet<'_>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Outcome::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Outcome::Malformed);
    }
    let wire_bytes = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        // A jumbogram (RFC 2675), or captured before the network card cut it into segments.
        0 => rest.len().saturating_add(missing),
        length => length,
    };
    let payload = ip::trim(rest, wire_bytes);
    let inside = extensions(header[6], payload)?;
    let skipped = payload.len().saturating_sub(inside.payload.len());
    Ok(Packet {
        addresses: Addresses::V6(header.last_chunk().ok_or(Outcome::Truncated)?),
        protocol: inside.protocol,
        payload: inside.payload,
        wire_bytes: wire_bytes.saturating_sub(skipped),
        fragment: inside.fragment,
    })
}

/// Whether `protocol` names an extension header, behind which anything may come.
pub(crate) fn is_extension(protocol: u8) -> bool {
    let standard = [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS];
    standard.contains(&protocol) || LIKE_OPTIONS.contains(&protocol)
}

/// Skips extension headers, beginning with the one that `protocol` names.
///
/// # Errors
/// The frame's outcome, if there are too many or they are cut.
#[inline]
pub(crate) fn extensions(mut protocol: u8, mut payload: &[u8]) -> Result<Inside<'_>, Outcome> {
    for _ in 0..=IPV6_EXTENSIONS_MAX {
        let length_unit = match protocol {
            FRAGMENT => {
                let (header, rest) = payload.split_first_chunk::<8>().ok_or(Outcome::Truncated)?;
                protocol = header[0];
                payload = rest;
                let fragment = fragment(header);
                if fragment.more || fragment.offset > 0 {
                    return Ok(Inside { protocol, payload, fragment: Some(fragment) });
                }
                // The only one of its datagram (RFC 6946): nothing to wait for.
                continue;
            }
            // Its length counts words of 4 bytes, less 2 (RFC 4302, 2.2); the others' words of 8, less 1.
            AUTHENTICATION => 4,
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => 8,
            other if LIKE_OPTIONS.contains(&other) => 8,
            _ => return Ok(Inside { protocol, payload, fragment: None }),
        };
        let header = payload.first_chunk::<2>().ok_or(Outcome::Truncated)?;
        let length = usize::from(header[1]).saturating_mul(length_unit).saturating_add(8);
        protocol = header[0];
        payload = payload.get(length..).ok_or(Outcome::Truncated)?;
    }
    Err(Outcome::Malformed)
}

#[inline]
fn fragment(header: &[u8; 8]) -> Fragment {
    let place = u16::from_be_bytes([header[2], header[3]]);
    Fragment {
        id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        offset: usize::from(place & 0xfff8),
        more: place & 1 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet whose payload begins with what `next` names.
    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
        bytes.extend([0x11; 16]);
        bytes.extend([0x22; 16]);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn plain_and_padded() {
        let mut bytes = packet(17, &[7, 8]);
        bytes.extend([0; 4]);
        let both: [u8; 32] = std::array::from_fn(|at| if at < 16 { 0x11 } else { 0x22 });
        let expected = Packet {
            addresses: Addresses::V6(&both),
            protocol: 17,
            payload: &[7, 8],
            wire_bytes: 2,
            fragment: None,
        };
        assert_eq!(parse(&bytes, 0), Ok(expected));
    }

    #[test]
    fn extension_headers_are_skipped() {
        let cases: [(u8, Vec<u8>); 5] = [
            (HOP_BY_HOP, [&[17, 0, 1, 4, 0, 0, 0, 0][..], &[7]].concat()),
            (ROUTING, [&[17, 2][..], &[0; 22], &[7]].concat()),
            (AUTHENTICATION, [&[17, 4][..], &[0; 22], &[7]].concat()),
            (
                DESTINATION_OPTIONS,
                [&[AUTHENTICATION, 0][..], &[0; 6], &[17, 4], &[0; 22], &[7]].concat(),
            ),
            (FRAGMENT, vec![17, 0, 0, 0, 0, 0, 0, 9, 7]),
        ];
        for (next, payload) in cases {
            let bytes = packet(next, &payload);
            let parsed = parse(&bytes, 0).unwrap();
            assert_eq!((parsed.protocol, parsed.payload), (17, &[7][..]), "{next}");
            assert_eq!((parsed.wire_bytes, parsed.fragment), (1, None), "{next}");
        }
    }

    #[test]
    fn a_fragment_header_ends_the_walk() {
        let bytes =
            packet(HOP_BY_HOP, &[44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0x05, 0xa9, 1, 2, 3, 4, 7]);
        let parsed = parse(&bytes, 0).unwrap();
        assert_eq!(parsed.fragment, Some(Fragment { id: 0x0102_0304, offset: 1448, more: true }));
        assert_eq!((parsed.protocol, parsed.payload, parsed.wire_bytes), (60, &[7][..], 1));
    }

    #[test]
    fn as_many_extensions_as_allowed_and_no_more() {
        let mut payload = [60, 0, 0, 0, 0, 0, 0, 0].repeat(IPV6_EXTENSIONS_MAX);
        payload[8 * (IPV6_EXTENSIONS_MAX - 1)] = 17;
        assert_eq!(parse(&packet(60, &payload), 0).unwrap().protocol, 17);
        let too_many = [&[60, 0, 0, 0, 0, 0, 0, 0], payload.as_slice()].concat();
        assert_eq!(parse(&packet(60, &too_many), 0), Err(Outcome::Malformed));
    }

    #[test]
    fn a_length_of_zero_is_the_rest_of_the_frame() {
        let mut bytes = packet(17, &[7, 8]);
        bytes[5] = 0;
        let parsed = parse(&bytes, 70_000).unwrap();
        assert_eq!((parsed.payload, parsed.wire_bytes), (&[7, 8][..], 70_002));
    }

    #[test]
    fn contradictions_and_cuts() {
        let mut wrong_version = packet(17, &[7]);
        wrong_version[0] = 0x45;
        assert_eq!(parse(&wrong_version, 0), Err(Outcome::Malformed));
        assert_eq!(parse(&packet(17, &[])[..39], 0), Err(Outcome::Truncated));
        assert_eq!(parse(&packet(FRAGMENT, &[17; 7]), 0), Err(Outcome::Truncated));
        assert_eq!(
            parse(&packet(HOP_BY_HOP, &[17, 1, 0, 0, 0, 0, 0, 0]), 0),
            Err(Outcome::Truncated)
        );
    }
}
