//! The capture file as it is written, and the count of what is in it.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use base::Timestamp;
use capture::LinkType;
use capture::write::pcap::{Precision, Writer};

use super::Summary;
use super::slice::Slice;

pub(super) struct Output<P> {
    pcap: Writer<File>,
    progress: P,
    frames: u64,
    bytes: u64,
    first: Option<Timestamp>,
    last: Timestamp,
}

impl<P: FnMut(f64)> Output<P> {
    pub(super) fn create(path: &Path, progress: P) -> anyhow::Result<Self> {
        let hint = "is its folder there, and may you write to it?";
        let file = File::create(path)
            .with_context(|| format!("cannot create {}; {hint}", path.display()))?;
        let pcap = Writer::new(file, LinkType::Ethernet, Precision::Microseconds)?;
        Ok(Self { pcap, progress, frames: 0, bytes: 0, first: None, last: Timestamp::ZERO })
    }

    /// Appends a slice; `span` is the time of the whole capture.
    pub(super) fn write(&mut self, slice: &Slice, span: &Range<u64>) -> anyhow::Result<()> {
        for (time, frame) in slice.frames() {
            self.pcap.frame(time, frame, frame.len() as u32)?;
            self.frames += 1;
            self.bytes += frame.len() as u64;
            self.first.get_or_insert(time);
            self.last = time;
        }
        let done = self.last.as_nanos().saturating_sub(span.start);
        (self.progress)(done as f64 / (span.end - span.start) as f64);
        Ok(())
    }

    pub(super) fn finish(
        self,
        capture: &Path,
        truth: &Path,
        calls: u32,
    ) -> anyhow::Result<Summary> {
        self.pcap.finish()?;
        Ok(Summary {
            capture: capture.to_owned(),
            truth: truth.to_owned(),
            calls,
            frames: self.frames,
            bytes: self.bytes,
            duration: self.last.since(self.first.unwrap_or_default()).as_millis() as u64,
        })
    }
}
