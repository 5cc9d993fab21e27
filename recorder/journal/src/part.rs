//! Writes one part of a segment: the header with the first chunks, then chunks as encrypted images.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Timestamp;
use base::disk::{DiskFile, write_all_at};

use crate::cipher::SegmentCipher;
use crate::error::{JournalError, io_error};
use crate::format::{SEGMENT_HEADER_BYTES, SEGMENT_HEADER_CLEAR, SegmentHeader, SourceId};
use crate::journal::Shared;
use crate::key::random;
use crate::segments::{PartId, Segment};

/// What a person can do about an error of the disk.
pub(crate) const ADVICE: &str =
    "free space on that disk or repair it; it is tried again, and what is written stays good";

/// What a new part says about itself.
pub(crate) struct PartHeader {
    pub(crate) id: PartId,
    pub(crate) from: u32,
    pub(crate) run: u32,
    pub(crate) created: Timestamp,
    pub(crate) source: SourceId,
}

/// A part that is being written.
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// The header, until it is written.
    header: Option<[u8; SEGMENT_HEADER_BYTES]>,
}

impl Part {
    /// Makes the file `created`, which is known as `path` later. Nothing is written yet: that may fail and be
    /// repeated.
    pub(crate) fn create(
        shared: &Shared,
        header: &PartHeader,
        created: &Path,
        path: PathBuf,
    ) -> Result<Self, JournalError> {
        let (core, segment, part) = header.id;
        let mut salt = [0; 32];
        random(&mut salt)?;
        let cipher = SegmentCipher::new(&shared.key, &salt, core, segment);
        let clear = SegmentHeader {
            core,
            segment,
            run: header.run,
            created: header.created,
            source: header.source,
            from: header.from,
            part,
            salt,
            key_id: shared.key.id(),
        }
        .encode();
        let file = shared.places.disk.create(created, 0o600);
        let file =
            file.map_err(|error| io_error("create the journal segment", created, ADVICE, error))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..SEGMENT_HEADER_CLEAR].copy_from_slice(&clear);
        bytes[SEGMENT_HEADER_CLEAR..].copy_from_slice(&cipher.segment_tag(&clear));
        let segment = Segment::new(header.id, header.from, header.run, path, cipher, 0);
        Ok(Self { segment: Arc::new(segment), file, header: Some(bytes) })
    }

    /// Writes `image` at `offset`, after the header; what was written of it before an error is counted in
    /// `written`, and the next call goes on there.
    pub(crate) fn write(
        &mut self,
        image: &[u8],
        offset: u64,
        written: &mut usize,
    ) -> Result<(), JournalError> {
        if let Some(header) = self.header {
            write_all_at(&*self.file, &mut [IoSlice::new(&header)], 0)
                .map_err(|(_, error)| self.failed(error))?;
            self.header = None;
        }
        let rest = image.get(*written..).unwrap_or_default();
        let place = offset + *written as u64;
        match write_all_at(&*self.file, &mut [IoSlice::new(rest)], place) {
            Ok(bytes) => *written += bytes,
            Err((bytes, error)) => {
                *written += bytes;
                return Err(self.failed(error));
            }
        }
        self.segment.publish(offset + image.len() as u64);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> JournalError {
        io_error("write the journal segment", &self.segment.path, ADVICE, error)
    }
}
