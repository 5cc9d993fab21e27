//! From the kernel's stamps to the capture clock.
//!
//! A packet socket stamps frames by the wall clock, which may be set while frames wait in the ring. How far it is
//! from the capture clock is read before each look into the ring. Frames that were stamped before the wall clock was
//! set have to be judged by how far it was away before; they are told from the others by this: no frame comes from
//! the future, and none has waited much longer than its neighbours.

use std::time::Duration;

use base::Timestamp;
use capture::xdp::UtcOffset;

use crate::wall_clock::is_step;

/// How long after the wall clock was set a frame may still come that was stamped before.
const WAITING_MAX: Duration = Duration::from_millis(100);
/// A frame may be stamped while the ring is looked into.
const AHEAD_MAX: Duration = Duration::from_millis(1);

/// What is to be taken off the stamps.
#[derive(Debug)]
pub(super) struct Stamps {
    capture: UtcOffset,
    wall: UtcOffset,
    /// Before the wall clock was set; and when that was found.
    before: Option<(UtcOffset, Timestamp)>,
    now: Timestamp,
}

impl Stamps {
    /// `capture` and `wall` are what the two clocks add to the monotonic one.
    pub(super) fn new(capture: UtcOffset, wall: UtcOffset) -> Self {
        Self { capture, wall, before: None, now: Timestamp::MAX }
    }

    /// The ring is about to be looked into, at `now` on the capture clock.
    pub(super) fn look(&mut self, now: Timestamp, wall: UtcOffset) {
        self.now = now;
        if is_step(wall.step_since(self.wall), wall) {
            self.before = Some((self.wall, now));
            self.wall = wall;
        }
    }

    /// The ring was empty at the last look.
    pub(super) fn idle(&mut self) {
        if self.before.is_some_and(|(_, found)| self.now.since(found) > WAITING_MAX) {
            self.before = None;
        }
    }

    /// The time of a frame that is in the ring.
    #[inline]
    pub(super) fn time(&self, stamp: Timestamp) -> Timestamp {
        let latest = self.now.plus(AHEAD_MAX);
        let time = self.by(stamp, self.wall);
        match self.before {
            None if time <= latest => time,
            // The wall clock was set just now, after it was read.
            None => self.now,
            Some((before, _)) => {
                let other = self.by(stamp, before);
                let possible = [time, other].into_iter().filter(|time| *time <= latest);
                possible.max().unwrap_or(self.now)
            }
        }
    }

    fn by(&self, stamp: Timestamp, wall: UtcOffset) -> Timestamp {
        stamp.moved(self.capture.step_since(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    /// 20 ms, as voice comes.
    const FRAME: u64 = 20_000_000;

    /// Frames come every 20 ms; the ring is looked into every 60 ms. In the middle the wall clock is set, and moved
    /// a little within what is no step. Every frame's time has to be what it was.
    #[test]
    fn frames_over_a_step_keep_their_distance() {
        for step in [HOUR, -HOUR, 5_000_000, -5_000_000] {
            let begin = Timestamp::from_nanos(1_800_000_000_000_000_000);
            let capture = UtcOffset::of(500);
            let wall_at = |number: u64| {
                let set = if number < 50 { 0 } else { step };
                UtcOffset::of(capture.nanos() + 40_000 + set)
            };
            let mut stamps = Stamps::new(capture, UtcOffset::of(capture.nanos() + 40_000));
            let mut times = Vec::new();
            let frame_time = |number: u64| begin.plus(Duration::from_nanos(number * FRAME));
            for look in 0..40_u64 {
                let last = look * 3 + 2;
                let now = frame_time(last).plus(Duration::from_millis(1));
                stamps.look(now, wall_at(last));
                for number in look * 3..=last {
                    let stamp = frame_time(number).moved(wall_at(number).step_since(capture));
                    times.push(stamps.time(stamp));
                }
                stamps.look(now, wall_at(last));
                stamps.idle();
            }
            assert!(stamps.before.is_none());
            for (number, time) in (0..).zip(times) {
                let off = time.signed_nanos_since(frame_time(number)).unsigned_abs();
                // Of a small step in between two looks it is not known which frame saw it; and 40 us were always off.
                let may =
                    if step.abs() < HOUR && (40..60).contains(&number) { 5_000_000 } else { 0 };
                assert!(off <= may, "{step}: frame {number} is {off} ns off");
            }
        }
    }

    #[test]
    fn a_frame_from_the_future_came_now() {
        let none = UtcOffset::of(0);
        let mut stamps = Stamps::new(none, none);
        let now = Timestamp::from_nanos(1_800_000_000_000_000_000);
        stamps.look(now, none);
        assert_eq!(stamps.time(now.moved(HOUR)), now);
        assert_eq!(stamps.time(now.moved(100)), now.moved(100));
        assert_eq!(stamps.time(now.moved(-HOUR)), now.moved(-HOUR), "it may have waited");
    }
}
