//! One pinned thread that writes frames and sends them when they are due.

use std::time::{Duration, Instant};

use anyhow::Result;
use base::Timestamp;
use capture::transmit::{FRAME_BYTES_MAX, Transmitter};
use serde::Serialize;

use super::interrupt::Interrupt;
use super::wire::FAR;
use crate::clock;
use crate::priority::First;
use crate::synth::Timeline;

/// Between two looks at the clock when nothing is due: what is due meanwhile goes out together.
const NAP: Duration = Duration::from_millis(1);
/// Frames that go out together at most: they are still in the CPU's cache when the kernel copies them.
const TOGETHER_MAX: usize = 2_048;
/// A frame that is sent so much later than due was not sent in real time: the sender was at its limit.
const LATE_MAX: Duration = Duration::from_millis(250);

/// Frames in the order in which they are due.
pub(super) trait Frames: Send {
    /// When their time begins.
    fn origin(&self) -> Timestamp;
    /// From then to the last of them.
    fn duration(&self) -> Duration;
    /// When the next one is due. None if there is no other.
    fn due(&mut self) -> Option<Timestamp>;
    /// Writes the next one and gives its length.
    ///
    /// # Errors
    /// It is too large.
    fn write(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> Result<usize>;
}

impl Frames for Timeline {
    fn origin(&self) -> Timestamp {
        Self::origin(self)
    }

    fn duration(&self) -> Duration {
        Self::duration(self)
    }

    #[inline]
    fn due(&mut self) -> Option<Timestamp> {
        Self::due(self)
    }

    #[inline]
    fn write(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> Result<usize> {
        Ok(Self::write(self, to))
    }
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    /// By what way.
    pub(super) way: String,
    /// Frames that the interface was given, but for those that it said at once that it dropped.
    pub(super) frames: u64,
    /// Those.
    pub(super) dropped: u64,
    /// How much later than due a frame was sent at worst, milliseconds.
    pub(super) late_max_ms: f64,
    /// CPU seconds of the sending thread, making the frames included. The kernel's work on the receiving side up to the
    /// recorder's memory is in it too: on a virtual wire, whoever sends does it.
    pub(super) cpu_seconds: f64,
}

impl Sent {
    /// Whether the sender kept to real time.
    pub(super) fn kept_pace(&self) -> bool {
        self.late_max_ms <= LATE_MAX.as_secs_f64() * 1e3
    }
}

/// Sends all frames in real time, beginning now. `spread` if they are to come by several receive queues.
///
/// # Errors
/// The interface does not take them, or someone wants the bench to end.
pub(super) fn send(frames: &mut impl Frames, spread: bool, interrupt: &Interrupt) -> Result<Sent> {
    let transmitter = Transmitter::open(FAR, spread)?;
    let sent = Sent { way: transmitter.way(), ..Sent::default() };
    let _first = First::take();
    let (origin, used) = (frames.origin(), clock::thread_cpu());
    let (began, now) = (clock::instant(), Duration::ZERO);
    let mut line = Line { transmitter, began, now, oldest: None, sent };
    while let Some(due) = frames.due() {
        let due = due.since(origin);
        if !line.is_due(due) {
            line.flush()?;
            interrupt.check()?;
            line.wait_for(due);
        }
        if let Some(room) = line.room(due)? {
            let bytes = frames.write(room)?;
            line.transmitter.add(bytes);
        }
    }
    line.flush()?;
    line.sent.cpu_seconds = (clock::thread_cpu() - used).as_secs_f64();
    Ok(line.sent)
}

struct Line {
    transmitter: Transmitter,
    began: Instant,
    /// Since then, when the clock was last looked at.
    now: Duration,
    /// When the first frame of those that wait was due.
    oldest: Option<Duration>,
    sent: Sent,
}

impl Line {
    /// Whether a frame is due. The clock is only asked if it may say something else than the last time.
    #[inline]
    fn is_due(&mut self, due: Duration) -> bool {
        if due > self.now {
            self.now = self.began.elapsed();
        }
        due <= self.now
    }

    /// Sleeps until a frame is due, and for a nap at least: to begin to send takes the kernel 20 us or more.
    fn wait_for(&mut self, due: Duration) {
        std::thread::sleep(due.saturating_sub(self.began.elapsed()).max(NAP));
        self.now = self.began.elapsed();
    }

    /// Room for a frame; what waits is sent if there is none, or enough of it.
    #[inline]
    fn room(&mut self, due: Duration) -> Result<Option<&mut [u8; FRAME_BYTES_MAX]>> {
        if self.transmitter.waiting() >= TOGETHER_MAX || self.transmitter.room().is_none() {
            self.flush()?;
        }
        self.oldest.get_or_insert(due);
        Ok(self.transmitter.room())
    }

    fn flush(&mut self) -> Result<()> {
        let Some(oldest) = self.oldest.take() else { return Ok(()) };
        let waiting = self.transmitter.waiting() as u64;
        let dropped = self.transmitter.flush()?;
        self.sent.frames += waiting - dropped;
        self.sent.dropped += dropped;
        let late = self.began.elapsed().saturating_sub(oldest).as_secs_f64() * 1e3;
        self.sent.late_max_ms = self.sent.late_max_ms.max(late);
        Ok(())
    }
}
