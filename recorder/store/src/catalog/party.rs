//! Whom a search for a party means.
//!
//! A recording has up to four texts that name its parties: the numbers and the addresses of caller and callee. They
//! are kept in lower case. What is wanted is compared with `LIKE`; so that few have to be compared, each text's
//! four-letter stretches are words of the index (`words.rs`): `^+33`, `+331`, ... of `+3310001`, and `001$`. Each
//! part between `@` begins with `^` and ends with `$`.

/// How long a stretch is, in characters.
const STRETCH: usize = 4;
/// Ends of a part. Neither is in [`ALPHABET`]: a text's own are as any other sign.
const BEGIN: char = '^';
const END: char = '$';
/// Characters that are told apart in stretches; all others count as [`OTHER`].
const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz+-._";
const OTHER: char = '?';

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

/// What is wanted, as it is compared: trimmed, without scheme, in lower case; `*` stands for anything.
pub(super) fn wanted(party: &str) -> String {
    without_scheme(party.trim()).to_lowercase()
}

/// The pattern for SQL's `LIKE ... ESCAPE '\'` that matches what [`wanted`] gave.
pub(super) fn like(wanted: &str) -> String {
    let mut pattern = String::with_capacity(wanted.len() + 8);
    for c in wanted.chars() {
        match c {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            _ => pattern.push(c),
        }
    }
    pattern
}

/// Characters as they are told apart, without those that mark ends.
fn letters() -> impl Iterator<Item = char> {
    ALPHABET.chars().chain([OTHER])
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if ALPHABET.contains(c) { c } else { OTHER })
}

/// The stretches of a text of a recording, given in lower case. A part that is shorter than one is one.
pub(super) fn stretches(text: &str, mut each: impl FnMut(&[char])) {
    for part in text.split('@') {
        let part: Vec<char> = [BEGIN].into_iter().chain(folded(part)).chain([END]).collect();
        match part.len() {
            STRETCH.. => part.windows(STRETCH).for_each(&mut each),
            _ => each(&part),
        }
    }
}

/// Whether a stretch is the beginning of a part.
pub(super) fn begins(stretch: &[char]) -> bool {
    stretch.first() == Some(&BEGIN)
}

/// What the stretches of a text that matches `wanted` must hold: one of each list. None, if it says too little.
pub(super) fn must_have(wanted: &str) -> Vec<Vec<Vec<char>>> {
    let mut lists = Vec::new();
    let chunks: Vec<&str> = wanted.split('*').collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let parts: Vec<&str> = chunk.split('@').collect();
        for (place, part) in parts.iter().enumerate() {
            let begins = place > 0 || at == 0;
            let ends = place + 1 < parts.len() || at + 1 == chunks.len();
            let begin = begins.then_some(BEGIN).into_iter();
            let part: Vec<char> = begin.chain(folded(part)).chain(ends.then_some(END)).collect();
            match part.as_slice() {
                [_, _, _, _, ..] => lists.extend(part.windows(STRETCH).map(|s| vec![s.to_vec()])),
                [_, _, _] if begins && ends => lists.push(vec![part]),
                [BEGIN, END] | [] | [_] => {}
                short => lists.push(grown(short, begins, ends)),
            }
        }
    }
    lists
}

/// All stretches that may hold what is shorter than one, for each place where it can be in its part.
fn grown(short: &[char], begins: bool, ends: bool) -> Vec<Vec<char>> {
    let before = |text: &[char], first: char| [&[first], text].concat();
    let behind = |text: &[char], last: char| [text, &[last]].concat();
    match (short, ends) {
        (&[_, _, _], true) => letters().chain([BEGIN]).map(|c| before(short, c)).collect(),
        (&[_, _, _], false) => letters().chain([END]).map(|c| behind(short, c)).collect(),
        (_, true) => {
            let three = letters().map(|c| before(short, c));
            let four = three.flat_map(|t| letters().chain([BEGIN]).map(move |c| before(&t, c)));
            four.chain([before(short, BEGIN)]).collect()
        }
        (_, false) => {
            let three = letters().map(|c| behind(short, c));
            let four = three.flat_map(|t| letters().chain([END]).map(move |c| behind(&t, c)));
            let last = behind(short, END);
            // The part ends right behind it: then it is all of the part, or something is in front of it.
            let at_the_end = match begins {
                true => vec![last],
                false => letters().chain([BEGIN]).map(|c| before(&last, c)).collect(),
            };
            four.chain(at_the_end).collect()
        }
    }
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
        assert_eq!(wanted(" sip:Bob@example.com "), "bob@example.com");
    }

    fn has_all(text: &str, wanted: &str) -> bool {
        let mut has = std::collections::HashSet::new();
        stretches(text, |stretch| {
            has.insert(stretch.to_vec());
        });
        must_have(wanted).iter().all(|list| list.iter().any(|one| has.contains(one)))
    }

    #[test]
    fn stretches_tell_texts_apart() {
        assert!(has_all("+33123456789", "*3456*") && !has_all("+33123456789", "*4567890*"));
        assert!(
            has_all("1042@pbx.example", "*042@pbx*")
                && !has_all("1042@pbx.example", "1042"[1..].as_ref())
        );
        assert!(!has_all("1234", "*99*") && !has_all("1234", "2*") && !has_all("1234", "*3"));
        assert!(must_have("*7*").is_empty() && must_have("*").is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(header in ".*") {
            let wanted = wanted(&header);
            let _ = (address(&header).len(), like(&wanted), must_have(&wanted));
        }

        /// The index never hides what `LIKE` would find.
        #[test]
        fn what_matches_has_what_it_must_have(
            before in "[ab@1?^$é]{0,4}", text in "[ab@1?^$é]{0,5}", between in "[ab@1]{0,3}",
            end in "[ab@1]{0,3}", first in any::<bool>(), last in any::<bool>(),
        ) {
            let (front, back) = (if first { "" } else { &*before }, if last { "" } else { &*end });
            let whole = format!("{front}{text}{between}1{back}");
            for wanted in [
                format!("{}{text}*1{}", if first { "" } else { "*" }, if last { "" } else { "*" }),
                format!("*{text}*"), format!("{front}{text}*"), format!("*{back}"), whole.clone(),
            ] {
                prop_assert!(has_all(&whole, &wanted), "{wanted} of {whole}");
            }
        }
    }
}
