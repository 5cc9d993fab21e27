use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use base::Timestamp;
use base::recording::Recording;
use proptest::prelude::*;
use rusqlite::Connection;
use store::catalog::Cursor;
use store::{Catalog, CatalogError, Filter, Order};

use crate::sample::{NOW, recording, seconds};

fn catalog_of(count: u64) -> (tempfile::TempDir, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
    catalog.insert(&(0..count).map(recording).collect::<Vec<_>>()).unwrap();
    (dir, catalog)
}

/// The seconds after [`NOW`] at which what was found started.
fn found(catalog: &Catalog, filter: &Filter) -> Vec<u64> {
    let found = catalog.find(filter, Order::Earliest, None, usize::MAX).unwrap();
    found.iter().map(|recording| recording.start_time.since(NOW).as_secs()).collect()
}

#[test]
fn what_is_put_in_comes_out_and_survives_opening_again() {
    let (dir, catalog) = catalog_of(5);
    drop(catalog);
    let mut catalog = Catalog::open_existing(&dir.path().join("catalog.db")).unwrap();
    for at in 0..5 {
        assert_eq!(catalog.get(recording(at).id).unwrap(), recording(at));
    }
    // Again, and changed: replaced, not doubled.
    let changed =
        Recording { caller_phone_number: "alice".into(), legs: Vec::new(), ..recording(3) };
    catalog.insert([&changed, &recording(4)]).unwrap();
    assert_eq!(catalog.count(&Filter::default()).unwrap(), 5);
    assert_eq!(catalog.get(changed.id).unwrap(), changed);
    let by_old_leg = Filter { call_id: Some("leg-3@example.com".into()), ..Filter::default() };
    assert_eq!(found(&catalog, &by_old_leg), [0; 0]);

    assert!(catalog.delete(changed.id).unwrap());
    assert!(!catalog.delete(changed.id).unwrap());
    assert!(matches!(catalog.get(changed.id), Err(CatalogError::NotFound(_))));
    assert_eq!(catalog.count(&Filter::default()).unwrap(), 4);
}

#[test]
fn each_filter_finds_what_it_says() {
    let (_dir, catalog) = catalog_of(120);
    let all = Filter::default();
    let at = |s| Some(NOW.plus(seconds(s)));
    let time = Filter { from: at(10), to: at(13), ..all.clone() };
    assert_eq!(found(&catalog, &time), [10, 11, 12]);
    let just_after = Some(NOW.plus(seconds(10)).plus(Duration::from_nanos(1)));
    let time = Filter { from: just_after, to: just_after, ..all.clone() };
    assert_eq!(found(&catalog, &time), [0; 0]);
    let duration = Filter { duration_min: Some(57_000), duration_max: Some(58_000), ..all.clone() };
    assert_eq!(found(&catalog, &duration), [57, 58, 117, 118]);
    let incomplete = Filter { incomplete: true, to: at(35), ..all.clone() };
    assert_eq!(found(&catalog, &incomplete), [0, 10, 20, 30]);
    for call_id in ["42@example.com", "leg-42@example.com"] {
        let call_id = Filter { call_id: Some(call_id.into()), ..all.clone() };
        assert_eq!(found(&catalog, &call_id), [42]);
        assert_eq!(catalog.count(&call_id).unwrap(), 1);
    }
    let huge = Filter { duration_min: Some(u64::MAX), from: Some(Timestamp::MAX), ..all.clone() };
    assert_eq!(found(&catalog, &huge), [0; 0]);
    assert_eq!(found(&catalog, &Filter { duration_max: Some(u64::MAX), ..all }).len(), 120);
}

#[test]
fn a_party_is_found_by_number_and_address_in_any_case_with_wildcards() {
    let (_dir, mut catalog) = catalog_of(120);
    let odd = Recording {
        caller_phone_number: "100%_a\\b".into(),
        from: Some("\"<x>\" <sips:100%25@[2001:db8::1]:5061>;tag=1".into()),
        ..recording(500)
    };
    catalog.insert([&odd]).unwrap();
    let party = |party: &str| {
        let mut found = found(&catalog, &Filter { party: Some(party.into()), ..Filter::default() });
        found.truncate(4);
        found
    };
    assert_eq!(party("+33100000042"), [42]);
    assert_eq!(party("1042"), [42]);
    assert_eq!(party("+33100000042@carrier.EXAMPLE"), [42]);
    assert_eq!(party("sip:+33100000042@carrier.example"), [42]);
    assert_eq!(party("*0042@*"), [42]);
    assert_eq!(party("1042@pbx.example"), [42]);
    assert_eq!(party("+3310000004*"), [40, 41, 42, 43]);
    assert_eq!(party("*@PBX.example"), [0, 1, 2, 3]);
    assert_eq!(party("104"), [0; 0]);
    assert_eq!(party("caller 42"), [0; 0], "a display name is no address");
    // What SQL takes for wildcards or worse is only itself.
    assert_eq!(party("100%_a\\b"), [500]);
    assert_eq!(party("100%*"), [500]);
    assert_eq!(party("____"), [0; 0]);
    assert_eq!(party("100%25@[2001:db8::1]:5061"), [500]);
    assert_eq!(party("' OR 1=1 --"), [0; 0]);
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_double() {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
    // Many that start in the same microsecond.
    let same_start = |n: u64| Recording { start_time: NOW.plus(seconds(n / 10)), ..recording(n) };
    catalog.insert(&(0..95).map(same_start).collect::<Vec<_>>()).unwrap();
    for order in [Order::Earliest, Order::Latest] {
        let whole = catalog.find(&Filter::default(), order, None, 1_000).unwrap();
        let mut paged: Vec<Recording> = Vec::new();
        loop {
            let after = paged.last().map(Cursor::behind);
            let page = catalog.find(&Filter::default(), order, after.as_ref(), 7).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(paged.len(), 95);
        assert_eq!(paged, whole);
        let sorted = match order {
            Order::Earliest => paged.is_sorted_by_key(|r| (r.start_time, r.id)),
            Order::Latest => paged.iter().rev().is_sorted_by_key(|r| (r.start_time, r.id)),
        };
        assert!(sorted);
    }
    assert_eq!(catalog.find(&Filter::default(), Order::Latest, None, 0).unwrap(), []);
    let mut seen = 0;
    let stop_at_three = |_| {
        seen += 1;
        if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    catalog.each(&Filter::default(), Order::Earliest, None, stop_at_three).unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn ids_are_resolved_by_their_beginning() {
    let (_dir, catalog) = catalog_of(3);
    let id = recording(1).id;
    let text = id.to_string();
    assert_eq!(catalog.resolve(&text).unwrap(), id);
    assert_eq!(catalog.resolve(&text.to_uppercase()).unwrap(), id);
    assert_eq!(catalog.resolve(&text.replace('-', "")).unwrap(), id);
    assert_eq!(catalog.resolve(&text[..30]).unwrap(), id);
    let error = catalog.resolve(&text[..4]).unwrap_err();
    assert!(
        matches!(&error, CatalogError::Ambiguous { examples, .. } if examples.len() == 3),
        "{error}"
    );
    assert!(error.to_string().contains(&text), "{error}");
    for nothing in ["ffff", "", "xyz", "%", &format!("{text}0")] {
        assert!(matches!(catalog.resolve(nothing), Err(CatalogError::NotFound(_))), "{nothing}");
    }
}

#[test]
fn a_hundred_thousand_recordings_are_found_like_few() {
    let dir = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::open(&dir.path().join("catalog.db")).unwrap();
    for batch in 0..100 {
        let batch: Vec<_> = (batch * 1_000..(batch + 1) * 1_000).map(recording).collect();
        catalog.insert(&batch).unwrap();
    }
    assert_eq!(catalog.count(&Filter::default()).unwrap(), 100_000);
    assert_eq!(catalog.count(&Filter { incomplete: true, ..Filter::default() }).unwrap(), 10_000);
    let party = |party: &str| Filter { party: Some(party.into()), ..Filter::default() };
    assert_eq!(found(&catalog, &party("+331000099999")), [99_999]);
    assert_eq!(catalog.count(&party("1042")).unwrap(), 1_000);
    assert_eq!(catalog.count(&party("*77777@*")).unwrap(), 1);
    let call_id = Filter { call_id: Some("leg-54321@example.com".into()), ..Filter::default() };
    assert_eq!(found(&catalog, &call_id), [54_321]);
    let latest = catalog.find(&Filter::default(), Order::Latest, None, 3).unwrap();
    assert_eq!(latest, [99_999, 99_998, 99_997].map(recording));
    let both = Filter { from: Some(NOW.plus(seconds(99_900))), ..party("10*") };
    assert_eq!(found(&catalog, &both), (99_900..100_000).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_no_catalog_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let error = |path: &Path| Catalog::open_existing(path).unwrap_err();
    let missing = error(&path);
    assert!(
        matches!(missing, CatalogError::Missing(_)) && missing.to_string().contains("--rebuild")
    );
    fs::write(&path, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
    let damaged = error(&path);
    assert!(matches!(damaged, CatalogError::Damaged { .. }), "{damaged}");
    assert!(
        damaged.to_string().contains("catalog.db")
            && damaged.to_string().contains("`spanreel list --rebuild`")
    );
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(error(&path), CatalogError::Foreign(_)));
    fs::remove_file(&path).unwrap();
    drop(Catalog::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = error(&path);
    assert!(matches!(newer, CatalogError::Newer { found: 99, .. }), "{newer}");
    assert!(newer.to_string().contains("newer program"), "{newer}");
    let nowhere = Catalog::open(&dir.path().join("no/such/catalog.db")).unwrap_err();
    assert!(matches!(nowhere, CatalogError::NotWritable { .. }), "{nowhere}");
}

#[test]
fn a_damaged_page_is_an_error_that_names_the_way_out() {
    let (dir, catalog) = catalog_of(2_000);
    drop(catalog);
    let path = dir.path().join("catalog.db");
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[8_192..len - 8_192].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let result = Catalog::open_existing(&path)
        .and_then(|catalog| catalog.find(&Filter::default(), Order::Latest, None, usize::MAX));
    let error = result.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("`spanreel list --rebuild`"), "{error}");
}

#[test]
fn readers_and_a_writer_share_the_catalog() {
    let (dir, mut writer) = catalog_of(10);
    let reader = Catalog::open_existing(&dir.path().join("catalog.db")).unwrap();
    assert_eq!(reader.count(&Filter::default()).unwrap(), 10);
    writer.insert([&recording(10)]).unwrap();
    assert_eq!(reader.count(&Filter::default()).unwrap(), 11);
    assert_eq!(reader.get(recording(10).id).unwrap(), recording(10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_question_is_answered_as_by_looking_at_each(
        from in prop::option::of(0..70_u64), to in prop::option::of(0..70_u64),
        party in prop::option::of("[*]?[+0-9]{0,3}[*]?|[a-z%_\\\\*']{1,6}"),
        min in prop::option::of(0..70_000_u64), max in prop::option::of(0..70_000_u64),
        incomplete in any::<bool>(),
    ) {
        thread_local!(static CATALOG: (tempfile::TempDir, Catalog) = catalog_of(60));
        let at = |s: u64| NOW.plus(seconds(s));
        let filter = Filter {
            from: from.map(at), to: to.map(at), party: party.clone(), call_id: None,
            duration_min: min, duration_max: max, incomplete,
        };
        let expected: Vec<u64> = (0..60).filter(|n| {
            let r = recording(*n);
            let parties = [
                r.caller_phone_number.clone(), r.dialed_phone_number.clone(),
                format!("{}@Carrier.example", r.caller_phone_number),
                format!("{}@pbx.example", r.dialed_phone_number),
            ];
            from.is_none_or(|s| s <= *n) && to.is_none_or(|s| *n < s)
                && min.is_none_or(|d| d <= r.duration) && max.is_none_or(|d| r.duration <= d)
                && (!incomplete || !r.complete)
                && party.as_ref().is_none_or(|p| parties.iter().any(|text| matches(p, text)))
        }).collect();
        let (found, count) = CATALOG.with(|(_dir, catalog)| (found(catalog, &filter), catalog.count(&filter).unwrap()));
        prop_assert_eq!(count, expected.len() as u64);
        prop_assert_eq!(found, expected);
    }
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
