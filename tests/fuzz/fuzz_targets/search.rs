//! Any text as a cursor, and as a party that is searched for: what the index finds is what a look at each finds.
#![no_main]

use std::cell::OnceCell;

use base::recording::Recording;
use libfuzzer_sys::fuzz_target;
use store::{Catalog, Cursor, DatabasePlace, Filter, Order};

/// Caller and callee of each recording.
const PARTIES: [[&str; 2]; 4] = [
    ["+33123456789", "1042"],
    ["1", "alice-b@pbx.example"],
    ["%_\\\\^$?*", "\u{e9}\u{df}"],
    ["", "a@b@c"],
];

thread_local! {
    static CATALOG: OnceCell<Catalog> = const { OnceCell::new() };
}

fn recordings() -> Vec<Recording> {
    let json = include_str!("search.json");
    let each = PARTIES.iter().enumerate().map(|(number, [caller, callee])| {
        let mut recording: Recording = serde_json::from_str(json).expect("a recording");
        recording.id =
            format!("01900000-0000-7000-8000-00000000000{number}").parse().expect("an id");
        recording.caller_phone_number = (*caller).to_owned();
        recording.dialed_phone_number = (*callee).to_owned();
        recording
    });
    each.collect()
}

fn open() -> Catalog {
    let folder = std::env::temp_dir().join(format!("spanreel-fuzz-search-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let catalog =
        Catalog::open(&DatabasePlace::File(folder.join("catalog.db"))).expect("a catalog");
    catalog.insert(&recordings()).expect("entered");
    catalog
}

/// `*` stands for anything.
fn matches(wanted: &[char], text: &[char]) -> bool {
    match wanted.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        Some((letter, rest)) => {
            text.split_first().is_some_and(|(first, more)| first == letter && matches(rest, more))
        }
    }
}

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
    // The oracle tries every place for every asterisk.
    if text.len() > 12 || text.contains([':', '\0']) {
        return;
    }
    let filter = Filter { party: Some(text.to_owned()), ..Filter::default() };
    let found = CATALOG.with(|catalog| {
        catalog.get_or_init(open).find(&filter, Order::Latest, None, 10).expect("an answer").len()
    });
    let letters = |text: &str| text.trim().to_lowercase().chars().collect::<Vec<_>>();
    let wanted = letters(text);
    let passes = |parties: &&[&str; 2]| {
        parties
            .iter()
            .any(|party| matches(&wanted, &party.to_lowercase().chars().collect::<Vec<_>>()))
    };
    assert_eq!(found, PARTIES.iter().filter(passes).count(), "{text:?}");
});
