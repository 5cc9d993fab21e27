//! Capture files: the format and the compression are told by the first bytes, never by the name.
//!
//! A file is read through a window of fixed size, and frames are slices of that window. A mapped file would
//! save no time that was measurable, and a file that shrinks meanwhile would end the process.

mod buffer;
mod compress;
mod erf;
mod netmon;
mod pcap;
mod pcapng;
mod records;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base::Timestamp;

use self::buffer::{Buffer, WINDOW_BYTES};
use self::compress::Input;
use self::erf::Erf;
use self::netmon::NetMon;
use self::pcap::Pcap;
use self::pcapng::Pcapng;
use self::records::{Fault, Pass, Stop, pass};
use crate::frame::Unprepared;
use crate::{CaptureError, Frame, Poll, Source, Taker};

/// A capture file on disk.
pub type FileSource = Reader<File>;

/// A capture read from any stream of bytes.
pub struct Reader<R: Read> {
    buffer: Buffer<Input<R>>,
    format: Format,
    place: Place,
    /// What the file system says; unknown for a pipe.
    file_bytes: Option<u64>,
    ended: bool,
}

/// Which packet of which file: what every error names.
struct Place {
    path: PathBuf,
    frames: u64,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
    Erf(Erf),
    NetMon(NetMon),
}

/// How far a source has come, in bytes as they lie on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far.
    pub read_bytes: u64,
    /// Bytes there are, if that is known.
    pub total_bytes: Option<u64>,
}

/// What a run over a file came to.
pub(crate) enum Run {
    /// So many frames (at least one) were handed over.
    Frames(usize),
    /// The next frame has this time, which is past what the run was to go to.
    Later(Timestamp),
    /// There are no more.
    End,
}

impl FileSource {
    /// Opens a capture file and tells its format.
    ///
    /// # Errors
    /// The file cannot be opened, is a directory, is empty, or its beginning is not that of a capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::open_with_window(path, WINDOW_BYTES)
    }

    pub(crate) fn open_with_window(path: &Path, window_bytes: usize) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(CaptureError::Directory { path: path.to_owned() });
        }
        let mut reader = Self::with_window(path.to_owned(), file, window_bytes)?;
        reader.file_bytes = metadata.is_file().then_some(metadata.len());
        Ok(reader)
    }
}

impl<R: Read> Reader<R> {
    /// Reads a capture from `input`; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn new(name: impl Into<PathBuf>, input: R) -> Result<Self, CaptureError> {
        Self::with_window(name.into(), input, WINDOW_BYTES)
    }

    fn with_window(path: PathBuf, input: R, window_bytes: usize) -> Result<Self, CaptureError> {
        let place = Place { path, frames: 0 };
        let input = Input::new(input)
            .map_err(|source| CaptureError::Open { path: place.path.clone(), source })?;
        let mut buffer = Buffer::new(input, window_bytes);
        let format = Format::tell(&mut buffer, &place)?;
        Ok(Self { buffer, format, place, file_bytes: None, ended: false })
    }

    /// How far reading has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { read_bytes: self.buffer.input().file_bytes(), total_bytes: self.file_bytes }
    }

    /// Hands over a batch of the frames up to the first that is later than `until`; `None` only looks.
    pub(crate) fn run(
        &mut self,
        until: Option<Timestamp>,
        taker: &mut impl Taker,
    ) -> Result<Run, CaptureError> {
        while !self.ended {
            let Pass { used, frames, stop } = self.pass(until, taker);
            self.buffer.consume(used);
            self.place.frames += frames as u64;
            // A pass that handed over frames and met an obstacle meets it again, as its first, the next time.
            if frames > 0 {
                return Ok(Run::Frames(frames));
            }
            if let Stop::Later(time) = stop {
                return Ok(Run::Later(time));
            }
            // Stays so after an error, which therefore comes once.
            self.ended = true;
            self.ended = !self.overcome(stop)?;
        }
        Ok(Run::End)
    }

    /// Brings more of the file to hand; false at its end.
    fn overcome(&mut self, stop: Stop) -> Result<bool, CaptureError> {
        let Self { buffer, place, .. } = self;
        match stop {
            Stop::Batch | Stop::Later(_) => Ok(true),
            Stop::Fault(fault) => Err(place.fault(fault, buffer.offset())),
            Stop::Need(bytes) => {
                let there = buffer.fill(bytes).map_err(|source| place.read(source, buffer))?;
                if there || buffer.pending().is_empty() {
                    Ok(there)
                } else {
                    Err(place.cut_off(buffer))
                }
            }
            Stop::Skip(bytes) => {
                let there = buffer.skip(bytes).map_err(|source| place.read(source, buffer))?;
                if there { Ok(true) } else { Err(place.cut_off(buffer)) }
            }
        }
    }

    fn pass(&mut self, until: Option<Timestamp>, taker: &mut impl Taker) -> Pass {
        let (bytes, number) = (self.buffer.pending(), self.place.frames);
        match &mut self.format {
            Format::Pcap(pcap) => pass(pcap, bytes, until, number, taker),
            Format::Pcapng(pcapng) => pass(pcapng, bytes, until, number, taker),
            Format::Erf(erf) => pass(erf, bytes, until, number, taker),
            Format::NetMon(netmon) => pass(netmon, bytes, until, number, taker),
        }
    }
}

impl<R: Read> Source for Reader<R> {
    #[inline]
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        self.poll_ahead(&mut Unprepared(on_frame))
    }

    #[inline]
    fn poll_ahead(&mut self, taker: &mut impl Taker) -> Result<Poll, CaptureError> {
        Ok(match self.run(Some(Timestamp::MAX), taker)? {
            Run::Frames(frames) => Poll::Frames(frames),
            Run::Later(_) | Run::End => Poll::End,
        })
    }
}

impl Format {
    /// Tells the format by the first bytes of `buffer`, and takes the file header off it.
    fn tell<R: Read>(buffer: &mut Buffer<Input<R>>, place: &Place) -> Result<Self, CaptureError> {
        fill(buffer, 4, place)?;
        let Some(magic) = buffer.pending().first_chunk::<4>().copied() else {
            return Err(place.not_a_capture(buffer.pending()));
        };
        if pcap::recognise(magic).is_some() {
            let format = Pcap::new(header(buffer, place)?);
            buffer.consume(pcap::HEADER_BYTES);
            return format.map(Self::Pcap).map_err(|fault| place.fault(fault, 0));
        }
        if magic == netmon::MAGIC {
            let format =
                NetMon::new(header(buffer, place)?).map_err(|fault| place.fault(fault, 0))?;
            buffer.consume(netmon::HEADER_BYTES);
            buffer.end_at(format.frames_end());
            return Ok(Self::NetMon(format));
        }
        if magic == pcapng::SECTION_HEADER.to_be_bytes() {
            return Ok(Self::Pcapng(Pcapng::new()));
        }
        fill(buffer, WINDOW_BYTES, place)?;
        if erf::recognise(buffer.pending()) {
            return Ok(Self::Erf(Erf));
        }
        Err(place.not_a_capture(buffer.pending()))
    }
}

fn fill<R: Read>(
    buffer: &mut Buffer<Input<R>>,
    bytes: usize,
    place: &Place,
) -> Result<bool, CaptureError> {
    buffer.fill(bytes).map_err(|source| place.read(source, buffer))
}

/// The first `N` bytes of the file, which its magic number promises.
fn header<'a, R: Read, const N: usize>(
    buffer: &'a mut Buffer<Input<R>>,
    place: &Place,
) -> Result<&'a [u8; N], CaptureError> {
    fill(buffer, N, place)?;
    buffer.pending().first_chunk::<N>().ok_or_else(|| place.cut_off(buffer))
}

/// Formats that can be told, are not read, and what to do with them.
const UNREAD: [(&[u8], &str, &str); 6] = [
    (b"\xfd7zX", "compressed with xz", "decompress it with `xz -d` first"),
    (b"BZh", "compressed with bzip2", "decompress it with `bzip2 -d` first"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it with `lz4 -d` first"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it with `unzip` first"),
    (b"snoo", "a snoop capture", "convert it with `editcap -F pcapng` first"),
    (b"RTSS", "a Network Monitor 1 capture", "convert it with `editcap -F pcapng` first"),
];

impl Place {
    /// The number of the packet that comes next.
    const fn packet(&self) -> u64 {
        self.frames + 1
    }

    #[cold]
    fn not_a_capture(&self, bytes: &[u8]) -> CaptureError {
        let path = self.path.clone();
        if bytes.is_empty() {
            return CaptureError::Empty { path };
        }
        if let Some((_, format, remedy)) =
            UNREAD.iter().find(|(magic, ..)| bytes.starts_with(magic))
        {
            return CaptureError::Unsupported { path, format, remedy };
        }
        let magic: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        CaptureError::NotACapture { path, magic: magic.join(" ") }
    }

    #[cold]
    fn fault(&self, fault: Fault, offset: u64) -> CaptureError {
        let (path, packet) = (self.path.clone(), self.packet());
        match fault {
            Fault::TooLong(bytes) => CaptureError::RecordTooLong { path, packet, offset, bytes },
            Fault::Damaged(what) => CaptureError::Damaged { path, packet, offset, what },
        }
    }

    #[cold]
    fn cut_off<R: Read>(&self, buffer: &Buffer<Input<R>>) -> CaptureError {
        let (offset, end) = (buffer.offset(), buffer.offset() + buffer.pending().len() as u64);
        CaptureError::TruncatedFile { path: self.path.clone(), packet: self.packet(), offset, end }
    }

    #[cold]
    fn read<R: Read>(&self, source: io::Error, buffer: &Buffer<Input<R>>) -> CaptureError {
        let (path, packet, offset) = (self.path.clone(), self.packet(), buffer.offset());
        let compressed = buffer.input().is_compressed();
        match source.kind() {
            // Only a decompressor ends so: the compressed file stops before its content does.
            io::ErrorKind::UnexpectedEof => self.cut_off(buffer),
            _ if compressed => CaptureError::Decompress { path, packet, offset, source },
            _ => CaptureError::Read { path, packet, offset, source },
        }
    }
}
