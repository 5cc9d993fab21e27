//! The packets of one stream in the order in which they were sent, each once.
//!
//! A 16-bit sequence number is extended by the shortest way from the highest one seen (RFC 3550, A.1),
//! with no limit to how late a packet may come: the order is made by one stable sort when all are there.
//!
//! A sender that starts its sequence anew under the same SSRC (a looped pcap file, a device that restarts)
//! begins a new *epoch*, as rtpproxy calls it. What tells a restart from loss, lateness and copies: the
//! number is one that time does not allow or that another packet has, and the packets after it go on from
//! there. A single packet of that kind is a misfit: it is set aside and the stream goes on. The common
//! stream has nothing of the kind and never enters [`restarts`].
//!
//! Memory is proportional to the packets given, whatever their numbers are.

use base::Timestamp;

use crate::streams::Packet;

mod restarts;

/// A new epoch's places begin here above the last one's, so that late packets find room below its first.
const EPOCH_PLACES: i64 = 1 << 40;
const FIRST_PLACE: i64 = 1 << 39;
/// A leap forward of no more than this needs no explanation.
const LEAP_FREE: i64 = 100;
/// A copy that comes later than this is not one that the network made: the sender plays again.
const COPY_NANOS_MAX: u64 = 2_000_000_000;
/// So many such copies make it worth to look for a restart.
const COPIES_SUSPICIOUS: usize = 3;

/// A stream in order.
#[derive(Debug, Default)]
pub(crate) struct Ordered<'a> {
    /// Each packet once, by place.
    pub(crate) unique: Vec<Packet<'a>>,
    /// Indices in the flow of packets that are neither unique nor a copy of one.
    pub(crate) misfits: Vec<u32>,
    pub(crate) counts: Counts,
}

/// What is counted of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All that came.
    pub(crate) packets: u64,
    /// Distinct ones.
    pub(crate) unique: u64,
    /// Sequence numbers that never came, between ones that did.
    pub(crate) lost: u64,
    /// Stretches of such.
    pub(crate) bursts: u64,
    /// Packets whose sequence number had come before, misfits of that kind included.
    pub(crate) duplicates: u64,
    /// Unique packets that came after one with a higher number.
    pub(crate) late: u64,
    pub(crate) truncated: u64,
    pub(crate) restarts: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// Puts packets that are in the order of arrival into the order of sending.
pub(crate) fn order(mut packets: Vec<Packet<'_>>) -> Ordered<'_> {
    let mut counts = Counts {
        packets: packets.len() as u64,
        truncated: packets.iter().filter(|packet| packet.is_cut()).count() as u64,
        first: packets.iter().map(|packet| packet.time).min().unwrap_or_default(),
        last: packets.iter().map(|packet| packet.time).max().unwrap_or_default(),
        ..Counts::default()
    };
    let mut misfits = Vec::new();
    if !extend_plainly(&mut packets) || copies_look_like_a_restart(&mut packets) {
        packets.sort_by_key(|packet| packet.index);
        counts.restarts = restarts::extend(&mut packets, &mut misfits);
        packets.sort_by_key(|packet| packet.place);
    }
    counts.duplicates = take_copies_out(&mut packets, &mut misfits);
    counts.unique = packets.len() as u64;
    counts.late = packets.iter().filter(|packet| packet.late).count() as u64;
    for (before, after) in packets.iter().zip(packets.iter().skip(1)) {
        let lost = lost_between(before, after);
        counts.lost += lost;
        counts.bursts += u64::from(lost > 0);
    }
    Ordered { unique: packets, misfits, counts }
}

/// Packets missing between two neighbours in order; none across epochs.
pub(crate) fn lost_between(before: &Packet<'_>, after: &Packet<'_>) -> u64 {
    let distance = after.place - before.place;
    if same_epoch(before, after) { u64::try_from(distance - 1).unwrap_or(0) } else { 0 }
}

/// Whether the sequence went on from one to the other without a restart.
pub(crate) fn same_epoch(a: &Packet<'_>, b: &Packet<'_>) -> bool {
    a.place / EPOCH_PLACES == b.place / EPOCH_PLACES
}

/// Gives each packet its place by the shortest way from the highest. False when a number leaps so far
/// that it needs an explanation.
fn extend_plainly(packets: &mut [Packet<'_>]) -> bool {
    let Some(first) = packets.first_mut() else { return true };
    first.place = FIRST_PLACE + i64::from(first.sequence);
    let mut highest = *first;
    for packet in packets.iter_mut().skip(1) {
        let step = i64::from(packet.sequence.wrapping_sub(highest.sequence).cast_signed());
        packet.place = highest.place + step;
        packet.late = step < 0;
        if step > 0 {
            if step > LEAP_FREE && !restarts::leap_is_loss(&highest, packet, step) {
                return false;
            }
            highest = *packet;
        } else if step < -restarts::LATE_FREE {
            return false;
        }
    }
    true
}

/// Sorts by place (nearly always sorted already) and looks at those that share one.
fn copies_look_like_a_restart(packets: &mut [Packet<'_>]) -> bool {
    packets.sort_by_key(|packet| packet.place);
    let suspicious = packets.iter().zip(packets.iter().skip(1));
    let suspicious = suspicious.filter(|(a, b)| a.place == b.place && !is_copy(a, b));
    suspicious.take(COPIES_SUSPICIOUS).count() == COPIES_SUSPICIOUS
}

/// Whether the later of two packets of one number is what a network or a mirror port makes of the other.
fn is_copy(first: &Packet<'_>, later: &Packet<'_>) -> bool {
    later.time.as_nanos().saturating_sub(first.time.as_nanos()) <= COPY_NANOS_MAX
        && same_content(first, later)
}

fn same_content(a: &Packet<'_>, b: &Packet<'_>) -> bool {
    a.timestamp == b.timestamp && a.payload_type == b.payload_type && a.payload == b.payload
}

/// Leaves one packet a place, the first that came, or one that is whole. Returns how many went; those
/// with content of their own are named in `misfits`.
fn take_copies_out(packets: &mut Vec<Packet<'_>>, misfits: &mut Vec<u32>) -> u64 {
    let before = packets.len();
    packets.dedup_by(|later, first| {
        if later.place != first.place {
            return false;
        }
        if first.is_cut() && !later.is_cut() && later.payload.starts_with(first.payload) {
            std::mem::swap(first, later);
        }
        let cut_copy = later.is_cut() && first.payload.starts_with(later.payload);
        if !same_content(first, later) && !cut_copy {
            misfits.push(later.index);
        }
        true
    });
    (before - packets.len()) as u64
}
