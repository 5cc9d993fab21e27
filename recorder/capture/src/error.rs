//! What can go wrong with a capture, in words for the person who has to do something about it.

use std::io;
use std::path::PathBuf;

use base::limits::{CAPTURE_FILES_OPEN_MAX, FRAME_BYTES_MAX};
use thiserror::Error;

/// Why a capture, or the rest of it, cannot be read. `packet` is the number of the packet that could not
/// be read (from 1); `offset` counts bytes of the file, of its decompressed content if it is compressed.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file is not there, or may not be read.
    #[error("cannot open the capture file {}: {source}; {}", path.display(), remedy(source))]
    Open {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{} is a directory, not a capture file; name the files in it", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
    },
    /// Zero bytes, before or after decompression.
    #[error(
        "{} is empty (0 bytes): nothing was captured, or copying it failed; capture or copy it again",
        path.display()
    )]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Its first bytes are those of no capture format.
    #[error(
        "{} is not a capture file: it begins with the bytes {magic}; give it as pcap or pcapng, plain or \
         compressed with gzip or zstd", path.display()
    )]
    NotACapture {
        /// Which file.
        path: PathBuf,
        /// The first four bytes, hexadecimal.
        magic: String,
    },
    /// A format that is recognised, but not read.
    #[error("{} is {format}, which is not read; {remedy}", path.display())]
    Unsupported {
        /// Which file.
        path: PathBuf,
        /// What it is.
        format: &'static str,
        /// What turns it into something that is read.
        remedy: &'static str,
    },
    /// The system failed while reading.
    #[error(
        "reading {} failed at byte {offset}, before packet {packet}: {source}; check the disk or network \
         share it is on", path.display()
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// The packet that could not be read.
        packet: u64,
        /// Where in the data.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The compressed data is damaged.
    #[error(
        "decompressing {} failed at byte {offset} of its content, before packet {packet}: {source}; test \
         it with `gzip -t` or `zstd -t` and copy it again", path.display()
    )]
    Decompress {
        /// Which file.
        path: PathBuf,
        /// The packet that could not be read.
        packet: u64,
        /// Where in the decompressed data.
        offset: u64,
        /// What the decompressor says.
        source: io::Error,
    },
    /// The file ends before a record that it began. What came before has been delivered.
    #[error(
        "{} is cut off: its content ends at byte {end}, before packet {packet}, begun at byte {offset}, is \
         whole; the packets before it were read; if there was more, copy the file again", path.display()
    )]
    TruncatedFile {
        /// Which file.
        path: PathBuf,
        /// The packet that is not whole.
        packet: u64,
        /// Where its record begins.
        offset: u64,
        /// Where the data ends.
        end: u64,
    },
    /// A record longer than any frame.
    #[error(
        "{} is damaged, or no capture of packets: packet {packet} at byte {offset} claims {bytes} bytes, and \
         the most that is taken is {FRAME_BYTES_MAX}; the packets before it were read", path.display()
    )]
    RecordTooLong {
        /// Which file.
        path: PathBuf,
        /// The packet.
        packet: u64,
        /// Where its record begins.
        offset: u64,
        /// What it claims.
        bytes: u64,
    },
    /// A record that contradicts itself.
    #[error(
        "{} is damaged at byte {offset}, at or before packet {packet}: {what}; the packets before it were \
         read; copy the file again, or try to mend it with `editcap`", path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The packet that could not be read.
        packet: u64,
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More files overlap in time than are held open.
    #[error(
        "{} was not read: more than {CAPTURE_FILES_OPEN_MAX} of the files overlap in time; join some of \
         them with `mergecap` first", path.display()
    )]
    TooManyOpen {
        /// Which file.
        path: PathBuf,
    },
    /// A network interface cannot be captured from, or not now.
    #[error(transparent)]
    Live(#[from] crate::packet_socket::PacketError),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "check its name",
        io::ErrorKind::PermissionDenied => "give this user the right to read it",
        _ => "check the disk or network share it is on",
    }
}
