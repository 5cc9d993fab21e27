//! The slow way to extend sequence numbers: for streams that restart, loop, or hold misfits.

use std::collections::HashMap;

use super::{EPOCH_PLACES, FIRST_PLACE, is_copy};
use crate::streams::Packet;

/// A packet so many numbers late needs no explanation.
pub(super) const LATE_FREE: i64 = 3_000;
/// No audio sender is faster: 2.5 ms a packet.
const PACKETS_A_SECOND_MAX: i64 = 400;
/// A leap that its timestamp confirms is loss, up to this many packets, even if time does not allow it
/// (a queue that drops most and delivers the rest in a burst).
const CONFIRMED_LEAP_MAX: i64 = 3_000;
/// Timestamp units between two packets: 2.5 ms at 8 kHz,
const PACKET_UNITS_MIN: i64 = 20;
/// to 120 ms at 48 kHz.
const PACKET_UNITS_MAX: i64 = 5_760;
/// Packets looked at to see whether the stream goes on from a suspicious one.
const LOOK_AHEAD: usize = 8;
/// How near to a packet the next ones must be to go on from it.
const FOLLOW_MAX: u16 = 16;
/// So many of them must.
const FOLLOWERS_MIN: usize = 2;

/// Whether a leap of `step` numbers from `highest` to `packet` can be loss: there was time for so many
/// packets, or the timestamp leapt with the number.
pub(super) fn leap_is_loss(highest: &Packet<'_>, packet: &Packet<'_>, step: i64) -> bool {
    let elapsed = packet.time.signed_nanos_since(highest.time);
    if elapsed / (1_000_000_000 / PACKETS_A_SECOND_MAX) >= step {
        return true;
    }
    let units = i64::from(packet.timestamp.wrapping_sub(highest.timestamp).cast_signed());
    step <= CONFIRMED_LEAP_MAX && units > 0 && units % step == 0 && units / step <= PACKET_UNITS_MAX
}

/// Where the stream stands.
struct Epoch<'a> {
    highest: Packet<'a>,
    lowest_place: i64,
    /// Which packet has a place.
    taken: HashMap<i64, usize>,
}

/// Gives each packet (in the order of arrival) its place, takes those that fit nowhere out and names them
/// in `misfits`. Returns the number of restarts.
pub(super) fn extend(packets: &mut Vec<Packet<'_>>, misfits: &mut Vec<u32>) -> u64 {
    let Some(first) = packets.first_mut() else { return 0 };
    first.place = FIRST_PLACE + i64::from(first.sequence);
    let mut epoch = Epoch {
        highest: *first,
        lowest_place: first.place,
        taken: HashMap::from([(first.place, 0)]),
    };
    let mut restarts = 0;
    let mut placed = vec![true; packets.len()];
    for at in 1..packets.len() {
        let Some(packet) = packets.get(at).copied() else { break };
        let (place, fits) = epoch.judge(&packet, packets);
        let mut packet = Packet { place, late: place < epoch.highest.place, ..packet };
        if !fits {
            if !epoch.goes_on_from(at, packets) {
                misfits.push(packet.index);
                placed.iter_mut().skip(at).take(1).for_each(|placed| *placed = false);
                continue;
            }
            restarts += 1;
            let base = (epoch.highest.place / EPOCH_PLACES + 1).saturating_mul(EPOCH_PLACES);
            packet.place = base.saturating_add(FIRST_PLACE + i64::from(packet.sequence));
            packet.late = false;
            epoch = Epoch { highest: packet, lowest_place: packet.place, taken: HashMap::new() };
        }
        epoch.taken.entry(packet.place).or_insert(at);
        epoch.lowest_place = epoch.lowest_place.min(packet.place);
        if packet.place > epoch.highest.place {
            epoch.highest = packet;
        }
        packets.iter_mut().skip(at).take(1).for_each(|slot| *slot = packet);
    }
    let mut placed = placed.into_iter();
    packets.retain(|_| placed.next().unwrap_or(true));
    restarts
}

impl Epoch<'_> {
    /// The packet's place by the shortest way, and whether it can be there.
    fn judge(&self, packet: &Packet<'_>, packets: &[Packet<'_>]) -> (i64, bool) {
        let step = i64::from(packet.sequence.wrapping_sub(self.highest.sequence).cast_signed());
        let place = self.highest.place + step;
        if step > 0 {
            let fits = step <= super::LEAP_FREE || leap_is_loss(&self.highest, packet, step);
            return (place, fits);
        }
        if let Some(first) = self.taken.get(&place).and_then(|at| packets.get(*at)) {
            return (place, is_copy(first, packet));
        }
        // A hole is filled by whatever has its number; what is very late or before the first must also
        // be older by its timestamp.
        let units = i64::from(packet.timestamp.wrapping_sub(self.highest.timestamp).cast_signed());
        let older = units <= step * PACKET_UNITS_MIN && units >= step * PACKET_UNITS_MAX;
        let fills = place > self.lowest_place;
        let fits = if step < -LATE_FREE { fills && older } else { fills || older };
        (place, fits)
    }

    /// Whether packets after the one `at` go on from it and fit no better where the stream stands. The
    /// last packets of a stream may stand for themselves.
    fn goes_on_from(&self, at: usize, packets: &[Packet<'_>]) -> bool {
        let Some(from) = packets.get(at) else { return false };
        let next = packets.iter().skip(at + 1).take(LOOK_AHEAD);
        let (mut followers, mut others) = (0, 0);
        for packet in next {
            let near = (1..=FOLLOW_MAX).contains(&packet.sequence.wrapping_sub(from.sequence));
            if near && !self.judge(packet, packets).1 {
                followers += 1;
            } else {
                others += 1;
            }
        }
        followers >= FOLLOWERS_MIN || others == 0
    }
}
