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
    #[inline]
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

    /// The next line with its folds, without its last line break; `None` at the blank line and after it.
    #[inline]
    pub(super) fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.complete || self.rest.is_empty() {
            return None;
        }
        let (line, rest) = split_line(self.rest);
        if line.is_empty() {
            (self.rest, self.complete) = (rest, true);
            return None;
        }
        if matches!(rest.first(), Some(b' ' | b'\t')) {
            return Some(self.folded_line(rest));
        }
        self.rest = rest;
        Some(line)
    }

    /// The line that goes on at `fold`, which begins with a blank.
    fn folded_line(&mut self, fold: &'a [u8]) -> &'a [u8] {
        let whole = self.rest;
        let (mut line, mut rest) = (whole, fold);
        while matches!(rest.first(), Some(b' ' | b'\t')) {
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
        loop {
            if let Some(field) = split_field(self.next_line()?) {
                return Some(field);
            }
        }
    }
}

/// Name and value of a line; `None` without a colon.
#[inline]
pub(super) fn split_field(line: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    Some((Field::of(name.trim_ascii_end()), value.get(1..)?.trim_ascii()))
}

/// Whether the line may be one of the named variants of [`Field`]: told by its first letter, which spares
/// most lines the search for their colon.
#[inline]
pub(super) fn may_matter(line: &[u8]) -> bool {
    let first = line.first().map(u8::to_ascii_lowercase);
    matches!(first, Some(b'c' | b'f' | b'i' | b'l' | b'm' | b't' | b'v'))
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
