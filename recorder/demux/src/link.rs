//! The link layer: from a frame's first byte to its IP header.
//!
//! Ethernet II (IEEE 802.3, 3.2.6) with nested VLAN tags (IEEE 802.1Q, 9.6), raw IP, the BSD loopback
//! headers, and Linux cooked captures v1 and v2, whose protocol field is an EtherType and so may announce
//! VLAN tags as well. Layouts: <https://www.tcpdump.org/linktypes.html>. Tunnels below IP (MPLS, PPPoE)
//! are `NotIp` here.

use base::limits::VLAN_TAGS_MAX;
use base::{Domain, Outcome};
use capture::LinkType;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Customer, service and the pre-standard service tag.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// A VLAN tag's identifier; the other bits are priority and drop eligibility.
const VLAN_ID_MASK: u16 = 0x0fff;

/// Address families of a BSD loopback header. That of IPv6 differs between systems: NetBSD and OpenBSD,
/// FreeBSD, macOS, and Linux for what it writes itself.
const AF_INET: u32 = 2;
const AF_INET6: [u32; 4] = [24, 28, 30, 10];

/// Which IP the link layer announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What the link layer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network<'a> {
    pub(crate) domain: Domain,
    pub(crate) family: Family,
    /// From the IP header on, to the end of the frame: Ethernet's padding and checksum included.
    pub(crate) bytes: &'a [u8],
}

/// Finds the IP header of a frame.
///
/// # Errors
/// The frame's outcome, if it carries none that can be reached.
#[inline]
pub(crate) fn network(link: LinkType, data: &[u8]) -> Result<Network<'_>, Outcome> {
    match link {
        LinkType::Ethernet => {
            let (header, rest) = data.split_first_chunk::<14>().ok_or(Outcome::Truncated)?;
            tagged(u16::from_be_bytes([header[12], header[13]]), rest)
        }
        LinkType::LinuxCooked => {
            let (header, rest) = data.split_first_chunk::<16>().ok_or(Outcome::Truncated)?;
            tagged(u16::from_be_bytes([header[14], header[15]]), rest)
        }
        LinkType::LinuxCookedV2 => {
            let (header, rest) = data.split_first_chunk::<20>().ok_or(Outcome::Truncated)?;
            tagged(u16::from_be_bytes([header[0], header[1]]), rest)
        }
        LinkType::RawIp => raw(data),
        LinkType::Null | LinkType::Loop => loopback(data),
        LinkType::Other(_) => Err(Outcome::UnknownLink),
    }
}

/// Follows VLAN tags. An EtherType below 1,536 is a length: an 802.3 frame (spanning tree and the like).
#[inline]
fn tagged(mut ethertype: u16, mut rest: &[u8]) -> Result<Network<'_>, Outcome> {
    let mut domain = Domain::UNTAGGED;
    for _ in 0..=VLAN_TAGS_MAX {
        let family = match ethertype {
            ETHERTYPE_IPV4 => Family::V4,
            ETHERTYPE_IPV6 => Family::V6,
            tag if ETHERTYPES_VLAN.contains(&tag) => {
                let (tag, inner) = rest.split_first_chunk::<4>().ok_or(Outcome::Truncated)?;
                let vlan_id = u16::from_be_bytes([tag[0], tag[1]]) & VLAN_ID_MASK;
                // Identifier 0 is a priority tag: the frame belongs to no VLAN (802.1Q, table 9-2).
                if vlan_id != 0 {
                    domain = domain.within_vlan(vlan_id);
                }
                ethertype = u16::from_be_bytes([tag[2], tag[3]]);
                rest = inner;
                continue;
            }
            _ => return Err(Outcome::NotIp),
        };
        return Ok(Network { domain, family, bytes: rest });
    }
    Err(Outcome::Malformed)
}

fn raw(data: &[u8]) -> Result<Network<'_>, Outcome> {
    let family = match data.first().ok_or(Outcome::Truncated)? >> 4 {
        4 => Family::V4,
        6 => Family::V6,
        _ => return Err(Outcome::Malformed),
    };
    Ok(Network { domain: Domain::UNTAGGED, family, bytes: data })
}

/// Null is in the byte order of the machine that captured, which the file's need not be; Loop in network
/// order. No family's number is another's backwards, so both orders are tried for both.
fn loopback(data: &[u8]) -> Result<Network<'_>, Outcome> {
    let (header, bytes) = data.split_first_chunk::<4>().ok_or(Outcome::Truncated)?;
    let orders = [u32::from_le_bytes(*header), u32::from_be_bytes(*header)];
    let family = if orders.contains(&AF_INET) {
        Family::V4
    } else if AF_INET6.iter().any(|family| orders.contains(family)) {
        Family::V6
    } else {
        return Err(Outcome::NotIp);
    };
    Ok(Network { domain: Domain::UNTAGGED, family, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(after_addresses: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x02; 12];
        frame.extend_from_slice(after_addresses);
        frame
    }

    #[track_caller]
    fn expect(link: LinkType, data: &[u8], domain: Domain, family: Family, bytes: &[u8]) {
        assert_eq!(network(link, data), Ok(Network { domain, family, bytes }));
    }

    #[test]
    fn ethernet_with_and_without_tags() {
        let one = Domain::UNTAGGED.within_vlan(100);
        let two = one.within_vlan(7);
        let cases: [(&[u8], Domain, Family); 6] = [
            (&[0x08, 0x00, 0x45], Domain::UNTAGGED, Family::V4),
            (&[0x86, 0xdd, 0x45], Domain::UNTAGGED, Family::V6),
            (&[0x81, 0x00, 0xe0, 100, 0x08, 0x00, 0x45], one, Family::V4),
            (&[0x88, 0xa8, 0, 100, 0x81, 0x00, 0, 7, 0x86, 0xdd, 0x45], two, Family::V6),
            (&[0x91, 0x00, 0, 100, 0x81, 0x00, 0, 7, 0x08, 0x00, 0x45], two, Family::V4),
            (&[0x81, 0x00, 0xe0, 0, 0x08, 0x00, 0x45], Domain::UNTAGGED, Family::V4),
        ];
        for (after, domain, family) in cases {
            expect(LinkType::Ethernet, &ethernet(after), domain, family, &[0x45]);
        }
    }

    #[test]
    fn as_many_tags_as_allowed_and_no_more() {
        let mut tags = [0x81, 0x00, 0, 9].repeat(VLAN_TAGS_MAX);
        tags.extend_from_slice(&[0x08, 0x00]);
        let domain = Domain::UNTAGGED.within_vlan(9).within_vlan(9);
        expect(LinkType::Ethernet, &ethernet(&tags), domain, Family::V4, &[]);
        let too_many = [&[0x81, 0x00, 0, 9], tags.as_slice()].concat();
        assert_eq!(network(LinkType::Ethernet, &ethernet(&too_many)), Err(Outcome::Malformed));
    }

    #[test]
    fn what_is_not_ip() {
        let cases: [&[u8]; 5] = [
            &[0x08, 0x06, 0, 1],                                        // ARP
            &[0x88, 0xcc, 2, 7],                                        // LLDP
            &[0x00, 0x26, 0x42, 0x42, 0x03],                            // 802.3, LLC: spanning tree
            &[0x05, 0xdc, 0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, 0x45], // 802.3, SNAP
            &[0x88, 0x47, 0, 1, 0x11, 0x40, 0x45],                      // MPLS
        ];
        for after in cases {
            assert_eq!(network(LinkType::Ethernet, &ethernet(after)), Err(Outcome::NotIp));
        }
        assert_eq!(network(LinkType::Null, &[7, 0, 0, 0, 1]), Err(Outcome::NotIp));
    }

    #[test]
    fn cooked_captures_with_and_without_a_tag() {
        let v1 = [&[0_u8; 14][..], &[0x08, 0x00, 0x45]].concat();
        expect(LinkType::LinuxCooked, &v1, Domain::UNTAGGED, Family::V4, &[0x45]);
        let tagged = [&[0_u8; 14][..], &[0x81, 0x00, 0, 100, 0x86, 0xdd, 0x60]].concat();
        let vlan = Domain::UNTAGGED.within_vlan(100);
        expect(LinkType::LinuxCooked, &tagged, vlan, Family::V6, &[0x60]);
        let v2 = [&[0x86, 0xdd][..], &[0; 18], &[0x60]].concat();
        expect(LinkType::LinuxCookedV2, &v2, Domain::UNTAGGED, Family::V6, &[0x60]);
        let tagged = [&[0x81, 0x00][..], &[0; 18], &[0, 100, 0x08, 0x00, 0x45]].concat();
        expect(LinkType::LinuxCookedV2, &tagged, vlan, Family::V4, &[0x45]);
    }

    #[test]
    fn loopback_in_either_byte_order() {
        for link in [LinkType::Null, LinkType::Loop] {
            for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
                let frame = [&family[..], &[0x45]].concat();
                expect(link, &frame, Domain::UNTAGGED, Family::V4, &[0x45]);
            }
            for family in [[24, 0, 0, 0], [28, 0, 0, 0], [0, 0, 0, 30], [0, 0, 0, 10]] {
                let frame = [&family[..], &[0x60]].concat();
                expect(link, &frame, Domain::UNTAGGED, Family::V6, &[0x60]);
            }
        }
    }

    #[test]
    fn raw_ip_is_told_by_its_version() {
        expect(LinkType::RawIp, &[0x45], Domain::UNTAGGED, Family::V4, &[0x45]);
        expect(LinkType::RawIp, &[0x60], Domain::UNTAGGED, Family::V6, &[0x60]);
        assert_eq!(network(LinkType::RawIp, &[0x50]), Err(Outcome::Malformed));
    }

    #[test]
    fn cut_in_the_header() {
        let cases = [
            (LinkType::Ethernet, 13),
            (LinkType::LinuxCooked, 15),
            (LinkType::LinuxCookedV2, 19),
            (LinkType::RawIp, 0),
            (LinkType::Null, 3),
        ];
        for (link, bytes) in cases {
            assert_eq!(network(link, &vec![0; bytes]), Err(Outcome::Truncated), "{link:?}");
        }
        let tag = ethernet(&[0x81, 0x00, 0, 9, 8]);
        assert_eq!(network(LinkType::Ethernet, &tag), Err(Outcome::Truncated));
        assert_eq!(network(LinkType::Other(9), &[0; 64]), Err(Outcome::UnknownLink));
    }
}
