//! Compressed files, told by their first bytes, decompressed while they are read.

use std::io::{self, BufReader, Chain, Cursor, Read};

use base::limits::ZSTD_WINDOW_LOG_MAX;
use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

/// Compressed bytes taken from the file at a time.
const COMPRESSED_READ_BYTES: usize = 128 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The bytes that were looked at to tell the compression, and those after them.
type Raw<R> = Chain<Cursor<Vec<u8>>, Counted<R>>;

/// The content of a file. Several members or frames one after the other are one content.
pub(super) enum Input<R: Read> {
    Plain(Raw<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Raw<R>>>>),
    Zstd(Box<Decoder<'static, BufReader<Raw<R>>>>),
}

impl<R: Read> Input<R> {
    pub(super) fn new(file: R) -> io::Result<Self> {
        let mut file = Counted { file, bytes: 0 };
        let mut head = Vec::with_capacity(ZSTD.len());
        file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
        let (gzip, zstd) = (head.starts_with(&GZIP), head.starts_with(&ZSTD));
        let raw = Cursor::new(head).chain(file);
        if gzip {
            let decoder = MultiGzDecoder::new(BufReader::with_capacity(COMPRESSED_READ_BYTES, raw));
            Ok(Self::Gzip(Box::new(decoder)))
        } else if zstd {
            let mut decoder =
                Decoder::with_buffer(BufReader::with_capacity(COMPRESSED_READ_BYTES, raw))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Ok(Self::Zstd(Box::new(decoder)))
        } else {
            Ok(Self::Plain(raw))
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Bytes of the file read so far, as they lie on the disk.
    pub(super) fn file_bytes(&self) -> u64 {
        let raw = match self {
            Self::Plain(raw) => raw,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
        };
        raw.get_ref().1.bytes
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(into),
            Self::Gzip(decoder) => decoder.read(into),
            Self::Zstd(decoder) => decoder.read(into),
        }
    }
}

/// Counts what is read.
pub(super) struct Counted<R> {
    file: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
