//! Frames that are about to be sent, one after the other in one piece of memory, each behind its length.
#![expect(unsafe_code, reason = "memory that the kernel's program reads too")]

use std::io;
use std::os::fd::BorrowedFd;

use abi::transmit::{
    BATCH_BYTES, Batch as Value, FRAME_BYTES_MAX, FRAMES_BYTES, FRAMES_OFFSET, HEAD_BYTES,
    NEXT_OFFSET, taken,
};

use crate::mapping::Mapping;

/// As [`Value`], in memory of our own or in the map of the kernel's program.
#[derive(Debug)]
pub(super) struct Batch {
    memory: Mapping,
    /// Where the next frame's head will be.
    end: usize,
    frames: usize,
}

impl Batch {
    /// In memory of our own.
    pub(super) fn own() -> io::Result<Self> {
        Ok(Self { memory: Mapping::anonymous(size_of::<Value>(), false)?, end: 0, frames: 0 })
    }

    /// In a map of one [`Value`] that may be mapped.
    pub(super) fn of_map(map: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { memory: Mapping::of_file(map, 0, size_of::<Value>())?, end: 0, frames: 0 })
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.frames
    }

    /// Whether there is no room for another.
    pub(super) const fn is_full(&self) -> bool {
        self.end >= BATCH_BYTES
    }

    /// Room for the next frame; as much as the largest takes. None if the batch is full.
    #[inline]
    pub(super) fn room(&mut self) -> Option<&mut [u8; FRAME_BYTES_MAX]> {
        let room = self.end + HEAD_BYTES..self.end + HEAD_BYTES + FRAME_BYTES_MAX;
        let full = self.is_full();
        self.bytes().get_mut(room).filter(|_| !full)?.try_into().ok()
    }

    /// The bytes at the begin of what [`Self::room`] gave are a frame.
    #[inline]
    pub(super) fn add(&mut self, frame_bytes: usize) {
        let bytes = frame_bytes.min(FRAME_BYTES_MAX);
        self.set_head(self.end, bytes);
        self.end += taken(bytes);
        self.frames += 1;
    }

    /// No other frame follows: the program is to begin with the first one.
    pub(super) fn close(&mut self) {
        self.set_head(self.end, 0);
        self.set_next(0);
    }

    /// Whether the program has taken all of them. It is not running.
    pub(super) fn is_taken(&self) -> bool {
        // SAFETY: within the mapping, aligned; the program, which writes it too, is not running.
        let next = unsafe { self.memory.start().add(NEXT_OFFSET).cast::<u32>().read_volatile() };
        next as usize == self.end
    }

    /// None of them is needed any more.
    pub(super) const fn clear(&mut self) {
        (self.end, self.frames) = (0, 0);
    }

    /// Where they are to be sent, by its number.
    pub(super) fn set_interface(&mut self, index: u32) {
        // SAFETY: the value's first field, aligned; no program is running.
        unsafe { self.memory.start().cast::<u32>().write_volatile(index) };
    }

    /// The frames, in their order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let bytes = self.all();
            let head = bytes.get(at..at + 4).filter(|_| at < self.end)?;
            let length = u32::from_le_bytes(head.try_into().ok()?) as usize;
            let frame = bytes.get(at + HEAD_BYTES..at + HEAD_BYTES + length);
            at += taken(length);
            frame
        })
    }

    fn set_head(&mut self, at: usize, frame_bytes: usize) {
        if let Some(head) = self.bytes().get_mut(at..at + HEAD_BYTES) {
            head.copy_from_slice(&(frame_bytes as u64).to_le_bytes());
        }
    }

    fn set_next(&mut self, next: u32) {
        // SAFETY: as in `is_taken`; we hold the batch alone.
        unsafe { self.memory.start().add(NEXT_OFFSET).cast::<u32>().write_volatile(next) };
    }

    fn all(&self) -> &[u8] {
        // SAFETY: the frames are within the mapping, which lives as long as `self`; the program does not write them.
        unsafe {
            let start = self.memory.start().add(FRAMES_OFFSET);
            std::slice::from_raw_parts(start.as_ptr(), FRAMES_BYTES)
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: as above; the program runs only within `Kernel::flush`, which holds `self` alone, and this thread
        // waits for it.
        unsafe {
            let start = self.memory.start().add(FRAMES_OFFSET);
            std::slice::from_raw_parts_mut(start.as_ptr(), FRAMES_BYTES)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_there_as_they_were_put_and_no_more_than_fit() {
        let mut batch = Batch::own().unwrap();
        let lengths = [60, 214, 14, FRAME_BYTES_MAX, 61];
        let mut put = Vec::new();
        while let Some(room) = batch.room() {
            let length = lengths[put.len() % lengths.len()];
            room[..length].fill(put.len() as u8);
            batch.add(length);
            put.push(length);
        }
        assert!(batch.is_full() && put.iter().map(|it| taken(*it)).sum::<usize>() >= BATCH_BYTES);
        batch.close();
        let frames: Vec<_> = batch.frames().collect();
        assert_eq!(frames.len(), put.len());
        for (number, (frame, length)) in frames.iter().zip(&put).enumerate() {
            assert_eq!(frame.len(), *length);
            assert!(frame.iter().all(|byte| *byte == number as u8));
        }
        batch.clear();
        assert_eq!((batch.len(), batch.frames().count(), batch.is_full()), (0, 0, false));
    }
}
