//! The frames to send, made ahead of their time: as many as a part of the memory holds before the first is sent, the
//! others meanwhile.

use std::ops::Range;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::Timestamp;
use capture::{Merged, Poll, Source as _};
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::copies::Made;
use super::interrupt::Interrupt;
use crate::doctor::machine;
use crate::synth::{Making, Slice, Studio, Truth};

/// What a stretch of frames takes, with what belongs to it.
const SLICE_BYTES: u64 = 24 * 1024 * 1024;
/// Frames of a stretch that is read from a file.
const FRAMES_PER_SLICE: usize = 16_384;
/// Stretches that are made ahead: a quarter of the free memory, within these.
const SLICES_AHEAD: Range<u64> = 2..128;

/// Makes frames, stretch after stretch.
pub(super) trait Maker: Send + 'static {
    /// What is known when all are made.
    type End: Send + 'static;
    /// When the frames' time begins.
    fn origin(&self) -> Timestamp;
    /// From then to the last frame.
    fn duration(&self) -> Duration;
    /// Makes the next stretch. False if there is none.
    fn next(&mut self, slice: &mut Slice) -> bool;
    /// All are made.
    fn finish(self) -> Self::End;
}

impl Maker for Making {
    type End = (Vec<Truth>, Studio);

    fn origin(&self) -> Timestamp {
        Timestamp::from_nanos(self.span().start)
    }

    fn duration(&self) -> Duration {
        let span = self.span();
        Duration::from_nanos(span.end - span.start)
    }

    fn next(&mut self, slice: &mut Slice) -> bool {
        Making::next(self, slice)
    }

    fn finish(self) -> Self::End {
        Making::finish(self)
    }
}

/// The frames of a capture file.
pub(super) struct FromFile {
    source: Merged,
    made: Made,
    failed: Option<anyhow::Error>,
}

impl FromFile {
    /// A file that was made here.
    pub(super) fn open(path: &Path, made: Made) -> Result<Self> {
        Ok(Self { source: Merged::open(&[path.to_owned()])?, made, failed: None })
    }
}

impl Maker for FromFile {
    type End = Result<()>;

    fn origin(&self) -> Timestamp {
        self.made.first
    }

    fn duration(&self) -> Duration {
        self.made.last.since(self.made.first)
    }

    fn next(&mut self, slice: &mut Slice) -> bool {
        slice.clear();
        while slice.len() < FRAMES_PER_SLICE {
            match self.source.poll(&mut |frame| slice.push(frame.time, frame.data)) {
                Ok(Poll::End) => break,
                Ok(_) => {}
                Err(error) => {
                    self.failed = Some(error.into());
                    break;
                }
            }
        }
        slice.len() > 0
    }

    fn finish(self) -> Self::End {
        self.failed.map_or(Ok(()), Err)
    }
}

/// Stretches of frames in the order of time.
pub(super) struct Feed<M: Maker> {
    origin: Timestamp,
    duration: Duration,
    ready: Receiver<Slice>,
    used: Sender<Slice>,
    maker: JoinHandle<M::End>,
}

impl<M: Maker> Feed<M> {
    /// Begins to make them.
    pub(super) fn start(mut making: M) -> Result<Self> {
        let (origin, duration) = (making.origin(), making.duration());
        let (tell, ready) = bounded(slices_ahead());
        let (used, again) = unbounded::<Slice>();
        let make = move || {
            loop {
                let mut slice = again.try_recv().unwrap_or_default();
                // Nobody may want them any more.
                if !making.next(&mut slice) || tell.send(slice).is_err() {
                    return making.finish();
                }
            }
        };
        let maker = std::thread::Builder::new().name("making".into()).spawn(make);
        Ok(Self { origin, duration, ready, used, maker: maker.context("cannot start a thread")? })
    }

    /// When the calls' time begins.
    pub(super) fn origin(&self) -> Timestamp {
        self.origin
    }

    /// From the first call's begin to the last one's end.
    pub(super) fn duration(&self) -> Duration {
        self.duration
    }

    /// Waits until all are made, or as many as there is room for.
    pub(super) fn wait_until_ahead(&self, interrupt: &Interrupt) -> Result<()> {
        while !self.ready.is_full() && !self.maker.is_finished() {
            interrupt.check()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The next stretch; none when all have been had.
    pub(super) fn next(&self) -> Option<Slice> {
        self.ready.recv().ok()
    }

    /// A stretch is sent: its memory is used again.
    pub(super) fn give_back(&self, slice: Slice) {
        // The last ones are not needed.
        let _ = self.used.send(slice);
    }

    /// What is known of them, once all have been had.
    pub(super) fn finish(self) -> Result<M::End> {
        drop(self.ready);
        self.maker.join().map_err(|_| anyhow!("the thread that makes the calls panicked"))
    }
}

fn slices_ahead() -> usize {
    let slices = machine::memory_available_bytes() / 4 / SLICE_BYTES;
    slices.clamp(SLICES_AHEAD.start, SLICES_AHEAD.end) as usize
}
