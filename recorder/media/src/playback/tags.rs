//! Vorbis comments of a FLAC file: what is said in it about where it comes from (RFC 9639, 8.6).

use base::limits::TAGS_MAX;

use crate::flac::metadata::{LAST, MARK, VORBIS_COMMENT};

/// Tags that are true of one part only.
const OF_ONE_PART: &str = "PART";

/// The tags in the head of a file; what is not understood is left out.
pub(super) fn read(head: &[u8]) -> Vec<(String, String)> {
    comment(head).and_then(parse).unwrap_or_default()
}

/// The tags of a file that is made of several parts, from those of the first, and what is to be said besides.
pub(super) fn of_whole(
    first: Vec<(String, String)>,
    parts: usize,
    remarks: &[(String, String)],
) -> Vec<(String, String)> {
    let kept = first.into_iter().filter(|(name, _)| parts == 1 || name != OF_ONE_PART);
    // Remarks come first: there is a limit to the number of tags.
    remarks.iter().cloned().chain(kept).collect()
}

/// The content of the block of comments.
fn comment(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head.strip_prefix(MARK)?;
    loop {
        let ([kind, high, middle, low], behind) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let (content, next) = behind.split_at_checked(length)?;
        if kind & !LAST == VORBIS_COMMENT {
            return Some(content);
        }
        rest = next;
    }
}

fn parse(content: &[u8]) -> Option<Vec<(String, String)>> {
    let (_vendor, rest) = take(content)?;
    let (count, mut rest) = rest.split_first_chunk()?;
    let count = (u32::from_le_bytes(*count) as usize).min(TAGS_MAX);
    let mut tags = Vec::with_capacity(count);
    for _ in 0..count {
        let (tag, next) = take(rest)?;
        if let Some((name, value)) =
            std::str::from_utf8(tag).ok().and_then(|tag| tag.split_once('='))
        {
            tags.push((name.to_owned(), value.to_owned()));
        }
        rest = next;
    }
    Some(tags)
}

/// A length, and so many bytes.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
