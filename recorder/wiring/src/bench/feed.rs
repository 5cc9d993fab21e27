//! The frames to send, made ahead of their time: as many as a part of the memory holds before the first is sent, the
//! others meanwhile.

use std::ops::Range;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::Timestamp;
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::interrupt::Interrupt;
use crate::synth::{Making, Options, Slice, Studio, Truth};

/// What a stretch of frames takes, with what belongs to it.
const SLICE_BYTES: u64 = 24 * 1024 * 1024;
/// Stretches that are made ahead: a quarter of the free memory, within these.
const SLICES_AHEAD: Range<u64> = 2..128;

/// Stretches of frames in the order of time.
pub(super) struct Feed {
    span: Range<u64>,
    ready: Receiver<Slice>,
    used: Sender<Slice>,
    maker: JoinHandle<(Vec<Truth>, Studio)>,
}

impl Feed {
    /// Begins to make them.
    pub(super) fn start(options: &Options) -> Result<Self> {
        let mut making = Making::new(options);
        let span = making.span();
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
        Ok(Self { span, ready, used, maker: maker.context("cannot start a thread")? })
    }

    /// When the calls' time begins.
    pub(super) fn origin(&self) -> Timestamp {
        Timestamp::from_nanos(self.span.start)
    }

    /// From the first call's begin to the last one's end.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_nanos(self.span.end - self.span.start)
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

    /// The truth about all of them, once all have been had.
    pub(super) fn finish(self) -> Result<(Vec<Truth>, Studio)> {
        drop(self.ready);
        self.maker.join().map_err(|_| anyhow!("the thread that makes the calls panicked"))
    }
}

fn slices_ahead() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let slices = free.unwrap_or(0) * 1_024 / 4 / SLICE_BYTES;
    slices.clamp(SLICES_AHEAD.start, SLICES_AHEAD.end) as usize
}
