//! A window that slides over a file: large reads, no copy of what is in it but of a record cut by its end.

use std::io::{self, Read};

/// Well inside a core's second-level cache. From 128 KiB to 1 MiB no difference was measurable.
pub(super) const WINDOW_BYTES: usize = 256 * 1024;

pub(super) struct Buffer<R> {
    input: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    /// What lies past this offset is not looked at.
    data_end: u64,
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(input: R, window_bytes: usize) -> Self {
        Self {
            input,
            bytes: vec![0; window_bytes],
            start: 0,
            end: 0,
            offset: 0,
            data_end: u64::MAX,
        }
    }

    /// What is at hand.
    #[inline]
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where in the data `pending` begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// Done with the first `used` bytes of `pending`.
    #[inline]
    pub(super) fn consume(&mut self, used: usize) {
        debug_assert!(used <= self.end - self.start);
        self.start += used;
        self.offset += used as u64;
    }

    /// Treats the data as if it ended at `offset`.
    pub(super) fn end_at(&mut self, offset: u64) {
        self.data_end = offset;
        let left = offset.saturating_sub(self.offset);
        self.end =
            self.end.min(self.start.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
    }

    /// Reads until at least `need` bytes are at hand; false if the data ends before. The window grows to
    /// `need` if it has to, so the caller bounds it.
    pub(super) fn fill(&mut self, need: usize) -> io::Result<bool> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.bytes.len() < need {
            self.bytes.resize(need, 0);
        }
        while self.end < need {
            match self.read_once()? {
                0 => return Ok(false),
                read => self.end += read,
            }
        }
        Ok(true)
    }

    /// Passes over `bytes`; false if the data ends before.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        let mut left = bytes;
        loop {
            let here = left.min(self.pending().len() as u64);
            self.consume(here as usize);
            left -= here;
            if left == 0 {
                return Ok(true);
            }
            if !self.fill(1)? {
                return Ok(false);
            }
        }
    }

    fn read_once(&mut self) -> io::Result<usize> {
        let left = self.data_end.saturating_sub(self.offset + (self.end - self.start) as u64);
        let free = self.bytes.get_mut(self.end..).unwrap_or_default();
        let wanted = free.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let free = free.get_mut(..wanted).unwrap_or_default();
        if free.is_empty() {
            // Where the data is said to end. Not every decompressor bears being asked for nothing.
            return Ok(0);
        }
        loop {
            match self.input.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_grows_and_knows_where_it_is() {
        let data: Vec<u8> = (0..100).collect();
        let mut buffer = Buffer::new(data.as_slice(), 16);
        assert!(buffer.fill(10).unwrap());
        assert_eq!(buffer.pending(), &data[..16]);
        buffer.consume(10);
        assert!(buffer.fill(40).unwrap());
        assert_eq!((buffer.pending(), buffer.offset()), (&data[10..50], 10));
        assert!(buffer.skip(60).unwrap());
        assert!(buffer.fill(1).unwrap());
        assert_eq!((buffer.pending(), buffer.offset()), (&data[70..90], 70));
        assert!(!buffer.fill(31).unwrap());
        assert_eq!(buffer.pending(), &data[70..]);
        assert!(!buffer.skip(31).unwrap());
        assert_eq!((buffer.pending().len(), buffer.offset()), (0, 100));
    }

    #[test]
    fn nothing_past_the_end_of_the_data_is_seen() {
        for end in [0, 3, 10, 40] {
            let data: Vec<u8> = (0..100).collect();
            let mut buffer = Buffer::new(data.as_slice(), 16);
            assert!(buffer.fill(4).unwrap());
            buffer.consume(4);
            buffer.end_at(end);
            assert!(!buffer.fill(50).unwrap());
            assert_eq!(buffer.pending(), &data[4..(end as usize).max(4)]);
        }
    }
}
