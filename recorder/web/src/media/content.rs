//! Bytes that can be asked for in any order.

use media::playback::View;

use super::source::Source;
use crate::problem::{Answer, Problem};

/// Something of known length, made or read when it is asked for.
pub(super) trait Content: Send + Sync {
    /// Its length.
    fn bytes(&self) -> u64;

    /// Up to `max` bytes from `from` on; none only at the end. Blocks.
    fn read(&self, from: u64, max: usize) -> Answer<Vec<u8>>;
}

/// A sound file of all parts of a source.
pub(super) struct Sound {
    pub(super) source: Source,
    pub(super) view: View,
}

impl Content for Sound {
    fn bytes(&self) -> u64 {
        self.view.bytes()
    }

    fn read(&self, from: u64, max: usize) -> Answer<Vec<u8>> {
        self.view.read(from, max, |part| self.source.part(part))
    }
}

/// The plain files of a source, one after the other.
pub(super) struct Joined(pub(super) Source);

impl Content for Joined {
    fn bytes(&self) -> u64 {
        self.0.files().iter().map(|file| file.plain_size).sum()
    }

    fn read(&self, from: u64, max: usize) -> Answer<Vec<u8>> {
        let mut before = 0;
        for (part, file) in self.0.files().iter().enumerate() {
            if from < before + file.plain_size {
                let plain = self.0.part(part)?;
                let at = usize::try_from(from - before).unwrap_or(usize::MAX);
                let rest = plain.as_ref().get(at..).unwrap_or_default();
                return Ok(rest.get(..rest.len().min(max)).unwrap_or_default().to_vec());
            }
            before += file.plain_size;
        }
        Ok(Vec::new())
    }
}

/// A content that ends before its length is one that was exchanged meanwhile.
pub(super) fn cut_short() -> Problem {
    Problem::conflict("the recording was exchanged for another while it was sent; ask again")
}
