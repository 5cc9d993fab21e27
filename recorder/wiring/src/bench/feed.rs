//! The frames of a capture file to send, read ahead of their time: as many as a part of the memory holds before the
//! first is sent, the others meanwhile.

use std::ops::Range;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::Timestamp;
use capture::transmit::FRAME_BYTES_MAX;
use capture::{Merged, Poll, Source as _};
use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

use super::copies::Made;
use super::interrupt::Interrupt;
use super::sender::Frames;
use crate::doctor::machine;
use crate::synth::Slice;

/// What a stretch of frames takes, with what belongs to it.
const SLICE_BYTES: u64 = 24 * 1024 * 1024;
const FRAMES_PER_SLICE: usize = 16_384;
/// Stretches that are read ahead: a quarter of the free memory, within these.
const SLICES_AHEAD: Range<u64> = 2..128;

/// The frames of a capture file, stretch after stretch.
pub(super) struct Feed {
    made: Made,
    ready: Receiver<Slice>,
    used: Sender<Slice>,
    reader: JoinHandle<Result<()>>,
    /// The stretch that is being sent, and how far.
    slice: Slice,
    next: usize,
}

impl Feed {
    /// Begins to read a file that was made here.
    pub(super) fn start(path: &Path, made: Made) -> Result<Self> {
        let mut source = Merged::open(&[path.to_owned()])?;
        let (tell, ready) = bounded(slices_ahead());
        let (used, again) = unbounded::<Slice>();
        let read = move || {
            loop {
                let mut slice = again.try_recv().unwrap_or_default();
                // Nobody may want them any more.
                if !fill(&mut slice, &mut source)? || tell.send(slice).is_err() {
                    return Ok(());
                }
            }
        };
        let reader = std::thread::Builder::new().name("reading".into()).spawn(read);
        let reader = reader.context("cannot start a thread")?;
        Ok(Self { made, ready, used, reader, slice: Slice::default(), next: 0 })
    }

    /// Waits until all are read, or as many as there is room for.
    pub(super) fn wait_until_ahead(&self, interrupt: &Interrupt) -> Result<()> {
        while !self.ready.is_full() && !self.reader.is_finished() {
            interrupt.check()?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether the file could be read, once all have been had.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.ready);
        self.reader.join().map_err(|_| anyhow!("the thread that reads the calls panicked"))?
    }
}

impl Frames for Feed {
    fn origin(&self) -> Timestamp {
        self.made.first
    }

    fn duration(&self) -> Duration {
        self.made.last.since(self.made.first)
    }

    fn due(&mut self) -> Option<Timestamp> {
        if self.next >= self.slice.len() {
            let sent = std::mem::replace(&mut self.slice, self.ready.recv().ok()?);
            // The last ones are not needed.
            let _ = self.used.send(sent);
            self.next = 0;
        }
        self.slice.frame(self.next).map(|(time, _)| time)
    }

    fn write(&mut self, to: &mut [u8; FRAME_BYTES_MAX]) -> Result<usize> {
        let (_, frame) = self.slice.frame(self.next).context("there is no other frame")?;
        self.next += 1;
        let room = to.get_mut(..frame.len()).with_context(|| {
            format!("a packet of {} bytes is larger than the wire takes", frame.len())
        })?;
        room.copy_from_slice(frame);
        Ok(frame.len())
    }
}

/// Reads the next stretch. False if there is none.
fn fill(slice: &mut Slice, source: &mut Merged) -> Result<bool> {
    slice.clear();
    while slice.len() < FRAMES_PER_SLICE {
        if source.poll(&mut |frame| slice.push(frame.time, frame.data))? == Poll::End {
            break;
        }
    }
    Ok(slice.len() > 0)
}

fn slices_ahead() -> usize {
    let slices = machine::memory_available_bytes() / 4 / SLICE_BYTES;
    slices.clamp(SLICES_AHEAD.start, SLICES_AHEAD.end) as usize
}
