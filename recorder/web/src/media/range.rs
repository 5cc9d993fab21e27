//! Which bytes of a content a client wants (RFC 9110, 14): all, or one range.
//!
//! Several ranges at once are not served: the whole is given instead, as RFC 9110, 14.2 allows. So it is with what is
//! no range of bytes at all.

/// What of a content is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// From the first byte on, up to but not including the second place. Never empty, never beyond the end.
    Part(u64, u64),
    /// A range that has nothing of it: 416.
    Nothing,
}

/// Reads a `Range` header, of a content of `length` bytes.
#[must_use]
pub(crate) fn wanted(header: &str, length: u64) -> Wanted {
    match range(header) {
        Some((Some(first), _)) if first >= length => Wanted::Nothing,
        Some((Some(first), last)) => {
            Wanted::Part(first, last.map_or(length, |last| last.saturating_add(1).min(length)))
        }
        // The last bytes: so many.
        Some((None, Some(0))) => Wanted::Nothing,
        Some((None, Some(_))) if length == 0 => Wanted::Nothing,
        Some((None, Some(count))) => Wanted::Part(length.saturating_sub(count), length),
        Some((None, None)) | None => Wanted::Whole,
    }
}

/// First and last byte of the only range.
fn range(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, set) = header.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(())?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let backwards = matches!((first, last), (Some(first), Some(last)) if last < first);
    (!backwards).then_some((first, last))
}

/// Digits; or none. What is beyond all numbers is the largest.
fn number(digits: &str) -> Option<Option<u64>> {
    match digits {
        "" => Some(None),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_of_the_rfc() {
        for (header, expected) in [
            ("bytes=0-499", Wanted::Part(0, 500)),
            ("bytes=500-999", Wanted::Part(500, 1_000)),
            ("bytes=-500", Wanted::Part(9_500, 10_000)),
            ("bytes=9500-", Wanted::Part(9_500, 10_000)),
            ("Bytes = 0-0", Wanted::Part(0, 1)),
            ("bytes=9999-20000", Wanted::Part(9_999, 10_000)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0, 10_000)),
            ("bytes=-20000", Wanted::Part(0, 10_000)),
            ("bytes=10000-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-0,-1", Wanted::Whole),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1--2", Wanted::Whole),
            ("seconds=1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10_000), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond_the_end(header in ".{0,40}", length: u64) {
            if let Wanted::Part(from, until) = wanted(&header, length) {
                prop_assert!(from < until && until <= length);
            }
        }

        #[test]
        fn a_range_is_what_it_says(first: u64, last: u64, length: u64) {
            let expected = match (first <= last, first < length) {
                (false, _) => Wanted::Whole,
                (true, false) => Wanted::Nothing,
                (true, true) => Wanted::Part(first, last.saturating_add(1).min(length)),
            };
            prop_assert_eq!(wanted(&format!("bytes={first}-{last}"), length), expected);
        }
    }
}
