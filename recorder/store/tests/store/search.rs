//! What a search finds is what a look at each recording finds, in both databases; also while others write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::recording::{Direction, Recording};
use base::{RecordingId, Timestamp};
use proptest::prelude::*;
use store::{Catalog, Cursor, Filter, Hold, Order};

use crate::places::{Place, places};
use crate::sample::{self, NOW, seconds};

/// More than are compared row by row: words lead to them, through several windows.
const ROWS: u64 = 12_000;

/// Recordings in bursts, hundreds within a microsecond and days between others.
fn recording(number: u64) -> Recording {
    let start_time = NOW.plus(when(number));
    let numbers = ["+33155", "1042", "+49", "0", "a.b-c"];
    let number_of = |n: u64| format!("{}{}", numbers[(n % 5) as usize], n * 7 % 1_000);
    let (caller, callee) = (number_of(number), number_of(number * 3 + 1));
    Recording {
        id: RecordingId::of_call(start_time, &[&number.to_le_bytes()]),
        from: Some(format!("\"{number}\" <sip:{caller}@Carrier.example>;tag=f")),
        to: Some(format!("<sip:{callee}@pbx.example>")),
        caller_phone_number: caller,
        dialed_phone_number: callee,
        start_time,
        stop_time: start_time.plus(seconds(number % 60)),
        ..sample::recording(number)
    }
}

/// After [`NOW`].
fn when(number: u64) -> Duration {
    let (burst, within) = (number / 400, number % 400);
    let days = seconds(86_400) * (burst * burst / 8) as u32;
    // A third of a burst at once, a third a second apart, a third a millisecond.
    days + match within {
        0..130 => Duration::ZERO,
        130..260 => seconds(within),
        _ => seconds(300) + Duration::from_millis(within),
    }
}

fn label_of(number: u64) -> Option<&'static str> {
    number.is_multiple_of(37).then_some(if number.is_multiple_of(3) { "complaint" } else { "seen" })
}

fn case_of(number: u64) -> Option<String> {
    number.is_multiple_of(41).then(|| format!("{}", number % 4))
}

fn is_held(number: u64) -> bool {
    number.is_multiple_of(211)
}

fn filled() -> Vec<(Place, Catalog)> {
    let filled = |place: Place| {
        let catalog = Catalog::open(&place.database).unwrap();
        let all: Vec<_> = (0..ROWS).map(recording).collect();
        // Not in the order of time.
        all.chunks(1_000).rev().for_each(|batch| catalog.insert(batch).unwrap());
        for (number, recording) in (0..).zip(&all) {
            if let Some(label) = label_of(number) {
                catalog.label(recording.id, label, true).unwrap();
            }
            if let Some(case) = case_of(number) {
                catalog.set_metadata(recording.id, "case", Some(&case)).unwrap();
            }
            if is_held(number) {
                let hold = Hold { who: "anna".into(), reason: "court".into(), time: NOW };
                catalog.hold(recording.id, &hold).unwrap();
            }
        }
        (place, catalog)
    };
    places("search").into_iter().map(filled).collect()
}

/// What is asked, and whether a recording passes, by a look at it.
fn passes(filter: &Filter, number: u64, r: &Recording) -> bool {
    let parties = || {
        let (caller, callee) = (&r.caller_phone_number, &r.dialed_phone_number);
        let addresses = [format!("{caller}@carrier.example"), format!("{callee}@pbx.example")];
        [caller.clone(), callee.clone()].into_iter().chain(addresses)
    };
    let mos = || r.streams.iter().filter_map(|stream| stream.mos);
    let call_ids = || r.call_id.iter().chain(r.legs.iter().map(|leg| &leg.call_id));
    filter.from.is_none_or(|from| from <= r.start_time)
        && filter.to.is_none_or(|to| r.start_time < to)
        && filter.duration_min.is_none_or(|min| min <= r.duration)
        && filter.duration_max.is_none_or(|max| r.duration <= max)
        && (!filter.incomplete || !r.complete)
        && (!filter.gaps || !r.gaps.is_empty())
        && filter.mos_max.is_none_or(|max| mos().any(|mos| mos <= max))
        && filter.direction.is_none_or(|direction| r.direction == Some(direction))
        && filter.held.is_none_or(|held| held == is_held(number))
        && filter.labels.iter().all(|label| label_of(number) == Some(label))
        && filter
            .metadata
            .iter()
            .all(|(key, value)| key == "case" && case_of(number).as_ref() == Some(value))
        && filter.call_id.as_ref().is_none_or(|wanted| call_ids().any(|one| one == wanted))
        && filter.party.as_ref().is_none_or(|party| parties().any(|text| matches(party, &text)))
}

/// `*` stands for anything, case does not matter: written down as simply as can be.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_at_checked(1) {
        None => text.is_empty(),
        Some(("*", rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        Some((c, rest)) => text
            .split_at_checked(1)
            .is_some_and(|(t, more)| t.eq_ignore_ascii_case(c) && matches(rest, more)),
    }
}

/// Pages of a search, one after the other, until one is not full.
fn paged(catalog: &Catalog, filter: &Filter, order: Order, page: usize) -> Vec<Recording> {
    let mut all: Vec<Recording> = Vec::new();
    loop {
        let after = all.last().map(Cursor::behind);
        let next = catalog.find(filter, order, after.as_ref(), page).unwrap();
        let is_last = next.len() < page;
        all.extend(next);
        if is_last {
            return all;
        }
    }
}

/// Some of the things that can be asked for, few at a time.
fn questions() -> impl Strategy<Value = Filter> {
    fn seldom<S: Strategy>(share: f64, strategy: S) -> impl Strategy<Value = Option<S::Value>> {
        prop::option::weighted(share, strategy)
    }
    let party = "[*]?[+0-9]{0,3}[*]?|[*][0-9]{2,5}[*]?|[+]331[0-9]{2,4}[*]?|[a-z%_\\\\*']{1,6}\
        |[*]?[0-9]{1,2}@[a-z]?[*]|[*]?1[*]0[0-9]*|[*]@PBX[.]example|1042[0-9]{1,3}";
    let time = || {
        (0..ROWS, -2_000_i64..2_000).prop_map(|(number, beside)| {
            let nanos = NOW.plus(when(number)).as_nanos();
            Timestamp::from_nanos(nanos.saturating_add_signed(beside))
        })
    };
    let direction = (0..4_usize).prop_map(sample::direction);
    let label = prop::sample::select(vec!["complaint", "seen", "nothing has it"]);
    let call_id = (0..ROWS, any::<bool>())
        .prop_map(|(number, leg)| format!("{}{number}@example.com", if leg { "leg-" } else { "" }));
    let what = (
        seldom(0.6, party),
        seldom(0.3, direction),
        seldom(0.2, 0..70_000_u64),
        seldom(0.2, 0..70_000_u64),
        seldom(0.2, 0.0..5.0),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
    );
    let rest = (
        (seldom(0.25, time()), seldom(0.25, time())),
        seldom(0.15, any::<bool>()),
        seldom(0.15, label),
        seldom(0.15, 0..5_u64),
        seldom(0.05, call_id),
    );
    (what, rest).prop_map(|(what, rest)| {
        let (party, direction, duration_min, duration_max, mos_max, (incomplete, gaps)) = what;
        let ((from, to), held, label, case, call_id) = rest;
        Filter {
            from,
            to,
            party,
            call_id,
            duration_min,
            duration_max,
            direction,
            mos_max,
            incomplete,
            gaps,
            held,
            labels: label.into_iter().map(str::to_owned).collect(),
            metadata: case.into_iter().map(|case| ("case".into(), case.to_string())).collect(),
        }
    })
}

thread_local! {
    static CATALOGS: Vec<(Place, Catalog)> = filled();
    /// By start.
    static RECORDINGS: Vec<(u64, Recording)> = (0..ROWS).map(|n| (n, recording(n))).collect();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn any_question_is_answered_as_by_looking_at_each(
        filter in questions(), latest in any::<bool>(), page in 20..400_usize,
    ) {
        let order = if latest { Order::Latest } else { Order::Earliest };
        let expected: BTreeMap<RecordingId, Timestamp> = RECORDINGS.with(|all| {
            let passing = all.iter().filter(|(number, one)| passes(&filter, *number, one));
            passing.map(|(_, one)| (one.id, one.start_time)).collect()
        });
        CATALOGS.with(|catalogs| catalogs.iter().try_for_each(|(_place, catalog)| {
            let count = catalog.count(&filter).unwrap();
            match count.exact {
                true => prop_assert_eq!(count.count, expected.len() as u64),
                false => prop_assert!(count.count <= expected.len() as u64),
            }
            let found = paged(catalog, &filter, order, page);
            let ids: BTreeMap<_, _> = found.iter().map(|one| (one.id, one.start_time)).collect();
            prop_assert_eq!(found.len(), ids.len(), "none twice");
            prop_assert_eq!(&ids, &expected);
            let starts = || found.iter().map(|one| one.start_time);
            let sorted = if latest { starts().rev().is_sorted() } else { starts().is_sorted() };
            prop_assert!(sorted);
            Ok(())
        }))?;
    }
}

/// What came and went meanwhile may be seen or not; what was there all the time is seen once.
#[test]
fn pages_while_others_write_have_all_that_stays_once() {
    for place in places("meanwhile") {
        let catalog = Catalog::open(&place.database).unwrap();
        let all: Vec<_> = (0..3_000).map(recording).collect();
        let (stays, goes): (Vec<_>, Vec<_>) = (0..).zip(&all).partition(|(n, _)| n % 3 != 0);
        catalog.insert(&all).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = Catalog::open_existing(&place.database).unwrap();
            let (goes, done, stays) = (&goes, &done, &stays);
            let writing = scope.spawn(move || {
                let mut written = 0;
                for (round, (_, one)) in (0_usize..).zip(goes.iter().cycle()) {
                    // Taken out and put in again, and one that stays is finished once more.
                    writer.delete(one.id).unwrap();
                    writer.insert([*one, stays[round * 7 % stays.len()].1]).unwrap();
                    written += 1;
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
                written
            });
            for filter in [
                Filter::default(),
                Filter { party: Some("*42*".into()), ..Filter::default() },
                Filter { direction: Some(Direction::Inbound), ..Filter::default() },
                Filter { mos_max: Some(2.0), incomplete: false, ..Filter::default() },
            ] {
                for order in [Order::Latest, Order::Earliest] {
                    let seen: Vec<_> =
                        paged(&catalog, &filter, order, 40).iter().map(|one| one.id).collect();
                    let once: BTreeSet<_> = seen.iter().copied().collect();
                    assert_eq!(once.len(), seen.len(), "none twice");
                    let passing = stays.iter().filter(|(n, one)| passes(&filter, *n, one));
                    let missed = passing.filter(|(_, one)| !once.contains(&one.id)).count();
                    assert_eq!(missed, 0, "{filter:?}");
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(writing.join().unwrap() > 0);
        });
    }
}
