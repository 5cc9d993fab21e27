//! SRTP that nobody announced, told by the length of its packets.
//!
//! Where signalling is out of sight (it is encrypted too, or takes another way), SRTP looks like RTP with
//! noise in it: only payload and tag are changed (RFC 3711, 3.1). But G.711 has a byte for each unit of its
//! timestamp, and the authentication tag makes each packet longer than that.

use base::Formats;

use crate::sound::{Kind, kind_of};
use crate::streams::Packet;

/// Bytes of an authentication tag: HMAC-SHA1 cut to 80 bits, or to 32 (RFC 3711, 5.2; RFC 4568, 6.2).
const TAGS: [usize; 2] = [10, 4];
/// Fewer pairs of neighbours than this prove nothing.
const PAIRS_MIN: usize = 4;

/// The length of the authentication tag on the packets of a stream, given in order; `None` where there is
/// none. Most pairs of neighbours must show the same one, so that pauses and lost packets do not hide it.
pub(crate) fn tag_bytes(packets: &[Packet<'_>], formats: &Formats) -> Option<usize> {
    let mut known = (u8::MAX, false);
    let mut is_g711 = |payload_type: u8| {
        if payload_type != known.0 {
            known = (payload_type, matches!(kind_of(formats, payload_type), Kind::Sound(_)));
        }
        known.1
    };
    let (mut pairs, mut tagged) = (0, TAGS.map(|_| 0));
    for (packet, next) in packets.iter().zip(packets.iter().skip(1)) {
        let neighbours = next.place == packet.place + 1 && !packet.is_cut();
        if !neighbours || !is_g711(packet.payload_type) {
            continue;
        }
        pairs += 1;
        let units = next.timestamp.wrapping_sub(packet.timestamp) as usize;
        for (tag, count) in TAGS.iter().zip(&mut tagged) {
            *count += usize::from(units > 0 && packet.payload.len() == units + tag);
        }
    }
    let most = TAGS.iter().zip(tagged).find(|(_, count)| count * 2 > pairs);
    most.filter(|_| pairs >= PAIRS_MIN).map(|(tag, _)| *tag)
}
