//! Addresses in header fields: `"Display" <sip:user@host>;tag=...` (RFC 3261, 20.10 and 25.1).

use base::limits;
use memchr::{memchr, memchr2};

/// The value of From, To or Contact, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// The display name as written, without its quotes; empty if there is none.
    pub display: &'a [u8],
    /// The URI without its angle brackets.
    pub uri: &'a [u8],
    /// The header field's parameters, from the first `;` on.
    pub parameters: &'a [u8],
}

impl<'a> Address<'a> {
    /// Takes apart what is there; a damaged value gives what can be made out.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Self {
        let value = value.trim_ascii();
        let quoted = quoted_end(value);
        let after_quotes = value.get(quoted..).unwrap_or_default();
        let Some(open) = memchr(b'<', after_quotes).map(|at| at + quoted) else {
            return Self::without_brackets(after_quotes);
        };
        let display = value.get(..open).unwrap_or_default().trim_ascii();
        let inside = value.get(open + 1..).unwrap_or_default();
        let close = memchr(b'>', inside).unwrap_or(inside.len());
        let (uri, behind) = inside.split_at(close);
        let parameters = memchr(b';', behind).and_then(|at| behind.get(at..)).unwrap_or_default();
        Self { display: unquoted(display), uri: uri.trim_ascii(), parameters }
    }

    /// Without brackets, what follows the first semicolon belongs to the header field, not to the URI.
    fn without_brackets(value: &'a [u8]) -> Self {
        let end = memchr(b';', value).unwrap_or(value.len());
        let (uri, parameters) = value.split_at(end);
        Self { display: &[], uri: uri.trim_ascii(), parameters }
    }

    /// The tag, cut to the limit; empty if there is none.
    #[must_use]
    pub fn tag(&self) -> &'a [u8] {
        let tag = parameter(self.parameters, b"tag").unwrap_or_default();
        tag.get(..limits::SIP_TAG_BYTES_MAX).unwrap_or(tag)
    }

    /// The user part of the URI (see [`user`]).
    #[must_use]
    pub fn user(&self) -> Option<&'a [u8]> {
        user(self.uri)
    }
}

/// The value of the parameter `name` (any case) in `;a=1;b;c="x"`; empty for one without a value.
///
/// What stands before the first `;` is passed over, so a whole Via value will do.
#[must_use]
pub fn parameter<'a>(parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = parameters;
    loop {
        rest = rest.get(memchr(b';', rest)? + 1..)?;
        let end = parameter_end(rest);
        let (this, after) = rest.split_at(end);
        let equals = memchr(b'=', this).unwrap_or(this.len());
        let (found, value) = this.split_at(equals);
        if found.trim_ascii().eq_ignore_ascii_case(name) {
            return Some(unquoted(value.get(1..).unwrap_or_default().trim_ascii()));
        }
        rest = after;
    }
}

/// The end of a parameter: its `;`, but not one within quotes.
fn parameter_end(rest: &[u8]) -> usize {
    match memchr2(b';', b'"', rest) {
        Some(at) if rest.get(at) == Some(&b'"') => {
            let quoted = rest.get(at..).unwrap_or_default();
            let behind = at + quoted_end(quoted).max(1);
            let tail = rest.get(behind..).unwrap_or_default();
            memchr(b';', tail).map_or(rest.len(), |end| behind + end)
        }
        Some(at) => at,
        None => rest.len(),
    }
}

/// The end of the first item of a comma-separated list; commas within quotes do not count.
pub(super) fn list_item_end(value: &[u8]) -> usize {
    let mut at = 0;
    while let Some(tail) = value.get(at..) {
        match memchr2(b',', b'"', tail) {
            Some(found) if tail.get(found) == Some(&b'"') => {
                at += found + quoted_end(tail.get(found..).unwrap_or_default()).max(1);
            }
            Some(found) => return at + found,
            None => break,
        }
    }
    value.len()
}

/// The length of the quoted string at the start of `value`, its quotes included; 0 if there is none, or
/// if it does not end.
fn quoted_end(value: &[u8]) -> usize {
    if value.first() != Some(&b'"') {
        return 0;
    }
    let mut at = 1;
    while let Some(found) = value.get(at..).and_then(|tail| memchr2(b'"', b'\\', tail)) {
        at += found;
        if value.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2; // the backslash and what it escapes
    }
    0
}

fn unquoted(text: &[u8]) -> &[u8] {
    let inner = text.strip_prefix(b"\"").unwrap_or(text);
    inner.strip_suffix(b"\"").unwrap_or(inner)
}

/// The user part of a SIP or SIPS URI, or the number of a TEL URI (RFC 3966), without password and
/// parameters and as escaped; `None` if there is none.
#[must_use]
pub fn user(uri: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', uri)?;
    let (scheme, rest) = uri.split_at(colon);
    let rest = rest.get(1..).unwrap_or_default();
    let user = if scheme.trim_ascii().eq_ignore_ascii_case(b"tel") {
        rest
    } else {
        let at = memchr(b'@', rest)?;
        let user = rest.get(..at).unwrap_or_default();
        user.get(..memchr(b':', user).unwrap_or(user.len())).unwrap_or_default()
    };
    let user =
        user.get(..memchr(b';', user).unwrap_or(user.len())).unwrap_or_default().trim_ascii();
    (!user.is_empty()).then_some(user)
}
