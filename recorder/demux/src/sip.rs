//! Recognising SIP (RFC 3261, 7) by its content, on any port.
//!
//! A start line is a request line that ends in the SIP version, or a status line that begins with it.
//! That is all that is looked at: which methods, URI schemes and header fields are sound is the dialog
//! stage's to judge, and a message that it finds malformed must reach it to be counted.

use base::limits::SIP_START_LINE_BYTES_MAX;
use memchr::memchr;

/// The version that a start line names.
pub(crate) const VERSION: &[u8] = b"SIP/2.0";
/// Longest header field name looked at. The longest registered has 27 letters.
const FIELD_NAME_BYTES_MAX: usize = 64;

/// What some bytes say about something of which they may be only the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// Not decided before more bytes come.
    Partial,
}

/// Without the CR and LF that may precede a message (RFC 3261, 7.5) and that keep a connection alive
/// (RFC 5626, 4.4.1).
#[inline]
pub(crate) fn without_leading_newlines(bytes: &[u8]) -> &[u8] {
    let at = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes.get(at..).unwrap_or_default()
}

/// Whether a whole datagram is a SIP message: the message, if it is.
#[inline]
pub(crate) fn datagram(payload: &[u8]) -> Option<&[u8]> {
    // RTP, RTCP, STUN, DTLS and UDPTL are told by their first byte.
    let first = *payload.first()?;
    if !is_token(first) && !matches!(first, b'\r' | b'\n') {
        return None;
    }
    let message = without_leading_newlines(payload);
    (start_line(message) == Match::Yes).then_some(message)
}

/// Whether `bytes` begin with a SIP start line and its end.
pub(crate) fn start_line(bytes: &[u8]) -> Match {
    let line = match memchr(b'\n', head(bytes, SIP_START_LINE_BYTES_MAX)) {
        Some(end) => bytes.get(..end).unwrap_or_default().trim_ascii_end(),
        None if bytes.len() >= SIP_START_LINE_BYTES_MAX => return Match::No,
        None if may_begin_start_line(bytes) => return Match::Partial,
        None => return Match::No,
    };
    if is_status_line(line) || is_request_line(line) { Match::Yes } else { Match::No }
}

/// `SIP/2.0 180 Ringing`.
fn is_status_line(line: &[u8]) -> bool {
    let Some((version, rest)) = line.split_at_checked(VERSION.len()) else { return false };
    let mut digits = rest.trim_ascii_start().iter();
    version.eq_ignore_ascii_case(VERSION)
        && rest.first() == Some(&b' ')
        && digits.next().is_some_and(u8::is_ascii_digit)
}

/// `INVITE sip:bob@example.com SIP/2.0`, with any method and any URI.
fn is_request_line(line: &[u8]) -> bool {
    let Some(before) = line.len().checked_sub(VERSION.len()) else { return false };
    let Some((request, version)) = line.split_at_checked(before) else { return false };
    let method = token_bytes(request);
    version.eq_ignore_ascii_case(VERSION)
        && method > 0
        && request.last() == Some(&b' ')
        && request.get(method) == Some(&b' ')
        && !request.get(method..).unwrap_or_default().trim_ascii().is_empty()
}

/// Whether more bytes can make a start line of `bytes`, which hold no line end.
fn may_begin_start_line(bytes: &[u8]) -> bool {
    let method = token_bytes(bytes);
    let version = head(bytes, VERSION.len());
    match bytes.get(method) {
        None => true,
        Some(b' ') => method > 0,
        Some(b'/') => version.eq_ignore_ascii_case(head(VERSION, version.len())),
        Some(_) => false,
    }
}

fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

fn token_bytes(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token(*byte)).unwrap_or(bytes.len())
}

/// RFC 3261, 25.1: what methods and header field names are made of.
#[inline]
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether `bytes` begin with a header field: a name and a colon, blanks between them allowed.
pub(crate) fn header_field(bytes: &[u8]) -> Match {
    let name = head(bytes, FIELD_NAME_BYTES_MAX);
    let name_bytes = token_bytes(name);
    let mut behind = name.iter().skip(name_bytes).skip_while(|byte| matches!(byte, b' ' | b'\t'));
    match behind.next() {
        Some(b':') if name_bytes > 0 => Match::Yes,
        None if bytes.len() < FIELD_NAME_BYTES_MAX => Match::Partial,
        _ => Match::No,
    }
}

/// Where the header section that `bytes` begin with ends, its empty line included. `from` says how much of
/// it was searched before. Lone LF is taken for a line end, as most implementations do.
pub(crate) fn header_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = at.saturating_add(memchr(b'\n', bytes.get(at..)?)?).saturating_add(1);
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at.saturating_add(1)),
            [b'\r', b'\n', ..] => return Some(at.saturating_add(2)),
            _ => {}
        }
    }
}

/// How many bytes follow the header section: `Content-Length`, or `l` (RFC 3261, 7.3.3); the first of
/// several. Absent over TCP means none, although it must be present (18.3); what is no number is taken for
/// absent.
pub(crate) fn content_length(header: &[u8]) -> usize {
    let mut values = header.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = memchr(b':', line)?;
        let name = line.get(..colon)?.trim_ascii_end();
        let named = name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l");
        named.then(|| number(line.get(colon.saturating_add(1)..)?.trim_ascii())).flatten()
    });
    values.next().unwrap_or(0)
}

fn number(digits: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    let value = |sum: usize, byte: &u8| Some(sum.saturating_mul(10).saturating_add(digit(byte)?));
    if digits.is_empty() { None } else { digits.iter().try_fold(0, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] =
        b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nl: 4\r\n\r\nbody";

    #[test]
    fn start_lines() {
        let lines: [&[u8]; 10] = [
            b"INVITE sip:bob@example.com SIP/2.0\r\n",
            b"OPTIONS sips:bob@example.com SIP/2.0\n",
            b"INVITE tel:+49891234 SIP/2.0\r\n",
            b"!interesting-Method0123456789_*+`.%indeed'~ sip:a@b SIP/2.0\r\n",
            b"NEWMETHOD nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0\r\n",
            b"OPTIONS sip:trailing@example.com SIP/2.0  \r\n",
            b"INVITE sip:user@example.com; lr SIP/2.0\r\n",
            b"SIP/2.0 180 Ringing\r\n",
            b"SIP/2.0 200 \r\n",
            b"sip/2.0 200 OK\r\n",
        ];
        for line in lines {
            assert_eq!(start_line(line), Match::Yes, "{}", line.escape_ascii());
        }
        let others: [&[u8]; 9] = [
            b"GET / HTTP/1.1\r\n",
            b"RTSP/1.0 200 OK\r\n",
            b"Via: SIP/2.0/UDP 192.0.2.1\r\n",
            b"INVITE SIP/2.0\r\n",
            b"INVITE  SIP/2.0\r\n",
            b" INVITE sip:a@b SIP/2.0\r\n",
            b"SIP/2.0\r\n",
            b"SIP/2.0 OK\r\n",
            b"\r\n",
        ];
        for line in others {
            assert_eq!(start_line(line), Match::No, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn every_beginning_of_a_start_line_is_undecided() {
        for line in [&b"INVITE sip:bob@example.com SIP/2.0\r\n"[..], b"SIP/2.0 180 Ringing\r\n"] {
            for end in 0..line.len() {
                assert_eq!(
                    start_line(&line[..end]),
                    Match::Partial,
                    "{}",
                    line[..end].escape_ascii()
                );
            }
        }
        for bytes in [&b"\x16\x03\x01"[..], b"GET/", b"SIP/3", b"{\"a\""] {
            assert_eq!(start_line(bytes), Match::No, "{}", bytes.escape_ascii());
        }
        assert_eq!(start_line(&[b"INVITE ", &[b'a'; 8 * 1024][..]].concat()), Match::No);
    }

    #[test]
    fn datagrams() {
        assert_eq!(datagram(INVITE), Some(INVITE));
        assert_eq!(datagram(&[b"\r\n\r\n", INVITE].concat()), Some(INVITE));
        assert_eq!(datagram(b"\r\n\r\n"), None, "keep-alive");
        assert_eq!(datagram(b"INVITE sip:bob@exa"), None, "cut in the start line");
        assert_eq!(datagram(&[0x80, 0, 1, 2]), None);
        assert_eq!(datagram(b""), None);
    }

    #[test]
    fn header_fields() {
        for line in [&b"Via: a"[..], b"v:", b"Call-ID : 1"] {
            assert_eq!(header_field(line), Match::Yes);
        }
        for line in [&b""[..], b"Via", b"Via  "] {
            assert_eq!(header_field(line), Match::Partial);
        }
        for line in [&b"\r\n"[..], b": a", b"INVITE sip:a@b SIP/2.0", &[b'a'; 70]] {
            assert_eq!(header_field(line), Match::No, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn header_sections_end_at_an_empty_line() {
        assert_eq!(header_end(INVITE, 0), Some(INVITE.len() - 4));
        assert_eq!(header_end(b"a\nb\n\nc", 0), Some(5));
        assert_eq!(header_end(b"a\nb\n\r\nc", 3), Some(6));
        assert_eq!(header_end(b"a\r\nb\r\n\r", 0), None);
    }

    #[test]
    fn content_lengths() {
        let of =
            |fields: &str| content_length(format!("BYE sip:a SIP/2.0\r\n{fields}\r\n").as_bytes());
        assert_eq!(of("Content-Length: 17\r\n"), 17);
        assert_eq!(of("CONTENT-LENGTH :17\r\n"), 17);
        assert_eq!(of("l:\t 17 \r\n"), 17);
        assert_eq!(of("L: 17\r\nContent-Length: 3\r\n"), 17);
        assert_eq!(of("Max-Forwards: 70\r\n"), 0);
        assert_eq!(of("Content-Length: -1\r\n"), 0);
        assert_eq!(of("Content-Length: \r\n"), 0);
        assert_eq!(of("Content-Length: 99999999999999999999999999\r\n"), usize::MAX);
    }
}
