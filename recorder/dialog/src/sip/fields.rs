//! Header fields: lines, folding, long and compact names.

use memchr::memchr;

/// The name of a header field.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// `Call-ID`, `i`.
    CallId,
    /// `Contact`, `m`.
    Contact,
    /// `Content-Length`, `l`.
    ContentLength,
    /// `Content-Type`, `c`.
    ContentType,
    /// `CSeq`.
    CSeq,
    /// `From`, `f`.
    From,
    /// `To`, `t`.
    To,
    /// `Via`, `v`.
    Via,
    /// Any other: the name as written, compact ones (RFC 3261, 20 and its extensions) as the long form.
    Other(&'a [u8]),
}

impl<'a> Field<'a> {
    /// From a name in any case, long or compact.
    #[must_use]
    pub fn of(name: &'a [u8]) -> Self {
        let is = |long: &[u8]| name.eq_ignore_ascii_case(long);
        match name.len() {
            1 => Self::of_compact(name),
            2 if is(b"To") => Self::To,
            3 if is(b"Via") => Self::Via,
            4 if is(b"From") => Self::From,
            4 if is(b"CSeq") => Self::CSeq,
            7 if is(b"Call-ID") => Self::CallId,
            7 if is(b"Contact") => Self::Contact,
            12 if is(b"Content-Type") => Self::ContentType,
            14 if is(b"Content-Length") => Self::ContentLength,
            _ => Self::Other(name),
        }
    }

    /// The letters of the IANA registry of SIP header fields.
    fn of_compact(name: &'a [u8]) -> Self {
        match name.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => Self::ContentType,
            Some(b'f') => Self::From,
            Some(b'i') => Self::CallId,
            Some(b'l') => Self::ContentLength,
            Some(b'm') => Self::Contact,
            Some(b't') => Self::To,
            Some(b'v') => Self::Via,
            Some(b'a') => Self::Other(b"Accept-Contact"),
            Some(b'b') => Self::Other(b"Referred-By"),
            Some(b'd') => Self::Other(b"Request-Disposition"),
            Some(b'e') => Self::Other(b"Content-Encoding"),
            Some(b'j') => Self::Other(b"Reject-Contact"),
            Some(b'k') => Self::Other(b"Supported"),
            Some(b'n') => Self::Other(b"Identity-Info"),
            Some(b'o') => Self::Other(b"Event"),
            Some(b'r') => Self::Other(b"Refer-To"),
            Some(b's') => Self::Other(b"Subject"),
            Some(b'u') => Self::Other(b"Allow-Events"),
            Some(b'x') => Self::Other(b"Session-Expires"),
            Some(b'y') => Self::Other(b"Identity"),
            _ => Self::Other(name),
        }
    }
}

impl PartialEq for Field<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Field<'_> {}

/// The header fields of a message, name and value; ends at the blank line.
///
/// A value keeps the line breaks of its folds (RFC 3261, 7.3.1). Lines without a colon are passed over.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    complete: bool,
}

impl<'a> Fields<'a> {
    /// From the bytes behind the start line.
    pub(super) const fn new(head: &'a [u8]) -> Self {
        Self { rest: head, complete: false }
    }

    /// What follows the fields read so far: the body, once the iterator has ended.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether the blank line was there.
    pub(super) const fn complete(&self) -> bool {
        self.complete
    }

    /// The end of the line at the start of `rest`, its folds included, without its last line break.
    fn line(&mut self) -> &'a [u8] {
        let whole = self.rest;
        let (mut line, mut rest) = split_line(whole);
        while !line.is_empty() && matches!(rest.first(), Some(b' ' | b'\t')) {
            let (fold, after) = split_line(rest);
            line = whole.get(..whole.len() - rest.len() + fold.len()).unwrap_or_default();
            rest = after;
        }
        self.rest = rest;
        line
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Field<'a>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.complete && !self.rest.is_empty() {
            let line = self.line();
            if line.is_empty() {
                self.complete = true;
                break;
            }
            if let Some(colon) = memchr(b':', line) {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                return Some((Field::of(name.trim_ascii_end()), value.trim_ascii()));
            }
        }
        None
    }
}

/// The first line without its line break (LF, and any CRs before it), and what follows.
#[inline]
pub(super) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (mut line, rest) = match memchr(b'\n', bytes) {
        Some(end) => {
            (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default())
        }
        None => (bytes, &[][..]),
    };
    while let Some((b'\r', shorter)) = line.split_last() {
        line = shorter;
    }
    (line, rest)
}
