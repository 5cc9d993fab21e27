//! The recorder nears its limit: new calls are refused before those that are up lose packets.
//!
//! The journal's memory: a chunk's memory is free again when the disk has it. If the disk is too slow for the load, or
//! does not answer, the memory fills; what is left is for the calls that are up. And the capture threads: one that works
//! all the time, or before which packets are lost, has no time for more calls.

use crate::alarms::{AlarmId, Board};
use crate::engine::Limit;

/// Above this share of any core's chunks in use, no new calls; they are taken again below the other one.
const REFUSE_PERCENT: u8 = 85;
const TAKE_PERCENT: u8 = 70;
/// A capture thread that has a CPU for so much of the time has none left. (One that only waits for a CPU, because others
/// want it, has: what it takes too late is lost, and counts as that.)
const STRAINED_PERCENT: u8 = 95;
/// With less than that, it has time for more calls.
const CALM_PERCENT: u8 = 70;
/// Looks in a row that show strain until new calls are refused: 1 s. What happens once is no lasting load.
const STRAINED_LOOKS: u32 = 4;
/// Looks in a row that show none until they are taken again: 5 s.
const CALM_LOOKS: u32 = 20;
/// Among the parts that refuse calls; the disk is part 0.
const PART: u32 = 1;
const CAPTURE_PART: u32 = 2;

/// Judges it, with a memory.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    refusing: bool,
}

impl Pressure {
    /// The core with the least room has so many percent of its chunks in use. Gives why new calls are refused, if
    /// they are.
    pub(super) fn judge(&mut self, percent: u8, board: &Board) -> Option<Limit> {
        let mark = if self.refusing { TAKE_PERCENT } else { REFUSE_PERCENT };
        let refusing = percent > mark;
        if refusing != self.refusing {
            self.refusing = refusing;
            match refusing {
                true => tracing::error!(
                    "new calls are refused: {percent} % of the journal's memory wait for the disk"
                ),
                false => tracing::warn!("new calls are recorded again: the disk has caught up"),
            }
        }
        let detail = || format!("{percent} % of the journal's memory wait for the disk");
        board.set_part(AlarmId::CallsRefused, PART, refusing.then(detail));
        refusing.then_some(Limit::JournalMemory)
    }
}

/// Judges the capture threads, with a memory.
#[derive(Debug, Default)]
pub(super) struct Strain {
    refusing: bool,
    /// Looks in a row that speak for a change.
    looks: u32,
}

impl Strain {
    /// The busiest core's thread has a CPU for so many percent of the time, and so many packets were lost since the last look. Gives
    /// why new calls are refused, if they are.
    pub(super) fn judge(&mut self, percent: u8, lost: u64, board: &Board) -> Option<Limit> {
        let (speaks, enough) = match self.refusing {
            false => (percent > STRAINED_PERCENT || lost > 0, STRAINED_LOOKS),
            true => (percent < CALM_PERCENT && lost == 0, CALM_LOOKS),
        };
        self.looks = if speaks { self.looks + 1 } else { 0 };
        if self.looks >= enough {
            (self.refusing, self.looks) = (!self.refusing, 0);
            match self.refusing {
                true => tracing::error!(
                    "new calls are refused: a capture thread works {percent} % of its time, {lost} packets were lost \
                     just now"
                ),
                false => tracing::warn!("new calls are recorded again: the load has fallen"),
            }
        }
        let detail = || "a capture thread cannot keep up with the packets".to_owned();
        board.set_part(AlarmId::CallsRefused, CAPTURE_PART, self.refusing.then(detail));
        self.refusing.then_some(Limit::Capture)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alarms::Moment;

    #[test]
    fn calls_are_refused_early_and_taken_again_late_and_the_alarm_follows() {
        let (mut pressure, board) = (Pressure::default(), Board::new());
        let mut hour = 0;
        let mut at = |percent| {
            let limit = pressure.judge(percent, &board);
            hour += 1;
            // Set, and then let rise or clear however long that takes.
            for second in [0, 3_599] {
                let monotonic = Duration::from_secs(3_600 * hour + second);
                board.tick(Moment { monotonic, ..Moment::default() });
            }
            let raised = board.raised();
            let is_up = raised.iter().any(|alarm| alarm.id == AlarmId::CallsRefused);
            (limit.is_some(), is_up)
        };
        assert_eq!(at(0), (false, false));
        assert_eq!(at(85), (false, false));
        assert_eq!(at(86), (true, true));
        assert_eq!(at(71), (true, true));
        assert_eq!(at(70), (false, false));
        assert_eq!(at(80), (false, false));
        assert_eq!(pressure.judge(100, &board), Some(Limit::JournalMemory));
    }

    #[test]
    fn lasting_strain_refuses_calls_and_lasting_calm_takes_them_again() {
        let (mut strain, board) = (Strain::default(), Board::new());
        let mut looks = |times: u32, percent, lost| {
            let judged = (0..times).map(|_| strain.judge(percent, lost, &board)).last();
            judged.flatten().is_some()
        };
        assert!(!looks(100, 95, 0), "busy, and it keeps up");
        assert!(!looks(3, 100, 0), "a moment");
        assert!(!looks(1, 50, 0));
        assert!(!looks(3, 40, 7), "a moment");
        assert!(looks(1, 100, 0));
        assert!(looks(100, 80, 0), "less, but not calm");
        assert!(looks(19, 30, 0));
        assert!(looks(1, 30, 1), "packets are lost still");
        assert!(looks(19, 30, 0));
        assert!(!looks(1, 30, 0), "taken again");
        assert!(looks(4, 30, 1), "losses alone are strain");
    }
}
