//! One pinned thread that sends frames when they are due.

use std::time::{Duration, Instant};

use anyhow::Result;
use base::Timestamp;
use capture::transmit::{BATCH_FRAMES_MAX, Transmitter};
use serde::Serialize;

use super::feed::{Feed, Maker};
use super::interrupt::Interrupt;
use super::wire::FAR;
use crate::clock;

/// Between two looks at the clock when nothing is due: what is due meanwhile goes out together.
const NAP: Duration = Duration::from_micros(100);
/// A frame that is sent so much later than due was not sent in real time: the sender was at its limit.
const LATE_MAX: Duration = Duration::from_millis(250);

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    /// Frames that the interface took.
    pub(super) frames: u64,
    /// Frames that it had no room for.
    pub(super) dropped: u64,
    /// How much later than due a frame was sent at worst, milliseconds.
    pub(super) late_max_ms: f64,
    /// CPU seconds of the sending thread. The kernel's work on the receiving side up to the recorder's memory is in
    /// it: on a virtual wire, whoever sends does it.
    pub(super) cpu_seconds: f64,
}

impl Sent {
    /// Whether the sender kept to real time.
    pub(super) fn kept_pace(&self) -> bool {
        self.late_max_ms <= LATE_MAX.as_secs_f64() * 1e3
    }
}

/// Sends all of a feed's frames in real time, beginning now.
///
/// # Errors
/// The interface does not take them, or someone wants the bench to end.
pub(super) fn send<M: Maker>(feed: &Feed<M>, interrupt: &Interrupt) -> Result<Sent> {
    let transmitter = Transmitter::open(FAR)?;
    let (origin, used) = (feed.origin(), clock::thread_cpu());
    let mut line = Line { transmitter, began: clock::instant(), origin, sent: Sent::default() };
    while let Some(slice) = feed.next() {
        interrupt.check()?;
        let mut batch: Vec<&[u8]> = Vec::with_capacity(BATCH_FRAMES_MAX);
        for (time, frame) in slice.frames() {
            if batch.len() == BATCH_FRAMES_MAX {
                line.flush(&mut batch)?;
            }
            if !line.is_due(time) {
                line.flush(&mut batch)?;
                line.wait_for(time);
            }
            batch.push(frame);
        }
        line.flush(&mut batch)?;
        drop(batch);
        feed.give_back(slice);
    }
    line.sent.cpu_seconds = (clock::thread_cpu() - used).as_secs_f64();
    Ok(line.sent)
}

struct Line {
    transmitter: Transmitter,
    began: Instant,
    origin: Timestamp,
    sent: Sent,
}

impl Line {
    /// Whether a frame is due; how late it is, is noted.
    fn is_due(&mut self, time: Timestamp) -> bool {
        let (due, now) = (time.since(self.origin), self.began.elapsed());
        if due <= now {
            let late = (now - due).as_secs_f64() * 1e3;
            self.sent.late_max_ms = self.sent.late_max_ms.max(late);
        }
        due <= now
    }

    fn wait_for(&self, time: Timestamp) {
        let due = time.since(self.origin);
        while let Some(left) = due.checked_sub(self.began.elapsed()).filter(|it| !it.is_zero()) {
            std::thread::sleep(left.max(NAP));
        }
    }

    fn flush(&mut self, batch: &mut Vec<&[u8]>) -> Result<()> {
        let mut frames = batch.as_slice();
        while !frames.is_empty() {
            let sent = self.transmitter.send(frames)?;
            self.sent.frames += sent as u64;
            self.sent.dropped += u64::from(sent == 0);
            frames = frames.get(sent.max(1)..).unwrap_or_default();
        }
        batch.clear();
        Ok(())
    }
}
