//! Capture files and packets made here: synthetic captures, and the packets kept with a recording.

pub mod ip;
pub mod pcap;
pub mod pcapng;

use std::io;

use base::limits::FRAME_BYTES_MAX;

/// Refuses a frame that no reader, ours included, would take.
fn check(data: &[u8]) -> io::Result<()> {
    if data.len() <= FRAME_BYTES_MAX {
        return Ok(());
    }
    let message = format!("a frame of {} bytes; the most is {FRAME_BYTES_MAX}", data.len());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Bytes on the wire: never fewer than captured.
fn wire_bytes(data: &[u8], wire_bytes: u32) -> u32 {
    wire_bytes.max(data.len() as u32)
}
