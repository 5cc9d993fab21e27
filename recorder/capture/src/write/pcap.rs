//! Writes pcap files (draft-ietf-opsawg-pcap), little-endian.

use std::io::{self, BufWriter, Write};

use base::Timestamp;
use base::limits::FRAME_BYTES_MAX;

use super::{check, wire_bytes};
use crate::LinkType;

const BUFFER_BYTES: usize = 256 * 1024;

/// The unit of time of a pcap file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// What every program reads.
    Microseconds,
    /// What most programs read.
    Nanoseconds,
}

/// A pcap file being written, through a buffer of its own.
pub struct Writer<W: Write> {
    out: BufWriter<W>,
    precision: Precision,
}

impl<W: Write> Writer<W> {
    /// Begins a file of frames of one link type.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn new(out: W, link: LinkType, precision: Precision) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let magic: u32 = match precision {
            Precision::Microseconds => 0xa1b2_c3d4,
            Precision::Nanoseconds => 0xa1b2_3c4d,
        };
        let version = u32::from_le_bytes([2, 0, 4, 0]);
        for word in [magic, version, 0, 0, FRAME_BYTES_MAX as u32, link.number()] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, precision })
    }

    /// Appends a frame of `on_wire_bytes`, of which `data` was captured. Times after 2106 become the last
    /// second that the format has.
    ///
    /// # Errors
    /// `out` cannot be written to, or `data` is longer than `limits::FRAME_BYTES_MAX`.
    #[inline]
    pub fn frame(&mut self, time: Timestamp, data: &[u8], on_wire_bytes: u32) -> io::Result<()> {
        check(data)?;
        let (seconds, nanos) = (time.as_nanos() / 1_000_000_000, time.as_nanos() % 1_000_000_000);
        let units = match self.precision {
            Precision::Microseconds => nanos / 1_000,
            Precision::Nanoseconds => nanos,
        };
        let mut header = [0; 16];
        let words = [
            u32::try_from(seconds).unwrap_or(u32::MAX),
            units as u32,
            data.len() as u32,
            wire_bytes(data, on_wire_bytes),
        ];
        for (place, word) in header.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        self.out.write_all(&header)?;
        self.out.write_all(data)
    }

    /// Writes what is buffered and gives the output back. A writer that is merely dropped cannot tell that
    /// this failed.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
