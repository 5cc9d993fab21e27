//! Which streams share a channel of which audio file.
//!
//! A lane is a stereo pair of channels. One side's streams that follow each other share a lane; streams of
//! one side that run at the same time (a relay seen on both its sides, forked early media) cannot. Lane 0
//! gets, for each side, the streams that together hold the most sound, preferring those whose flow is the
//! reverse of one on the other channel: the two halves of one conversation on one wire.

use std::collections::HashSet;

use base::limits::LANES_MAX;
use base::{FlowKey, Side};

use crate::sound::SAMPLES_PER_SECOND;

/// Streams that overlap by no more than this follow each other: jitter at the seam. The later one moves.
const SEAM_SAMPLES: i64 = SAMPLES_PER_SECOND * 12 / 100;

/// A decoded stream, as placed on its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// What the caller of this module knows it by.
    pub(crate) id: usize,
    pub(crate) side: Side,
    pub(crate) key: FlowKey,
    pub(crate) begin: i64,
    pub(crate) end: i64,
    pub(crate) samples: u64,
}

/// Streams by id, each channel in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) caller: Vec<usize>,
    pub(crate) callee: Vec<usize>,
}

/// Distributes the streams over lanes. Those for which there is no lane left are in none.
pub(crate) fn assign(mut candidates: Vec<Candidate>) -> Vec<Lane> {
    let mut lanes = Vec::new();
    while !candidates.is_empty() && lanes.len() < LANES_MAX {
        let callee_keys = keys(&candidates, Side::Callee);
        let caller = take_chain(&mut candidates, Side::Caller, &callee_keys);
        let caller_keys = caller.iter().map(|candidate| candidate.key).collect();
        let callee = take_chain(&mut candidates, Side::Callee, &caller_keys);
        let ids = |chain: Vec<Candidate>| chain.into_iter().map(|candidate| candidate.id).collect();
        lanes.push(Lane { caller: ids(caller), callee: ids(callee) });
    }
    lanes
}

fn keys(candidates: &[Candidate], side: Side) -> HashSet<FlowKey> {
    candidates.iter().filter(|c| c.side == side).map(|c| c.key).collect()
}

/// Takes the streams of `side` out that follow each other and weigh the most together (weighted interval
/// scheduling). A stream whose reverse is among `others` weighs half as much again.
fn take_chain(
    candidates: &mut Vec<Candidate>,
    side: Side,
    others: &HashSet<FlowKey>,
) -> Vec<Candidate> {
    let mut own: Vec<Candidate> = candidates.iter().filter(|c| c.side == side).copied().collect();
    own.sort_by_key(|c| (c.end, c.begin, c.id));
    let weight = |c: &Candidate| c.samples * if others.contains(&c.key.reversed()) { 3 } else { 2 };
    // best[i]: the most that the first i can weigh. before[i]: how many end before the one at i begins.
    let mut best = vec![0_u64];
    let mut before = Vec::with_capacity(own.len());
    for (index, candidate) in own.iter().enumerate() {
        let fits = own.partition_point(|c| c.end <= candidate.begin + SEAM_SAMPLES).min(index);
        let with = best.get(fits).copied().unwrap_or(0).saturating_add(weight(candidate));
        let without = best.last().copied().unwrap_or(0);
        before.push(fits);
        best.push(with.max(without));
    }
    let mut chain = Vec::new();
    let mut count = own.len();
    while let Some(index) = count.checked_sub(1) {
        let taken = best.get(count) > best.get(index);
        if taken {
            chain.extend(own.get(index).copied());
        }
        count = if taken { before.get(index).copied().unwrap_or(0) } else { index };
    }
    chain.reverse();
    let taken: HashSet<usize> = chain.iter().map(|candidate| candidate.id).collect();
    candidates.retain(|candidate| !taken.contains(&candidate.id));
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: u8, destination: u8) -> FlowKey {
        FlowKey {
            source: base::Endpoint::v4([10, 0, 0, source], 4_000),
            destination: base::Endpoint::v4([10, 0, 0, destination], 4_000),
            ..FlowKey::default()
        }
    }

    fn candidate(id: usize, side: Side, key: FlowKey, begin: i64, end: i64) -> Candidate {
        Candidate { id, side, key, begin, end, samples: (end - begin) as u64 }
    }

    #[test]
    fn streams_that_follow_each_other_share_a_lane() {
        let k = key(1, 2);
        let lanes = assign(vec![
            candidate(0, Side::Caller, k, 8_000, 16_000),
            candidate(1, Side::Caller, k, 0, 8_000 + SEAM_SAMPLES),
            candidate(2, Side::Callee, k.reversed(), 0, 16_000),
        ]);
        assert_eq!(lanes, [Lane { caller: vec![1, 0], callee: vec![2] }]);
    }

    #[test]
    fn streams_at_the_same_time_do_not() {
        let k = key(1, 2);
        let lanes = assign(vec![
            candidate(0, Side::Callee, k, 0, 4_000),
            candidate(1, Side::Callee, k, 1_000, 80_000),
            candidate(2, Side::Callee, k, 80_000, 90_000),
        ]);
        let second = Lane { caller: vec![], callee: vec![0] };
        assert_eq!(lanes, [Lane { caller: vec![], callee: vec![1, 2] }, second]);
    }

    /// Caller 1 and callee 3 talk through the relay 2. Each lane holds one wire's two directions, though
    /// the longest streams of the two sides are on different wires.
    #[test]
    fn a_relay_seen_on_both_sides_is_two_conversations() {
        let lanes = assign(vec![
            candidate(0, Side::Caller, key(1, 2), 0, 80_000),
            candidate(1, Side::Caller, key(2, 3), 100, 79_900),
            candidate(2, Side::Callee, key(3, 2), 0, 80_000),
            candidate(3, Side::Callee, key(2, 1), 100, 79_900),
        ]);
        let near = Lane { caller: vec![0], callee: vec![3] };
        assert_eq!(lanes, [near, Lane { caller: vec![1], callee: vec![2] }]);
    }

    #[test]
    fn more_at_once_than_there_are_lanes_are_left_over() {
        let all = (0..20).map(|id| candidate(id, Side::Caller, key(1, 2), 0, 8_000)).collect();
        let lanes = assign(all);
        assert_eq!(lanes.len(), LANES_MAX);
        assert!(lanes.iter().all(|lane| lane.caller.len() == 1));
    }
}
