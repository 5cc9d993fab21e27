//! The words by which recordings are found: the index has a list of recordings for each.
//!
//! ```text
//! 001$         a stretch of a number or an address (party.rs)
//! d:inbound    direction                   q:31   the worst stream's MOS, tenths
//! d:inbound^+33  direction, and how a party's number or address begins: no internal call has an outer number, so that
//!              neither word alone would say that there is none of both
//! t:12         duration, 4 to a doubling   n      incomplete       g   has gaps
//! l:complaint  a label                     m:case=4711   free metadata         h   held
//! w32:1a2b     the 2^32 microseconds in which it began; also 2^36, 2^40, 2^44. PostgreSQL only, whose lists are not in
//!              the order of time (search.rs)
//! ```
//!
//! A word is kept as its 32-bit hash (FNV-1a). Two may have the same, and `t`, `q` and stretches say less than what is
//! asked for: a word finds all that match, and perhaps more, and what it finds is compared. So a fault here makes a
//! search slow, never wrong. What a word is for a recording is fixed: rows that were written keep theirs.

use std::collections::BTreeSet;

use super::filter::Filter;
use super::party;
use super::row::{APART_BITS, Columns};

/// A word's hash, as PostgreSQL keeps it.
pub(super) type Word = i32;

/// One of these must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) words: Vec<Word>,
    /// Stretches of one party: who has one has the others more often than chance would have it.
    pub(super) of_party: bool,
}

/// Base-2 logarithms of stretches of time, in microseconds: 72 minutes, 19 hours, 13 days, 204 days.
const STRETCHES_OF_TIME: [u32; 4] = [32, 36, 40, 44];
/// Words that a window's stretches of time may be.
const STRETCHES_MAX: i64 = 24;

/// MOS is at most 5.
const MOS_TENTHS_MAX: i64 = 50;
/// 2^27 ms are a day and a half: longer ones are alike.
const DURATION_STEPS_MAX: i64 = 4 * 27;

/// FNV-1a, 32 bits.
pub(super) fn word(bytes: impl IntoIterator<Item = u8>) -> Word {
    let hash = bytes
        .into_iter()
        .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.cast_signed()
}

fn named(kind: &str, name: &str) -> Word {
    word(kind.bytes().chain(name.bytes()))
}

fn stretch(letters: &[char]) -> Word {
    // Their characters are all ASCII: marks, the alphabet, and what stands for others.
    word(letters.iter().map(|letter| *letter as u8))
}

fn directed(direction: &str, letters: &[char]) -> Word {
    let letters = letters.iter().map(|letter| *letter as u8);
    word("d:".bytes().chain(direction.bytes()).chain(letters))
}

/// Which quarter of a doubling a duration is in.
fn duration_step(milliseconds: i64) -> i64 {
    let milliseconds = milliseconds.max(1);
    let doublings = i64::from(milliseconds.ilog2());
    let beyond = milliseconds - (1 << doublings);
    // In 128 bits, a hostile duration cannot overflow.
    let quarters = (i128::from(beyond) * 4) >> doublings;
    (doublings * 4 + i64::try_from(quarters).unwrap_or(3)).min(DURATION_STEPS_MAX)
}

fn mos_tenths(mos: f64) -> i64 {
    ((mos * 10.0) as i64).clamp(0, MOS_TENTHS_MAX)
}

/// What people said of a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) labels: Vec<String>,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) held: bool,
}

/// All words of a recording, each once.
pub(super) fn of(columns: &Columns, said: &Said) -> Vec<Word> {
    let mut words = BTreeSet::new();
    for text in columns.parties().into_iter().flatten() {
        party::stretches(text, |letters| {
            words.insert(stretch(letters));
            words.extend(party::begins(letters).then(|| directed(&columns.direction, letters)));
        });
    }
    words.insert(named("d:", &columns.direction));
    words.insert(named("t:", &duration_step(columns.duration).to_string()));
    words.extend(columns.mos.map(|mos| named("q:", &mos_tenths(mos).to_string())));
    words.extend((!columns.complete).then(|| named("n", "")));
    words.extend(columns.gaps.then(|| named("g", "")));
    words.extend(said.labels.iter().map(|label| named("l:", label)));
    words.extend(said.metadata.iter().map(|(key, value)| named("m:", &format!("{key}={value}"))));
    words.extend(said.held.then(|| named("h", "")));
    words.into_iter().collect()
}

fn when(bits: u32, stretch: i64) -> Word {
    named("w", &format!("{bits}:{stretch:x}"))
}

/// When a recording began, by its key.
pub(super) fn of_time(key: i64) -> impl Iterator<Item = Word> {
    STRETCHES_OF_TIME.into_iter().map(move |bits| when(bits, key >> (bits + APART_BITS)))
}

/// What recordings with keys from the first to the last one have one of; none if that is nearly all of time.
pub(super) fn within(first: i64, last: i64) -> Option<Clause> {
    STRETCHES_OF_TIME.into_iter().find_map(|bits| {
        let shift = bits + APART_BITS;
        let stretches = (first >> shift)..=(last >> shift);
        let few = stretches.end() - stretches.start() < STRETCHES_MAX;
        let words = || stretches.map(|stretch| when(bits, stretch)).collect();
        few.then(|| Clause { words: words(), of_party: false })
    })
}

/// What a recording that passes the filter must have. What the filter says by time, Call-ID or absence has no word.
pub(super) fn must_have(filter: &Filter) -> Vec<Clause> {
    let mut clauses: Vec<Vec<Word>> = Vec::new();
    let mut of_party = 0;
    if let Some(party) = &filter.party {
        let lists = party::must_have(&party::wanted(party));
        clauses.extend(lists.iter().map(|list| list.iter().map(|one| stretch(one)).collect()));
        if let Some(direction) = filter.direction {
            let beginnings = lists.iter().filter(|list| list.iter().all(|one| party::begins(one)));
            let directed = |one: &Vec<char>| directed(direction.name(), one);
            clauses.extend(beginnings.map(|list| list.iter().map(directed).collect::<Vec<_>>()));
        }
        of_party = clauses.len();
    }
    clauses.extend(filter.direction.map(|direction| vec![named("d:", direction.name())]));
    if filter.duration_min.is_some() || filter.duration_max.is_some() {
        let step = |at: Option<u64>, none| {
            at.map_or(none, |at| duration_step(i64::try_from(at).unwrap_or(i64::MAX)))
        };
        let steps = step(filter.duration_min, 0)..=step(filter.duration_max, DURATION_STEPS_MAX);
        clauses.push(steps.map(|step| named("t:", &step.to_string())).collect());
    }
    if let Some(mos) = filter.mos_max {
        let tenths = 0..=mos_tenths(mos);
        clauses.push(tenths.map(|tenth| named("q:", &tenth.to_string())).collect());
    }
    clauses.extend(filter.incomplete.then(|| vec![named("n", "")]));
    clauses.extend(filter.gaps.then(|| vec![named("g", "")]));
    clauses.extend(filter.labels.iter().map(|label| vec![named("l:", label)]));
    let metadata = filter.metadata.iter();
    clauses.extend(metadata.map(|(key, value)| vec![named("m:", &format!("{key}={value}"))]));
    clauses.extend((filter.held == Some(true)).then(|| vec![named("h", "")]));
    let clause = |(number, words)| Clause { words, of_party: number < of_party };
    clauses.into_iter().enumerate().map(clause).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stay_what_they_are() {
        assert_eq!(word([]), 0x811C_9DC5_u32.cast_signed());
        assert_eq!(word(*b"foobar"), 0xBF9C_F968_u32.cast_signed());
        assert_eq!([0, 1, 2, 3, 4, 7, 8, 1_000].map(duration_step), [0, 0, 4, 6, 8, 11, 12, 39]);
        assert_eq!([0.9, 3.1, 4.49, 99.0].map(mos_tenths), [9, 31, 44, 50]);
    }

    proptest! {
        #[test]
        fn who_is_within_a_window_has_one_of_its_words(
            first in 0..i64::MAX, width in 0..i64::MAX, place in 0.0..1.0,
        ) {
            let last = first.saturating_add(width >> (width % 50));
            let key = first + ((last - first) as f64 * place) as i64;
            if let Some(clause) = within(first, last) {
                prop_assert!(clause.words.len() <= STRETCHES_MAX as usize);
                prop_assert!(key > last || of_time(key).any(|word| clause.words.contains(&word)));
            }
        }

        #[test]
        fn longer_is_never_a_lower_step(one in any::<i64>(), other in any::<i64>()) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(duration_step(less) <= duration_step(more));
            prop_assert!((0..=DURATION_STEPS_MAX).contains(&duration_step(more)));
        }
    }
}
