//! What a recording tells of its call by configuration: which numbers are own ones, whether pressed keys are named.

use base::recording::Direction;
use dialog::Party;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Everything of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Telling {
    pub(crate) own_numbers: OwnNumbers,
    pub(crate) dtmf: Dtmf,
}

/// What is told of a key that was pressed.
///
/// People type card numbers and their verification codes into phones. PCI DSS (3.3.1) forbids to keep the latter,
/// even encrypted, and a recording's metadata are searched and shown, where its sound is sealed. So that a key was
/// pressed is told, and which only if that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtmf {
    /// That one was pressed, when, by whom.
    #[default]
    Mask,
    /// Also which.
    Keep,
}

/// The numbers and addresses of those whose calls are recorded, with wildcards; none: not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnNumbers(Vec<Pattern>);

impl OwnNumbers {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Which way a call between these parties went, if that can be told.
    pub(crate) fn direction(&self, parties: Option<(&Party, &Party)>) -> Option<Direction> {
        if self.0.is_empty() {
            return None;
        }
        let own = |party: &Party| {
            let (number, address) = (number_of(party), address_of(party));
            self.0.iter().any(|pattern| pattern.fits(&number, &address))
        };
        let Some((caller, callee)) = parties else { return Some(Direction::Unknown) };
        Some(match (own(caller), own(callee)) {
            (false, true) => Direction::Inbound,
            (true, false) => Direction::Outbound,
            (true, true) => Direction::Internal,
            (false, false) => Direction::Unknown,
        })
    }
}

impl<'de> Deserialize<'de> for OwnNumbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let patterns = texts.iter().map(|text| text.parse());
        patterns.collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

/// A number, or with an `@` an address; `*` stands for anything, `?` for one character. In lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<char>);

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.contains("sip:") {
            return Err(format!(
                "{text:?} is no number and no address: write \"+4930*\", \"2??\" or \"*@pbx.example.com\""
            ));
        }
        Ok(Self(text.to_lowercase().chars().collect()))
    }
}

impl Pattern {
    fn fits(&self, number: &str, address: &str) -> bool {
        matches(&self.0, if self.0.contains(&'@') { address } else { number })
    }
}

/// Whether a text fits. After a `*`, the shortest stretch that lets the rest fit is looked for, from the last `*`
/// only: the ones before have fitted. So time is at most the product of the lengths.
fn matches(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while let Some(letter) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == letter => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, read) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|it| *it == '*'))
}

/// A party's number in lower case, without its parameters and, if it is made of digits, what only helps reading it
/// (RFC 3966, 5.1.1).
fn number_of(party: &Party) -> String {
    let number = party.number.split(';').next().unwrap_or_default().to_lowercase();
    let dials = |c: char| c.is_ascii_digit() || "+-.()".contains(c);
    if number.chars().all(dials) { number.replace(['-', '.', '(', ')'], "") } else { number }
}

/// A party's `user@host` in lower case, without password, port and parameters.
fn address_of(party: &Party) -> String {
    let uri = party.uri.as_str();
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let user = if user.is_empty() { "" } else { party.number.as_str() };
    let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { None };
    let end = end.or_else(|| host.find([':', ';', '?', '>'])).unwrap_or(host.len());
    format!("{user}@{}", host.get(..end).unwrap_or_default()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn party(uri: &str, number: &str) -> Party {
        Party { uri: uri.into(), display: None, number: number.into() }
    }

    fn own() -> OwnNumbers {
        let patterns = ["+4930*", "2??", "*@PBX.example.com"];
        OwnNumbers::new(patterns.iter().map(|it| it.parse().unwrap()).collect())
    }

    #[test]
    fn own_numbers_tell_the_direction() {
        let berlin = party("sip:+4930-1234@carrier.example;user=phone", "+4930-1234");
        let desk = party("sip:203@10.0.0.1", "203");
        let alice = party("sip:Alice:secret@pbx.example.com:5061;transport=tls", "Alice");
        let stranger = party("sip:+331234@carrier.example", "+331234");
        let long = party("sip:2034@10.0.0.1", "2034");
        for (caller, callee, expected) in [
            (&stranger, &berlin, Direction::Inbound),
            (&stranger, &alice, Direction::Inbound),
            (&desk, &stranger, Direction::Outbound),
            (&desk, &alice, Direction::Internal),
            (&stranger, &long, Direction::Unknown),
        ] {
            assert_eq!(
                own().direction(Some((caller, callee))),
                Some(expected),
                "{caller:?} {callee:?}"
            );
            assert_eq!(OwnNumbers::default().direction(Some((caller, callee))), None);
        }
        assert_eq!(own().direction(None), Some(Direction::Unknown));
    }

    #[test]
    fn addresses_are_without_what_may_differ() {
        let address = |uri: &str, number: &str| address_of(&party(uri, number));
        assert_eq!(address("sips:a%23b@Host.example:5061;x?y", "a#b"), "a#b@host.example");
        assert_eq!(address("sip:u@[2001:db8::1]:5060", "u"), "u@[2001:db8::1]");
        assert_eq!(address("sip:gateway.example", "sip:gateway.example"), "@gateway.example");
        assert_eq!(
            number_of(&party(
                "tel:+1-201-555-0123;phone-context=x",
                "+1-201-555-0123;phone-context=x"
            )),
            "+12015550123"
        );
        assert_eq!(number_of(&party("sip:jean-luc@h", "jean-luc")), "jean-luc");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "  ", "sip:+4930*"] {
            assert!(text.parse::<Pattern>().unwrap_err().contains("+4930*"), "{text}");
        }
    }

    /// The rule as it is said.
    fn fits_slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some(('*', rest)), _) => {
                (0..=text.len()).any(|taken| fits_slowly(rest, &text[taken..]))
            }
            (Some((wanted, rest)), Some((letter, later))) => {
                (*wanted == '?' || wanted == letter) && fits_slowly(rest, later)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_mean_what_they_say(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let pattern: Vec<char> = pattern.chars().collect();
            let letters: Vec<char> = text.chars().collect();
            prop_assert_eq!(matches(&pattern, &text), fits_slowly(&pattern, &letters));
        }
    }
}
