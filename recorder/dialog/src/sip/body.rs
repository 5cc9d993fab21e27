//! Finding the session description in a body (RFC 3261, 7.4; RFC 2046, 5.1; RFC 5621).

use base::limits;
use memchr::memmem;

use super::{Fields, fields::Field, parameter};

/// How deep a multipart body may lie in another.
const NESTING_MAX: u8 = 3;

/// The `application/sdp` in `body`: all of it, or a part.
///
/// Without a Content-Type, a body that begins like SDP is taken for it.
pub(super) fn session_description<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    find(content_type, body, NESTING_MAX)
}

fn find<'a>(content_type: &[u8], body: &'a [u8], depth: u8) -> Option<&'a [u8]> {
    if body.is_empty() {
        return None;
    }
    let media_type = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if media_type.is_empty() {
        return body.trim_ascii_start().starts_with(b"v=").then_some(body);
    }
    if media_type.eq_ignore_ascii_case(b"application/sdp") {
        return Some(body);
    }
    let is_multipart =
        media_type.get(..10).is_some_and(|it| it.eq_ignore_ascii_case(b"multipart/"));
    if !is_multipart || depth == 0 {
        return None;
    }
    let parts = Parts::new(content_type, body)?;
    parts.take(limits::SIP_BODY_PARTS_MAX).find_map(|part| find_in_part(part, depth - 1))
}

fn find_in_part(part: &[u8], depth: u8) -> Option<&[u8]> {
    let mut fields = Fields::new(part);
    let content_type = fields.by_ref().find(|(field, _)| *field == Field::ContentType);
    fields.by_ref().take(limits::SIP_HEADERS_MAX).for_each(drop);
    // RFC 2046, 5.1: a part without a Content-Type is plain text.
    find(content_type.map(|(_, value)| value)?, fields.rest(), depth)
}

/// The parts of a multipart body, header fields and all.
struct Parts<'a> {
    rest: &'a [u8],
    /// The boundary with its two hyphens.
    delimiter: &'a [u8],
    finder: memmem::Finder<'static>,
}

impl<'a> Parts<'a> {
    fn new(content_type: &[u8], body: &'a [u8]) -> Option<Self> {
        let boundary = parameter(content_type, b"boundary").unwrap_or_default();
        let start = if boundary.is_empty() {
            memmem::find(body, b"--")? // not given: it is what the first line of hyphens says
        } else {
            let mut found = memmem::find_iter(body, boundary).filter_map(|at| at.checked_sub(2));
            found.find(|at| body.get(*at..).is_some_and(|here| here.starts_with(b"--")))?
        };
        let first = body.get(start..)?;
        let line_end = first.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(first.len());
        let length = if boundary.is_empty() { line_end } else { boundary.len() + 2 };
        let delimiter = first.get(..length).filter(|it| it.starts_with(b"--") && it.len() > 2)?;
        let finder = memmem::Finder::new(delimiter).into_owned();
        Some(Self { rest: first.get(length..)?, delimiter, finder })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // The closing delimiter has two more hyphens.
        if self.rest.is_empty() || self.rest.starts_with(b"--") {
            return None;
        }
        let end = self.finder.find(self.rest).unwrap_or(self.rest.len());
        let (part, rest) = self.rest.split_at(end);
        self.rest = rest.get(self.delimiter.len()..).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', part).map_or(part.len(), |at| at + 1);
        part.get(line_end..)
    }
}
