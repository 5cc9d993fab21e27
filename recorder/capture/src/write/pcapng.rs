//! Writes pcapng files (draft-ietf-opsawg-pcapng) of one section, little-endian, times in nanoseconds.

use std::io::{self, BufWriter, Write};

use base::Timestamp;
use base::limits::FRAME_BYTES_MAX;

use super::{check, wire_bytes};
use crate::LinkType;

const BUFFER_BYTES: usize = 64 * 1024;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const OPTION_BYTES_MAX: usize = u16::MAX as usize;

/// What the file's header says of where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The machine that captured (`shb_hardware`).
    pub hardware: Option<&'a str>,
    /// Its operating system (`shb_os`).
    pub system: Option<&'a str>,
    /// The program that writes the file (`shb_userappl`).
    pub program: Option<&'a str>,
}

/// An interface of a file, to which packets are said to belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface(u32);

/// A pcapng file being written, through a buffer of its own.
pub struct Writer<W: Write> {
    out: BufWriter<W>,
    interfaces: u32,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn new(out: W, origin: Origin<'_>) -> io::Result<Self> {
        // Byte-order magic, version 1.0, and a section length of "not said".
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 0]);
        body.extend([0xff; 8]);
        option(&mut body, 2, origin.hardware.map(str::as_bytes));
        option(&mut body, 3, origin.system.map(str::as_bytes));
        option(&mut body, 4, origin.program.map(str::as_bytes));
        let mut writer = Self { out: BufWriter::with_capacity(BUFFER_BYTES, out), interfaces: 0 };
        writer.block(SECTION_HEADER, &body, &[])?;
        Ok(writer)
    }

    /// Declares an interface.
    ///
    /// # Errors
    /// `out` cannot be written to, or the format has no room for the link type's number.
    pub fn interface(&mut self, link: LinkType, name: Option<&str>) -> io::Result<Interface> {
        let link = u16::try_from(link.number())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a link type above 65,535"))?;
        let mut body = link.to_le_bytes().to_vec();
        body.extend([0, 0]);
        body.extend((FRAME_BYTES_MAX as u32).to_le_bytes());
        option(&mut body, 2, name.map(str::as_bytes));
        // if_tsresol: ten to the power of -9 seconds.
        option(&mut body, 9, Some(&[9]));
        self.block(INTERFACE_DESCRIPTION, &body, &[])?;
        let interface = Interface(self.interfaces);
        self.interfaces += 1;
        Ok(interface)
    }

    /// Appends a packet of `on_wire_bytes`, of which `data` was captured.
    ///
    /// # Errors
    /// `out` cannot be written to, or `data` is longer than `limits::FRAME_BYTES_MAX`.
    pub fn packet(
        &mut self,
        interface: Interface,
        time: Timestamp,
        data: &[u8],
        on_wire_bytes: u32,
    ) -> io::Result<()> {
        check(data)?;
        let nanos = time.as_nanos();
        let words = [
            interface.0,
            (nanos >> 32) as u32,
            nanos as u32,
            data.len() as u32,
            wire_bytes(data, on_wire_bytes),
        ];
        let mut head = [0; 20];
        for (place, word) in head.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        self.block(ENHANCED_PACKET, &head, data)
    }

    /// Writes what is buffered and gives the output back. A writer that is merely dropped cannot tell that
    /// this failed.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// A block whose body is `head` and `data`, padded to 32 bits.
    fn block(&mut self, kind: u32, head: &[u8], data: &[u8]) -> io::Result<()> {
        let body_bytes = head.len() + data.len();
        let padding = body_bytes.next_multiple_of(4) - body_bytes;
        let length = (12 + body_bytes + padding) as u32;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(head)?;
        self.out.write_all(data)?;
        self.out.write_all([0; 3].get(..padding).unwrap_or_default())?;
        self.out.write_all(&length.to_le_bytes())
    }
}

/// Appends an option, padded to 32 bits. The end-of-options mark may be left out, and is.
fn option(body: &mut Vec<u8>, code: u16, value: Option<&[u8]>) {
    let Some(value) = value else { return };
    let value = value.get(..OPTION_BYTES_MAX).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
