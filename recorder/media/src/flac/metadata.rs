//! The header of a FLAC file: STREAMINFO and VORBIS_COMMENT (RFC 9639, 8.2 and 8.6).

use base::limits::{TAG_BYTES_MAX, TAGS_MAX};

use super::{BLOCK_SAMPLES, SAMPLE_BITS, Settings};

pub(crate) const MARK: &[u8; 4] = b"fLaC";
/// Metadata block types.
pub(crate) const STREAMINFO: u8 = 0;
pub(crate) const VORBIS_COMMENT: u8 = 4;
/// Set in the type of the last metadata block.
pub(crate) const LAST: u8 = 0x80;
pub(crate) const STREAMINFO_BYTES: usize = 34;
/// Behind the mark, the block's header, and two block sizes.
const FRAME_SIZES_AT: usize = 4 + 4 + 4;
/// What wrote the file, as the format wants it said.
const VENDOR: &str = concat!("Spanreel ", env!("CARGO_PKG_VERSION"));

/// A file's header, whose frame sizes are known last.
#[derive(Debug)]
pub(crate) struct Header<'t> {
    settings: Settings<'t>,
    samples: u64,
    smallest_frame: usize,
    largest_frame: usize,
}

impl<'t> Header<'t> {
    pub(crate) fn new(settings: Settings<'t>, samples: u64) -> Self {
        Self { settings, samples, smallest_frame: usize::MAX, largest_frame: 0 }
    }

    /// Takes note of a frame's size.
    pub(super) fn count(&mut self, frame_bytes: usize) {
        self.smallest_frame = self.smallest_frame.min(frame_bytes);
        self.largest_frame = self.largest_frame.max(frame_bytes);
    }

    /// Begins `file`; the frame sizes are left open.
    pub(crate) fn write(&self, file: &mut Vec<u8>) {
        file.extend(MARK);
        file.extend(block_header(STREAMINFO, STREAMINFO_BYTES));
        let block_size = (BLOCK_SAMPLES as u16).to_be_bytes();
        file.extend([block_size, block_size].as_flattened());
        file.extend([0; 6]);
        // 20 bits of rate, 3 of channels less one, 5 of sample bits less one, 36 of samples (zero: unknown).
        let samples = if self.samples < 1 << 36 { self.samples } else { 0 };
        let format = u64::from(self.settings.sample_rate_hz) << 44
            | (self.settings.channels as u64 - 1) << 41
            | u64::from(SAMPLE_BITS - 1) << 36
            | samples;
        file.extend(format.to_be_bytes());
        // No MD5; the module above says why. `flac -t` says so too, and passes.
        file.extend([0; 16]);
        let comment = vorbis_comment(self.settings.tags);
        file.extend(block_header(LAST | VORBIS_COMMENT, comment.len()));
        file.extend(comment);
    }

    /// Enters the smallest and the largest frame into `file`, which [`Header::write`] began.
    pub(super) fn complete(&self, file: &mut [u8]) {
        let smallest = self.smallest_frame.min(self.largest_frame);
        let sizes = [smallest, self.largest_frame].map(bytes_of_24_bits);
        let places = file.iter_mut().skip(FRAME_SIZES_AT);
        places.zip(sizes.as_flattened()).for_each(|(place, byte)| *place = *byte);
    }
}

/// The largest number stands for all beyond.
fn bytes_of_24_bits(number: usize) -> [u8; 3] {
    let [_, high, middle, low] = (number.min(0xff_ffff) as u32).to_be_bytes();
    [high, middle, low]
}

pub(crate) fn block_header(kind: u8, bytes: usize) -> [u8; 4] {
    let [high, middle, low] = bytes_of_24_bits(bytes);
    [kind, high, middle, low]
}

/// The block's content: little-endian lengths, UTF-8, `NAME=value`.
pub(crate) fn vorbis_comment(tags: &[(String, String)]) -> Vec<u8> {
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

    #[test]
    fn a_header_is_complete_in_the_end() {
        let tags = [("CALL=ID".to_owned(), "a@b=c".to_owned())];
        let settings = Settings { channels: 2, sample_rate_hz: 8_000, tags: &tags };
        let mut header = Header::new(settings, 0x9_8765_4321);
        let mut file = Vec::new();
        header.write(&mut file);
        [5, 3, 0x12_3456].into_iter().for_each(|bytes| header.count(bytes));
        header.complete(&mut file);
        assert_eq!(&file[..8], b"fLaC\0\0\0\x22");
        assert_eq!(file[8..12], [0x08, 0, 0x08, 0]);
        assert_eq!(file[12..18], [0, 0, 3, 0x12, 0x34, 0x56]);
        assert_eq!(file[18..26], 0x01f4_02f9_8765_4321_u64.to_be_bytes());
        assert_eq!(file[26..42], [0; 16]);
        assert_eq!(file[42], 0x84);
        assert!(file.ends_with(b"CALL_ID=a@b=c"));
    }

    #[test]
    fn a_file_without_frames_has_no_frame_sizes() {
        let settings = Settings { channels: 1, sample_rate_hz: 8_000, tags: &[] };
        let header = Header::new(settings, 0);
        let mut file = Vec::new();
        header.write(&mut file);
        header.complete(&mut file);
        assert_eq!(file[12..18], [0; 6]);
    }

    #[test]
    fn long_tags_are_cut_between_characters() {
        let block = vorbis_comment(&[("T".to_owned(), "\u{20ac}".repeat(2_000))]);
        let text = std::str::from_utf8(&block[4 + VENDOR.len() + 8..]).unwrap();
        assert_eq!(text.len(), 2 + 4_095);
    }
}
