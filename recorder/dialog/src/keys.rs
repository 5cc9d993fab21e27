//! Keys that are pressed on a phone and sent in the signalling: SIP INFO (RFC 6086) with `application/dtmf-relay`
//! or `application/dtmf`.
//!
//! Neither body was ever standardised; every gateway knows both. The first is lines of `Name=value`, of which
//! `Signal` is the key; the second is the key alone.

use base::{Side, Timestamp};

/// One press, however often and on however many hops its INFO was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// When its INFO was first seen.
    pub time: Timestamp,
    /// Who pressed it.
    pub side: Side,
    /// Index into [`Call::legs`](crate::Call::legs).
    pub leg: usize,
    /// The sequence number of its INFO, which tells it from the next press of the same key.
    pub cseq: u32,
    /// `0` to `9`, `*`, `#`, `A` to `D`.
    pub key: char,
}

/// The key that the body of an INFO tells of, if it is about one.
#[must_use]
pub fn key_in(content_type: &[u8], body: &[u8]) -> Option<char> {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let media_type = media_type.trim_ascii();
    let is_relay = media_type.eq_ignore_ascii_case(b"application/dtmf-relay");
    if !is_relay && !media_type.eq_ignore_ascii_case(b"application/dtmf") {
        return None;
    }
    let lines = || body.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    let signal = lines().find_map(signal).or_else(|| lines().next().filter(|_| !is_relay))?;
    key_named(signal)
}

/// The value of a line `Signal=5`.
fn signal(line: &[u8]) -> Option<&[u8]> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (name, value) = line.split_at(equals);
    let is_signal = name.trim_ascii().eq_ignore_ascii_case(b"signal");
    is_signal.then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

/// A key as written: itself, or its number as an event (RFC 4733, 3.2).
fn key_named(text: &[u8]) -> Option<char> {
    match text {
        [key @ (b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D' | b'a'..=b'd')] => {
            Some(char::from(key.to_ascii_uppercase()))
        }
        b"10" => Some('*'),
        b"11" => Some('#'),
        [b'1', last @ b'2'..=b'5'] => Some(char::from(last - b'2' + b'A')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_bodies_name_their_key() {
        let relay = |body: &str| key_in(b"application/dtmf-relay", body.as_bytes());
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(relay("Duration=250\nsignal= # \n"), Some('#'));
        assert_eq!(relay("Signal=10"), Some('*'));
        assert_eq!(relay("Signal=15"), Some('D'));
        assert_eq!(relay("Signal=16"), None, "the hook is no key");
        assert_eq!(relay("Signal=hf"), None);
        assert_eq!(relay("5"), None);
        assert_eq!(key_in(b"Application/DTMF; x=y", b"7\r\n"), Some('7'));
        assert_eq!(key_in(b"application/dtmf", b"Signal=c\r\nDuration=1"), Some('C'));
        assert_eq!(key_in(b"application/sdp", b"7"), None);
        assert_eq!(key_in(b"", b"Signal=5"), None);
    }

    proptest! {
        #[test]
        fn nothing_but_keys_comes_out(body in prop::collection::vec(any::<u8>(), 0..80), relay: bool) {
            let media_type: &[u8] = if relay { b"application/dtmf-relay" } else { b"application/dtmf" };
            if let Some(key) = key_in(media_type, &body) {
                prop_assert!("0123456789*#ABCD".contains(key));
            }
        }
    }
}
