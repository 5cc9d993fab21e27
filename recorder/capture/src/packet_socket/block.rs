//! The packets of a block (`struct tpacket3_hdr`), and a VLAN tag's way back into its frame.

use base::Timestamp;
use base::limits::FRAME_BYTES_MAX;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{Frame, LinkType};

/// A packet's header. Offsets count from its begin.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, KnownLayout)]
#[cfg_attr(test, derive(zerocopy::IntoBytes))]
#[repr(C)]
struct Header {
    next: u32,
    seconds: u32,
    nanoseconds: u32,
    captured_bytes: u32,
    wire_bytes: u32,
    status: u32,
    frame: u16,
    network: u16,
    hash: u32,
    tag: u32,
    tag_protocol: u16,
    padding: [u8; 10],
}

const HEADER_BYTES: usize = size_of::<Header>();
const _: () = assert!(HEADER_BYTES == 48, "the kernel's header");

/// Destination and source address, which stand before a tag.
const ADDRESSES_BYTES: usize = 12;
/// A VLAN tag: protocol and control information. The ring is made with room for one before each frame.
pub(super) const TAG_BYTES: usize = 4;
/// The customer tag, where the kernel does not say.
const TAG_PROTOCOL: u16 = 0x8100;

/// Hands over the packets of a block.
///
/// `first` is where in `bytes` the first header is. The frames get the numbers after `number`. `Err` says how many
/// packets at the end could not be reached because a header points out of the block.
#[inline]
pub(super) fn each_frame(
    bytes: &mut [u8],
    first: usize,
    packets: u32,
    link: LinkType,
    number: &mut u64,
    on_frame: &mut impl FnMut(Frame<'_>),
) -> Result<(), u32> {
    let mut at = first;
    for done in 0..packets {
        let unreachable = packets - done;
        let packet = bytes.get_mut(at..).ok_or(unreachable)?;
        let (header, _) = Header::read_from_prefix(packet).map_err(|_| unreachable)?;
        let (start, length) = place(packet, &header, link).ok_or(unreachable)?;
        let captured = length.min(FRAME_BYTES_MAX);
        let data = packet.get(start..start + captured).ok_or(unreachable)?;
        *number += 1;
        on_frame(Frame {
            time: time(&header),
            link,
            data,
            wire_bytes: wire_bytes(&header, length),
            number: *number,
        });
        at = at.checked_add(header.next as usize).ok_or(unreachable)?;
    }
    Ok(())
}

/// Where a packet's frame begins and how long it is, with its tag back in it.
#[inline]
fn place(packet: &mut [u8], header: &Header, link: LinkType) -> Option<(usize, usize)> {
    let (start, length) = (usize::from(header.frame), header.captured_bytes as usize);
    let end = start.checked_add(length)?;
    if start < HEADER_BYTES || end > packet.len() {
        return None;
    }
    let tagged = header.status & libc::TP_STATUS_VLAN_VALID != 0;
    if !tagged || link != LinkType::Ethernet || length < ADDRESSES_BYTES {
        return Some((start, length));
    }
    let tagged_start = start.checked_sub(TAG_BYTES).filter(|start| *start >= HEADER_BYTES)?;
    restore_tag(packet.get_mut(tagged_start..end)?, header);
    Some((tagged_start, length + TAG_BYTES))
}

/// `frame` begins with room for a tag; the addresses move there, and the tag takes their last place.
fn restore_tag(frame: &mut [u8], header: &Header) {
    let Some(head) = frame.first_chunk_mut::<{ ADDRESSES_BYTES + TAG_BYTES }>() else { return };
    head.copy_within(TAG_BYTES.., 0);
    let known = header.status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let protocol = if known { header.tag_protocol } else { TAG_PROTOCOL };
    let [p0, p1] = protocol.to_be_bytes();
    let [t0, t1] = (header.tag as u16).to_be_bytes();
    head[12..].copy_from_slice(&[p0, p1, t0, t1]);
}

fn time(header: &Header) -> Timestamp {
    let nanos = u64::from(header.seconds) * 1_000_000_000 + u64::from(header.nanoseconds);
    Timestamp::from_nanos(nanos)
}

/// Bytes on the wire, of a frame of `length` bytes in the ring: with the tag, if that is back in it.
fn wire_bytes(header: &Header, length: usize) -> u32 {
    let restored = length.saturating_sub(header.captured_bytes as usize);
    header.wire_bytes.max(header.captured_bytes).saturating_add(restored as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    use super::*;

    type Seen = (Timestamp, Vec<u8>, u32, u64);

    fn read(bytes: &mut [u8], first: usize, packets: u32) -> (Vec<Seen>, Result<(), u32>) {
        let (mut seen, mut number) = (Vec::new(), 0);
        let mut take = |frame: Frame<'_>| {
            seen.push((frame.time, frame.data.to_vec(), frame.wire_bytes, frame.number));
        };
        let link = LinkType::Ethernet;
        let result = each_frame(bytes, first, packets, link, &mut number, &mut take);
        (seen, result)
    }

    /// A block as the kernel writes it: header, 20 bytes of address, frame.
    fn block(packets: &[(&[u8], Header)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (frame, header)) in packets.iter().enumerate() {
            let start = 82 + TAG_BYTES;
            let size = (start + frame.len()).next_multiple_of(16);
            let next = if index + 1 == packets.len() { 0 } else { size as u32 };
            let header = Header { next, frame: start as u16, ..*header };
            let begin = bytes.len();
            bytes.extend(header.as_bytes());
            bytes.resize(begin + start, 0xee);
            bytes.extend(*frame);
            bytes.resize(begin + size, 0xee);
        }
        bytes
    }

    fn header(frame: &[u8]) -> Header {
        let length = frame.len() as u32;
        let (seconds, nanoseconds) = (1_700_000_000, 123_456_789);
        Header {
            seconds,
            nanoseconds,
            captured_bytes: length,
            wire_bytes: length,
            ..Header::default()
        }
    }

    #[test]
    fn frames_come_with_time_length_and_number() {
        let (one, two) = ([1_u8; 60], [2_u8; 61]);
        let cut = Header { wire_bytes: 9_000, ..header(&two) };
        let mut bytes = block(&[(&one, header(&one)), (&two, cut)]);
        let (seen, result) = read(&mut bytes, 0, 2);
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        assert_eq!(seen, [(time, one.to_vec(), 60, 1), (time, two.to_vec(), 9_000, 2)]);
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn a_tag_goes_back_to_its_place() {
        let frame: Vec<u8> = (0..40).collect();
        let status = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        let service = Header { status, tag: 0x2064, tag_protocol: 0x88a8, ..header(&frame) };
        let unsaid = Header { status: libc::TP_STATUS_VLAN_VALID, tag: 7, ..header(&frame) };
        let mut bytes = block(&[(&frame, service), (&frame, unsaid)]);
        let (seen, result) = read(&mut bytes, 0, 2);
        let with = |tag: [u8; 4]| [&frame[..12], &tag, &frame[12..]].concat();
        assert_eq!(seen[0].1, with([0x88, 0xa8, 0x20, 0x64]));
        assert_eq!(seen[1].1, with([0x81, 0x00, 0x00, 0x07]));
        assert_eq!((seen[0].2, seen[1].2, result), (44, 44, Ok(())));
    }

    #[test]
    fn headers_that_point_out_of_the_block_lose_the_rest_only() {
        let frame = [1_u8; 60];
        let good = header(&frame);
        let long = Header { captured_bytes: 100_000, ..good };
        let mut bytes = block(&[(&frame, good), (&frame, long), (&frame, good)]);
        let (seen, result) = read(&mut bytes, 0, 3);
        assert_eq!((seen.len(), result), (1, Err(2)));
        assert_eq!(read(&mut bytes, 10_000, 3).1, Err(3));
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "takes minutes, and there is nothing unsafe in it")]
        fn any_bytes_are_read_without_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400),
            first in 0..400_usize,
            packets in 0..5_u32,
        ) {
            let (seen, result) = read(&mut bytes, first, packets);
            let unreachable = result.err().unwrap_or(0);
            prop_assert_eq!(seen.len() as u32 + unreachable, packets);
            for (_, data, wire_bytes, _) in seen {
                prop_assert!(wire_bytes as usize >= data.len());
            }
        }
    }
}
