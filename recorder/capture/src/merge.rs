//! Several capture files as one source, in the order of time.
//!
//! The files are ordered by the time of their next frame; the earliest is read on until it passes the one
//! that follows. Rotated files, which hardly overlap, so cost no more than one file: each is opened when its
//! turn comes, read to its end without a look at the others, and closed. Frames are handed over from the
//! window of their own file; nothing is copied. Frames of equal time come in the order in which their files
//! were named.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use base::Timestamp;
use base::limits::CAPTURE_FILES_OPEN_MAX;

use crate::file::{Progress, Run};
use crate::frame::Unprepared;
use crate::{CaptureError, FileSource, Frame, Poll, Source, Taker};

/// What is read of each file to learn its first time.
const SCAN_WINDOW_BYTES: usize = 4 * 1024;
/// A poll ends with the run in which it has handed over this many frames.
const POLL_FRAMES: usize = 1_024;

/// Capture files read in the order of time. [`Frame::number`] counts within each file.
pub struct Merged {
    files: Vec<Entry>,
    /// The files that wait, by the time of their next frame and then as named.
    waiting: BinaryHeap<Reverse<(Timestamp, usize)>>,
    current: Option<usize>,
    /// Files held open.
    open: usize,
    /// Errors wait until everything that can be read has been.
    errors: VecDeque<CaptureError>,
}

struct Entry {
    path: PathBuf,
    total_bytes: Option<u64>,
    reading: Reading,
}

enum Reading {
    /// Its turn has not come.
    Unopened,
    Open(Box<FileSource>),
    Done,
}

impl Merged {
    /// Opens each of `paths`, and learns when it begins.
    ///
    /// # Errors
    /// One of them is no capture or cannot be opened. Damage further in is told by [`Source::poll`], after
    /// all frames of all files.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
        let mut merged = Self {
            files: Vec::with_capacity(paths.len()),
            waiting: BinaryHeap::with_capacity(paths.len()),
            current: None,
            open: 0,
            errors: VecDeque::new(),
        };
        if let [path] = paths {
            // A single file needs no first look.
            let reader = FileSource::open(path)?;
            let total_bytes = reader.progress().total_bytes;
            let reading = Reading::Open(Box::new(reader));
            merged.files.push(Entry { path: path.clone(), total_bytes, reading });
            merged.current = Some(0);
            merged.open = 1;
            return Ok(merged);
        }
        for path in paths {
            merged.add(path)?;
        }
        Ok(merged)
    }

    fn add(&mut self, path: &Path) -> Result<(), CaptureError> {
        let mut reader = FileSource::open_with_window(path, SCAN_WINDOW_BYTES)?;
        let total_bytes = reader.progress().total_bytes;
        let reading = match reader.run(None, &mut Unprepared(&mut |_: Frame<'_>| {})) {
            Ok(Run::Later(time)) => {
                self.waiting.push(Reverse((time, self.files.len())));
                // What is no regular file, such as a pipe, cannot be opened a second time.
                if total_bytes.is_none() {
                    self.open += 1;
                    Reading::Open(Box::new(reader))
                } else {
                    Reading::Unopened
                }
            }
            Ok(Run::Frames(_) | Run::End) => Reading::Done,
            Err(error) => {
                self.errors.push_back(error);
                Reading::Done
            }
        };
        self.files.push(Entry { path: path.to_owned(), total_bytes, reading });
        Ok(())
    }

    /// How far reading has come, over all files.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let read = |entry: &Entry| match &entry.reading {
            Reading::Unopened => 0,
            Reading::Open(reader) => reader.progress().read_bytes,
            Reading::Done => entry.total_bytes.unwrap_or(0),
        };
        Progress {
            read_bytes: self.files.iter().map(read).sum(),
            total_bytes: self.files.iter().map(|entry| entry.total_bytes).sum(),
        }
    }

    /// Until when the file at `index` may be read on: to the next frame of the file that follows, and with
    /// it if this one was named before.
    fn turn_of(&self, index: usize) -> Timestamp {
        match self.waiting.peek() {
            None => Timestamp::MAX,
            Some(Reverse((time, next))) if index < *next => *time,
            Some(Reverse((time, _))) => Timestamp::from_nanos(time.as_nanos().saturating_sub(1)),
        }
    }

    /// Reads on in the file at `index` while it is its turn.
    fn run(&mut self, index: usize, taker: &mut impl Taker) -> Result<Run, CaptureError> {
        let until = self.turn_of(index);
        let Some(Entry { path, reading, .. }) = self.files.get_mut(index) else {
            return Ok(Run::End);
        };
        if let Reading::Unopened = reading {
            if self.open >= CAPTURE_FILES_OPEN_MAX {
                return Err(CaptureError::TooManyOpen { path: path.clone() });
            }
            *reading = Reading::Open(Box::new(FileSource::open(path)?));
            self.open += 1;
        }
        match reading {
            Reading::Open(reader) => reader.run(Some(until), taker),
            Reading::Unopened | Reading::Done => Ok(Run::End),
        }
    }

    fn close(&mut self, index: usize) {
        self.current = None;
        if let Some(entry) = self.files.get_mut(index) {
            let was = std::mem::replace(&mut entry.reading, Reading::Done);
            self.open -= usize::from(matches!(was, Reading::Open(_)));
        }
    }

    /// Reads on in the file whose turn it is; how many frames that gave, or `None` if all files are done.
    fn step(&mut self, taker: &mut impl Taker) -> Option<usize> {
        if self.current.is_none() {
            self.current = self.waiting.pop().map(|Reverse((_, index))| index);
        }
        let index = self.current?;
        match self.run(index, taker) {
            Ok(Run::Frames(frames)) => return Some(frames),
            Ok(Run::Later(time)) => {
                self.waiting.push(Reverse((time, index)));
                self.current = None;
            }
            Ok(Run::End) => self.close(index),
            Err(error) => {
                self.errors.push_back(error);
                self.close(index);
            }
        }
        Some(0)
    }
}

impl Source for Merged {
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        self.poll_ahead(&mut Unprepared(on_frame))
    }

    fn poll_ahead(&mut self, taker: &mut impl Taker) -> Result<Poll, CaptureError> {
        let mut frames = 0;
        while frames < POLL_FRAMES {
            match self.step(taker) {
                Some(more) => frames += more,
                None => break,
            }
        }
        if frames > 0 {
            return Ok(Poll::Frames(frames));
        }
        self.errors.pop_front().map_or(Ok(Poll::End), Err)
    }
}
