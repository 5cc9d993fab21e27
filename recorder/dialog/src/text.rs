//! Bytes of the wire as text to keep: UTF-8 made of what is none, folds undone, cut at a limit.

use base::limits;

use crate::call::Party;
use crate::sip::Address;

/// A header field value as kept with a call.
pub(crate) fn value(bytes: &[u8]) -> String {
    clipped(bytes, limits::SIP_VALUE_BYTES_MAX)
}

/// `bytes` cut to `max`, each line break with its blanks as one blank, and lossy UTF-8.
pub(crate) fn clipped(bytes: &[u8], max: usize) -> String {
    let bytes = bytes.get(..max).unwrap_or(bytes);
    if !bytes.iter().any(|b| matches!(b, b'\r' | b'\n')) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut unfolded = Vec::with_capacity(bytes.len());
    for line in bytes.split(|b| matches!(b, b'\r' | b'\n')).map(<[u8]>::trim_ascii) {
        if !unfolded.is_empty() && !line.is_empty() {
            unfolded.push(b' ');
        }
        unfolded.extend_from_slice(line);
    }
    String::from_utf8_lossy(&unfolded).into_owned()
}

/// The party that a From or To value names.
pub(crate) fn party(header: &[u8]) -> Party {
    let address = Address::parse(header);
    let uri = value(address.uri);
    let number = address.user().map_or_else(|| uri.clone(), |user| value(&unescaped(user)));
    let display = unbackslashed(address.display);
    Party { uri, display: (!display.is_empty()).then(|| value(&display)), number }
}

/// RFC 3261, 19.1.2: `%23` is `#`. What is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = if *first == b'%' { after.first_chunk::<2>().and_then(hex) } else { None };
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

fn hex(digits: &[u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

/// RFC 3261, 25.1: `quoted-pair`.
fn unbackslashed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    out
}

/// Whether a kept tag is the one in a message.
pub(crate) fn same_tag(kept: &str, seen: &[u8]) -> bool {
    kept.as_bytes() == seen || (!seen.is_ascii() && kept == String::from_utf8_lossy(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_escapes_and_uris_without_user_stay_whole() {
        let bob =
            party(b"\"Bob \\\"the\\\" Builder\" <sip:%2B49%23bob;x=1:secret@example.com>;tag=1");
        assert_eq!(bob.number, "+49#bob");
        assert_eq!(bob.display.as_deref(), Some("Bob \"the\" Builder"));
        assert_eq!(party(b"<sip:gateway.example.com>").number, "sip:gateway.example.com");
        assert_eq!(party(b"tel:+1-201-555-0123;phone-context=x").number, "+1-201-555-0123");
        assert_eq!(party(b"sip:50%x@h").number, "50%x");
        assert_eq!(party(b""), Party::default());
    }

    #[test]
    fn folds_become_one_blank_and_long_values_are_cut() {
        assert_eq!(value(b"\"A\"\r\n\t <sip:a@b>\n ;tag=1"), "\"A\" <sip:a@b> ;tag=1");
        assert_eq!(value(&[b'x'; 5_000]).len(), limits::SIP_VALUE_BYTES_MAX);
        assert_eq!(value(b"J\xf6rg"), "J\u{fffd}rg");
    }
}
