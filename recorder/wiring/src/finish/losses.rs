//! Packets that the recorder itself lost, written into the calls that were up then.
//!
//! Where a packet is lost, nobody has seen whose it was. That a call lacks packets shows in its own streams; this
//! says why it may.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base::Timestamp;
use base::recording::Recording;

/// Losses remembered; the oldest give way.
const LOSSES_MAX: usize = 4_096;
/// Losses written into one recording; further ones are summed up.
const NOTES_MAX: usize = 32;

/// One stretch of time in which packets were lost.
#[derive(Clone, Copy, Debug)]
struct Loss {
    from: Timestamp,
    until: Timestamp,
    packets: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<VecDeque<Loss>>);

impl Losses {
    /// Packets were lost between two times.
    pub(crate) fn add(&self, from: Timestamp, until: Timestamp, packets: u64) {
        let mut losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if losses.len() >= LOSSES_MAX {
            losses.pop_front();
        }
        losses.push_back(Loss { from, until, packets });
    }

    /// Says in a recording what was lost while its call was up. A recording that lacks packets for another reason
    /// too, or for none, is not made incomplete by that: its own streams tell. Its times are `ahead` nanoseconds
    /// ahead of the capture clock.
    pub(super) fn note(&self, recording: &mut Recording, ahead: i64) {
        let losses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, stop) = (recording.start_time, recording.stop_time);
        let told = losses.iter().map(|loss| Loss {
            from: loss.from.moved(ahead),
            until: loss.until.moved(ahead),
            ..*loss
        });
        let hit = told.filter(|loss| loss.until >= start && loss.from <= stop);
        let mut more = 0;
        for (index, loss) in hit.enumerate() {
            if index >= NOTES_MAX {
                more += loss.packets;
                continue;
            }
            recording.notes.push(format!(
                "the recorder lost {} packets, of this call or of others, between {} and {}",
                loss.packets, loss.from, loss.until
            ));
        }
        if more > 0 {
            recording.notes.push(format!("and {more} more packets while the call was up"));
        }
    }
}
