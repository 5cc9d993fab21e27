//! Finding a SIP message in a byte stream that one is out of step with.

use std::sync::LazyLock;

use base::limits::SIP_START_LINE_BYTES_MAX;
use memchr::{memchr, memmem, memrchr};

use crate::sip::{self, Match};

static FIND_VERSION: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(sip::VERSION));

/// The registered methods (IANA, "SIP Parameters"). Where a message begins is not known while searching, so
/// another cannot be told from the end of one.
const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

/// Where a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A message begins here.
    At(usize),
    /// None does, but the bytes from here on may be the beginning of one.
    NotBefore(usize),
}

/// Where a message may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At the beginning of the bytes or of a line.
    OfLine,
    /// Anywhere: behind a body that ends without a line end, too. For a stream that is known for SIP; in
    /// others, what looks like it in the middle of a line is a log.
    Anywhere,
}

/// Searches for a start line with a header field in the line after it. The latter tells a message from a
/// `message/sipfrag` body (RFC 3420) that ends after its start line.
pub(crate) fn find_message(bytes: &[u8], at: Begin) -> Found {
    let mut from = 0;
    while let Some(hit) = FIND_VERSION.find(bytes.get(from..).unwrap_or_default()) {
        let version = from.saturating_add(hit);
        let line = line_begin(bytes, version).max(from);
        if let Some(begin) = message_begin(bytes, line, version) {
            match message(bytes.get(begin..).unwrap_or_default()) {
                Match::Yes if at == Begin::Anywhere || begin == line => return Found::At(begin),
                Match::Partial => return Found::NotBefore(begin),
                Match::Yes | Match::No => {}
            }
        }
        // A line is looked at once: what a hostile one repeats costs no more.
        match memchr(b'\n', bytes.get(version..).unwrap_or_default()) {
            Some(end) => from = version.saturating_add(end).saturating_add(1),
            None => return Found::NotBefore(bytes.len()),
        }
    }
    let last = line_begin(bytes, bytes.len()).max(from);
    let line = bytes.get(last..).unwrap_or_default();
    let may_begin = match at {
        Begin::OfLine => sip::start_line(line) == Match::Partial,
        Begin::Anywhere => line.len() < SIP_START_LINE_BYTES_MAX,
    };
    Found::NotBefore(if may_begin { last } else { bytes.len() })
}

/// The beginning of the line that holds the byte at `at`.
fn line_begin(bytes: &[u8], at: usize) -> usize {
    let before = bytes.get(..at).unwrap_or(bytes);
    memrchr(b'\n', before).map_or(0, |newline| newline.saturating_add(1))
}

/// Where the message would begin whose start line has its version at `version`: there, for a response; at
/// the method before the URI, for a request, whatever comes before it in the line.
fn message_begin(bytes: &[u8], line: usize, version: usize) -> Option<usize> {
    let behind = bytes.get(version..)?.get(sip::VERSION.len()..)?;
    if matches!(behind, [b' ', digit, ..] if digit.is_ascii_digit()) {
        return Some(version);
    }
    let request = bytes.get(line..version)?.strip_suffix(b" ")?;
    let method_end = memrchr(b' ', request.trim_ascii_end())?;
    let before_uri = request.get(..method_end)?.trim_ascii_end();
    let method = METHODS.iter().find(|method| before_uri.ends_with(method.as_bytes()))?;
    Some(line.saturating_add(before_uri.len().saturating_sub(method.len())))
}

fn message(bytes: &[u8]) -> Match {
    match sip::start_line(bytes) {
        Match::Yes => {
            let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end.saturating_add(1));
            sip::header_field(bytes.get(end..).unwrap_or_default())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n\r\n";
    const OK: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a\r\n\r\n";

    #[test]
    fn at_the_begin_of_a_line() {
        for message in [INVITE, OK] {
            let find = |before: &[u8]| find_message(&[before, message].concat(), Begin::OfLine);
            assert_eq!(find(b""), Found::At(0));
            assert_eq!(find(b"m=audio 4000 RTP/AVP 0\r\n"), Found::At(24));
            assert_eq!(find(b"SIP/2.0 200 OK\r\n"), Found::At(16), "behind a bare start line");
            assert_eq!(find(b"Via: SIP/2.0/TCP SIP/2.0 SIP/2.0\n"), Found::At(33));
            let behind_text = find(b"logged: ");
            assert!(matches!(behind_text, Found::NotBefore(_)), "{behind_text:?}");
        }
    }

    #[test]
    fn behind_a_body_without_a_line_end() {
        for message in [INVITE, OK] {
            for before in
                [&b"--boundary--"[..], b"</recording>", b"a=sendrecv", b"c=IN IP", b"\r\nlogged: "]
            {
                let bytes = [before, message].concat();
                assert_eq!(find_message(&bytes, Begin::Anywhere), Found::At(before.len()));
            }
        }
    }

    #[test]
    fn what_may_still_become_a_message_is_kept() {
        let find = |bytes| find_message(bytes, Begin::OfLine);
        assert_eq!(find(b"body\r\nINVI"), Found::NotBefore(6));
        assert_eq!(find(b"body\r\nINVITE sip:a@b SIP/2.0"), Found::NotBefore(6));
        assert_eq!(find(b"body\r\nSIP/2.0 200 OK\r\nVi"), Found::NotBefore(6));
        assert_eq!(find(b"body\r\nSIP/2.0 200 OK\r\n"), Found::NotBefore(6));
        assert_eq!(find(b"body\r\n\x00\x01"), Found::NotBefore(8));
        assert_eq!(find(b""), Found::NotBefore(0));
        let find = |bytes| find_message(bytes, Begin::Anywhere);
        assert_eq!(find(b"body\r\na=sendrecvINVITE sip:a"), Found::NotBefore(6));
        assert_eq!(find(&[0; 10_000]), Found::NotBefore(10_000));
    }
}
