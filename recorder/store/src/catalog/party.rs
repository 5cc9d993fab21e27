//! Whom a search for a party means.

/// The address in a From or To header field's value, without display name, scheme and parameters:
/// `alice@example.com` of `"Alice" <sip:alice@example.com;user=phone>;tag=1` (RFC 3261, 20.20 and 20.39).
pub(super) fn address(header: &str) -> &str {
    // A display name in quotes may hold an angle bracket.
    let unquoted = header.trim_start().strip_prefix('"').and_then(after_quotes).unwrap_or(header);
    let uri = match unquoted.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => unquoted,
    };
    let uri = without_scheme(uri.trim());
    uri.split([';', '?']).next().unwrap_or(uri)
}

/// What follows the closing quote of a quoted string that has begun.
fn after_quotes(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let closing = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closing
    });
    text.get(end?.0 + 1..)
}

fn without_scheme(uri: &str) -> &str {
    match uri.split_once(':') {
        Some((scheme, rest))
            if ["sip", "sips", "tel"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
        {
            rest
        }
        _ => uri,
    }
}

/// The pattern for SQL's `LIKE ... ESCAPE '\'` that matches what `wanted` means: a number or address, in
/// which `*` stands for anything. `LIKE` ignores the case of ASCII letters.
pub(super) fn like(wanted: &str) -> String {
    let mut pattern = String::with_capacity(wanted.len() + 8);
    for c in without_scheme(wanted.trim()).chars() {
        match c {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            _ => pattern.push(c),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_address_is_found_in_every_form() {
        for (header, expected) in [
            ("sip:alice@example.com", "alice@example.com"),
            ("<sip:alice@example.com>;tag=1", "alice@example.com"),
            (
                "\"Alice <a>\" <sips:alice@example.com:5061;transport=tcp?x=y>;tag=1",
                "alice@example.com:5061",
            ),
            ("\"A \\\" <b>\" <SIP:bob@example.com>", "bob@example.com"),
            ("Bob <tel:+33123>", "+33123"),
            ("tel:+33123;phone-context=x", "+33123"),
            ("anonymous", "anonymous"),
            ("\"unclosed <sip:x@y>", "x@y"),
            ("", ""),
        ] {
            assert_eq!(address(header), expected, "{header}");
        }
    }

    #[test]
    fn only_the_asterisk_is_special() {
        assert_eq!(like("*1_0%\\2*"), "%1\\_0\\%\\\\2%");
        assert_eq!(like(" sip:Bob@example.com "), "Bob@example.com");
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(header in ".*") {
            let _ = (address(&header).len(), like(&header));
        }
    }
}
