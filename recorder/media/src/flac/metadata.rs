//! The header of a FLAC file: STREAMINFO and VORBIS_COMMENT (RFC 9639, 8.2 and 8.6).

use std::io;

use base::limits::{TAG_BYTES_MAX, TAGS_MAX};

const MARK: &[u8; 4] = b"fLaC";
const BLOCK_HEADER_BYTES: usize = 4;
const STREAMINFO_BYTES: usize = 34;
/// Metadata block type 4.
const VORBIS_COMMENT: u8 = 4;
/// Set in the type of the last metadata block.
const LAST: u8 = 0x80;
/// What wrote the file, as the format wants it said.
const VENDOR: &str = concat!("Spanreel ", env!("CARGO_PKG_VERSION"));

/// Where libFLAC writes: takes its header off, keeps its frames behind ours, and notes their sizes.
#[derive(Debug)]
pub(super) struct Output {
    /// Our header, then frames.
    bytes: Vec<u8>,
    /// libFLAC's header as far as it has come; `None` once it is over.
    header: Option<Vec<u8>>,
    smallest_frame: usize,
    largest_frame: usize,
}

impl Output {
    /// A file that begins with these tags; `room` bytes are expected to follow.
    pub(super) fn new(tags: &[(String, String)], room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room);
        bytes.extend(MARK);
        bytes.extend([0, 0, 0, STREAMINFO_BYTES as u8]);
        bytes.extend([0; STREAMINFO_BYTES]);
        let comment = vorbis_comment(tags);
        let [_, high, middle, low] = (comment.len() as u32).to_be_bytes();
        bytes.extend([LAST | VORBIS_COMMENT, high, middle, low]);
        bytes.extend(comment);
        Self { bytes, header: Some(Vec::new()), smallest_frame: usize::MAX, largest_frame: 0 }
    }

    /// The file, with STREAMINFO completed. libFLAC cannot seek in a stream, so it leaves the number of
    /// samples, the frame sizes and the MD5 of the samples at zero, for "unknown". The MD5 stays so:
    /// flac-bound does not give the one that libFLAC makes, and a second one would take as long again (a
    /// third of the whole time at level 0), for a check that the CRC of every frame and the SHA-256 of
    /// every file make already. `flac -t` says that it is unset, and passes.
    pub(super) fn into_file(mut self, samples: u64) -> Vec<u8> {
        let start = MARK.len() + BLOCK_HEADER_BYTES;
        if let Some(info) = self.bytes.get_mut(start..).and_then(|b| b.first_chunk_mut()) {
            let smallest = self.smallest_frame.min(self.largest_frame);
            complete(info, samples, smallest, self.largest_frame);
        }
        self.bytes
    }

    /// Takes up to `MARK` and all metadata blocks, of which the first is libFLAC's STREAMINFO.
    fn take_header(&mut self, mut header: Vec<u8>, new: &[u8]) {
        header.extend(new);
        let Some(end) = header_end(&header) else {
            self.header = Some(header);
            return;
        };
        let start = MARK.len() + BLOCK_HEADER_BYTES;
        let theirs = header.get(start..).and_then(|rest| rest.first_chunk::<STREAMINFO_BYTES>());
        let ours = self.bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut());
        if let (Some(theirs), Some(ours)) = (theirs, ours) {
            *ours = *theirs;
        }
        self.bytes.extend(header.get(end..).unwrap_or_default());
    }
}

/// libFLAC calls once a frame (`FLAC__StreamEncoderWriteCallback`), and a few times for its header.
impl io::Write for Output {
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        if let Some(header) = self.header.take() {
            self.take_header(header, new);
        } else {
            self.smallest_frame = self.smallest_frame.min(new.len());
            self.largest_frame = self.largest_frame.max(new.len());
            self.bytes.extend(new);
        }
        Ok(new.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the metadata blocks end; `None` if more is to come.
fn header_end(header: &[u8]) -> Option<usize> {
    let mut at = MARK.len();
    loop {
        let block: &[u8; BLOCK_HEADER_BYTES] = header.get(at..)?.first_chunk()?;
        let [kind, high, middle, low] = *block;
        at += BLOCK_HEADER_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
        if header.len() < at {
            return None;
        }
        if kind & LAST != 0 {
            return Some(at);
        }
    }
}

/// Bytes 4..10 are the frame sizes, the low 36 bits of bytes 10..18 the samples, 18..34 the MD5.
fn complete(info: &mut [u8; STREAMINFO_BYTES], samples: u64, smallest: usize, largest: usize) {
    let [_, s0, s1, s2] = (smallest.min(0xff_ffff) as u32).to_be_bytes();
    let [_, l0, l1, l2] = (largest.min(0xff_ffff) as u32).to_be_bytes();
    let sizes = [s0, s1, s2, l0, l1, l2];
    info.iter_mut().skip(4).zip(sizes).for_each(|(place, byte)| *place = byte);
    let samples = if samples < 1 << 36 { samples } else { 0 };
    let mut rate_to_samples = [0; 8];
    rate_to_samples.iter_mut().zip(info.iter().skip(10)).for_each(|(to, from)| *to = *from);
    let completed = (u64::from_be_bytes(rate_to_samples) & !0xf_ffff_ffff) | samples;
    info.iter_mut().skip(10).zip(completed.to_be_bytes()).for_each(|(to, from)| *to = from);
    info.iter_mut().skip(18).for_each(|byte| *byte = 0);
}

/// The block's content: little-endian lengths, UTF-8, `NAME=value`.
fn vorbis_comment(tags: &[(String, String)]) -> Vec<u8> {
    let mut out = (VENDOR.len() as u32).to_le_bytes().to_vec();
    out.extend(VENDOR.as_bytes());
    let tags = tags.get(..TAGS_MAX).unwrap_or(tags);
    out.extend((tags.len() as u32).to_le_bytes());
    for (name, value) in tags {
        // A name is printable ASCII without '='.
        let name: String = name
            .chars()
            .map(|c| if matches!(c, ' '..='}') && c != '=' { c } else { '_' })
            .collect();
        let value = value.get(..value.floor_char_boundary(TAG_BYTES_MAX)).unwrap_or_default();
        let comment = format!("{name}={value}");
        out.extend((comment.len() as u32).to_le_bytes());
        out.extend(comment.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn their_header() -> Vec<u8> {
        let mut bytes = b"fLaC".to_vec();
        bytes.extend([0, 0, 0, 34]);
        let mut info = [0xaa; 34];
        info[10..18].copy_from_slice(&0x01f4_02f0_0000_0000_u64.to_be_bytes());
        bytes.extend(info);
        bytes.extend([0x84, 0, 0, 2, 9, 9]);
        bytes
    }

    #[test]
    fn their_header_goes_and_ours_is_complete() {
        let tags = [("CALL=ID".to_owned(), "a@b=c".to_owned())];
        // In whatever portions it comes.
        for portion in [1, 7, 50] {
            let mut output = Output::new(&tags, 0);
            their_header().chunks(portion).for_each(|part| output.write_all(part).unwrap());
            output.write_all(b"frame").unwrap();
            output.write_all(b"frm").unwrap();
            let file = output.into_file(0x9_8765_4321);
            assert_eq!(&file[..8], b"fLaC\0\0\0\x22");
            assert_eq!(file[12..18], [0, 0, 3, 0, 0, 5]);
            assert_eq!(file[18..26], 0x01f4_02f9_8765_4321_u64.to_be_bytes());
            assert_eq!(file[26..42], [0; 16]);
            assert_eq!(file[42], 0x84);
            assert!(file.ends_with(b"CALL_ID=a@b=cframefrm"));
        }
    }

    #[test]
    fn long_tags_are_cut_between_characters() {
        let block = vorbis_comment(&[("T".to_owned(), "\u{20ac}".repeat(2_000))]);
        let text = std::str::from_utf8(&block[4 + VENDOR.len() + 8..]).unwrap();
        assert_eq!(text.len(), 2 + 4_095);
    }
}
