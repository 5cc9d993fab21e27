//! The journal's memory runs out: new calls are refused before those that are up lose packets.
//!
//! A chunk's memory is free again when the disk has it. If the disk is too slow for the load, or does not answer,
//! the memory fills; what is left is for the calls that are up.

use crate::alarms::{AlarmId, Board};
use crate::engine::Limit;

/// Above this share of any core's chunks in use, no new calls; they are taken again below the other one.
const REFUSE_PERCENT: u8 = 85;
const TAKE_PERCENT: u8 = 70;
/// Among the parts that refuse calls; the disk is part 0.
const PART: u32 = 1;

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
}
