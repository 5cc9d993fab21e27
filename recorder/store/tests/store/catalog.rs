//! What holds for the catalog in both databases alike, and what only a file can suffer.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use base::Timestamp;
use base::recording::{Direction, Recording};
use rusqlite::Connection;
use store::{Catalog, CatalogError, Count, Cursor, DatabaseError, DatabasePlace, Filter, Order};

use crate::places::{Place, places};
use crate::sample::{NOW, recording, seconds};

/// A catalog of each kind with so many recordings.
fn catalogs_of(count: u64) -> Vec<(Place, Catalog)> {
    let filled = |place: Place| {
        let catalog = Catalog::open(&place.database).unwrap();
        catalog.insert(&(0..count).map(recording).collect::<Vec<_>>()).unwrap();
        (place, catalog)
    };
    places("catalog").into_iter().map(filled).collect()
}

fn file_of(count: u64) -> (Place, Catalog) {
    catalogs_of(count).remove(0)
}

/// All that there are.
fn count(catalog: &Catalog, filter: &Filter) -> u64 {
    let Count { count, exact } = catalog.count(filter).unwrap();
    assert!(exact);
    count
}

/// The seconds after [`NOW`] at which what was found started.
fn found(catalog: &Catalog, filter: &Filter) -> Vec<u64> {
    let found = catalog.find(filter, Order::Earliest, None, usize::MAX).unwrap();
    found.iter().map(|recording| recording.start_time.since(NOW).as_secs()).collect()
}

#[test]
fn what_is_put_in_comes_out_and_survives_opening_again() {
    for (place, catalog) in catalogs_of(5) {
        drop(catalog);
        let catalog = Catalog::open_existing(&place.database).unwrap();
        for at in 0..5 {
            assert_eq!(catalog.get(recording(at).id).unwrap(), recording(at));
        }
        // Again, and changed: replaced, not doubled; also within one batch.
        let changed =
            Recording { caller_phone_number: "alice".into(), legs: Vec::new(), ..recording(3) };
        catalog.insert([&recording(3), &changed, &recording(4)]).unwrap();
        assert_eq!(count(&catalog, &Filter::default()), 5);
        assert_eq!(catalog.get(changed.id).unwrap(), changed);
        let by_old_leg = Filter { call_id: Some("leg-3@example.com".into()), ..Filter::default() };
        assert_eq!(found(&catalog, &by_old_leg), [0; 0]);
        let by_old_number =
            Filter { party: Some(recording(3).caller_phone_number), ..Filter::default() };
        assert_eq!(found(&catalog, &by_old_number), [0; 0]);

        assert!(catalog.delete(changed.id).unwrap());
        assert!(!catalog.delete(changed.id).unwrap());
        assert!(matches!(catalog.get(changed.id), Err(CatalogError::NotFound(_))));
        assert_eq!(count(&catalog, &Filter::default()), 4);
    }
}

#[test]
fn each_filter_finds_what_it_says() {
    for (_place, catalog) in catalogs_of(120) {
        let all = Filter::default();
        let at = |s| Some(NOW.plus(seconds(s)));
        let time = Filter { from: at(10), to: at(13), ..all.clone() };
        assert_eq!(found(&catalog, &time), [10, 11, 12]);
        let just_after = Some(NOW.plus(seconds(10)).plus(Duration::from_nanos(1)));
        let time = Filter { from: just_after, to: just_after, ..all.clone() };
        assert_eq!(found(&catalog, &time), [0; 0]);
        let duration =
            Filter { duration_min: Some(57_000), duration_max: Some(58_000), ..all.clone() };
        assert_eq!(found(&catalog, &duration), [57, 58, 117, 118]);
        let incomplete = Filter { incomplete: true, to: at(35), ..all.clone() };
        assert_eq!(found(&catalog, &incomplete), [0, 10, 20, 30]);
        for call_id in ["42@example.com", "leg-42@example.com"] {
            let call_id = Filter { call_id: Some(call_id.into()), ..all.clone() };
            assert_eq!(found(&catalog, &call_id), [42]);
            assert_eq!(count(&catalog, &call_id), 1);
        }
        let inbound = Filter { direction: Some(Direction::Inbound), from: at(100), ..all.clone() };
        assert_eq!(found(&catalog, &inbound), [100, 104, 108, 112, 116]);
        let poor = Filter { mos_max: Some(1.2), ..all.clone() };
        assert_eq!(found(&catalog, &poor), [1, 2, 41, 42, 81, 82]);
        let gaps = Filter { gaps: true, ..all.clone() };
        assert_eq!(found(&catalog, &gaps), [0, 50, 100]);
        let huge =
            Filter { duration_min: Some(u64::MAX), from: Some(Timestamp::MAX), ..all.clone() };
        assert_eq!(found(&catalog, &huge), [0; 0]);
        assert_eq!(found(&catalog, &Filter { duration_max: Some(u64::MAX), ..all }).len(), 120);
    }
}

#[test]
fn a_party_is_found_by_number_and_address_in_any_case_with_wildcards() {
    for (_place, catalog) in catalogs_of(120) {
        let odd = Recording {
            caller_phone_number: "100%_a\\b".into(),
            from: Some("\"<x>\" <sips:100%25@[2001:db8::1]:5061>;tag=1".into()),
            to: Some("sip:Ärger@pbx.example".into()),
            ..recording(500)
        };
        catalog.insert([&odd]).unwrap();
        let party = |party: &str| {
            let filter = Filter { party: Some(party.into()), ..Filter::default() };
            let mut found = found(&catalog, &filter);
            found.truncate(4);
            found
        };
        assert_eq!(party("+33100000042"), [42]);
        assert_eq!(party("1042"), [42]);
        assert_eq!(party("+33100000042@carrier.EXAMPLE"), [42]);
        assert_eq!(party("sip:+33100000042@carrier.example"), [42]);
        assert_eq!(party("*0042@*"), [42]);
        assert_eq!(party("*0042*carrier*"), [42]);
        assert_eq!(party("1042@pbx.example"), [42]);
        assert_eq!(party("+3310000004*"), [40, 41, 42, 43]);
        assert_eq!(party("*@PBX.example"), [0, 1, 2, 3]);
        assert_eq!(party("*"), [0, 1, 2, 3]);
        assert_eq!(party("104"), [0; 0]);
        assert_eq!(party("caller 42"), [0; 0], "a display name is no address");
        assert_eq!(party("ärger@*"), [500]);
        // What SQL takes for wildcards or worse is only itself.
        assert_eq!(party("100%_a\\b"), [500]);
        assert_eq!(party("100%*"), [500]);
        assert_eq!(party("____"), [0; 0]);
        assert_eq!(party("100%25@[2001:db8::1]:5061"), [500]);
        assert_eq!(party("' OR 1=1 --"), [0; 0]);
        let long = Filter { party: Some("1".repeat(5_000)), ..Filter::default() };
        let error = catalog.count(&long).unwrap_err();
        assert!(
            matches!(&error, CatalogError::Asked(_)) && error.to_string().contains("at most 1024")
        );
    }
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_double() {
    for place in places("pages") {
        let catalog = Catalog::open(&place.database).unwrap();
        // Many that start in the same microsecond.
        let same_start =
            |n: u64| Recording { start_time: NOW.plus(seconds(n / 10)), ..recording(n) };
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
                Order::Earliest => paged.is_sorted_by_key(|r| r.start_time),
                Order::Latest => paged.iter().rev().is_sorted_by_key(|r| r.start_time),
            };
            assert!(sorted);
        }
        // The one that a page ended with is taken out: the next begins where it was.
        let first = catalog.find(&Filter::default(), Order::Latest, None, 8).unwrap();
        let cursor = Cursor::behind(&first[6]);
        catalog.delete(first[6].id).unwrap();
        let next = catalog.find(&Filter::default(), Order::Latest, Some(&cursor), 1).unwrap();
        assert_eq!(next, [first[7].clone()]);
        assert_eq!(catalog.find(&Filter::default(), Order::Latest, None, 0).unwrap(), []);
        let mut seen = 0;
        let stop_at_three = |_| {
            seen += 1;
            if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        catalog.each(&Filter::default(), Order::Earliest, None, stop_at_three).unwrap();
        assert_eq!(seen, 3);
    }
}

/// As in a capture file without times.
#[test]
fn thousands_that_start_at_the_same_time_are_all_there() {
    for place in places("same") {
        let catalog = Catalog::open(&place.database).unwrap();
        let all: Vec<_> =
            (0..3_000).map(|n| Recording { start_time: NOW, ..recording(n) }).collect();
        all.chunks(700).for_each(|batch| catalog.insert(batch).unwrap());
        let filter =
            Filter { from: Some(NOW), to: Some(NOW.plus(seconds(1))), ..Filter::default() };
        let found = catalog.find(&filter, Order::Latest, None, usize::MAX).unwrap();
        let ids: std::collections::BTreeSet<_> =
            found.iter().map(|recording| recording.id).collect();
        assert_eq!((ids.len(), found.len()), (3_000, 3_000));
    }
}

#[test]
fn ids_are_resolved_by_their_beginning() {
    for (_place, catalog) in catalogs_of(3) {
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
            assert!(
                matches!(catalog.resolve(nothing), Err(CatalogError::NotFound(_))),
                "{nothing}"
            );
        }
    }
}

#[test]
fn a_hundred_thousand_recordings_are_found_like_few() {
    for place in places("many") {
        let catalog = Catalog::open(&place.database).unwrap();
        for batch in 0..100 {
            let batch: Vec<_> = (batch * 1_000..(batch + 1) * 1_000).map(recording).collect();
            catalog.insert(&batch).unwrap();
        }
        let at_least = |filter: &Filter| catalog.count(filter).unwrap();
        let all = at_least(&Filter::default());
        assert!(!all.exact && all.count == 2_000, "{all:?}");
        let incomplete = at_least(&Filter { incomplete: true, ..Filter::default() });
        assert!(!incomplete.exact && incomplete.count == 2_000, "{incomplete:?}");
        let party = |party: &str| Filter { party: Some(party.into()), ..Filter::default() };
        assert_eq!(found(&catalog, &party("+331000099999")), [99_999]);
        assert_eq!(count(&catalog, &party("1042")), 1_000);
        assert_eq!(count(&catalog, &party("*77777@*")), 1);
        let call_id = Filter { call_id: Some("leg-54321@example.com".into()), ..Filter::default() };
        assert_eq!(found(&catalog, &call_id), [54_321]);
        let latest = catalog.find(&Filter::default(), Order::Latest, None, 3).unwrap();
        assert_eq!(latest, [99_999, 99_998, 99_997].map(recording));
        let both = Filter { from: Some(NOW.plus(seconds(99_900))), ..party("10*") };
        assert_eq!(found(&catalog, &both), (99_900..100_000).collect::<Vec<_>>());
        // Common things that are rare together: 10 %, 1 % and 2.5 %.
        let rare = Filter { incomplete: true, mos_max: Some(1.1), ..party("1041") };
        assert_eq!(found(&catalog, &rare), [0; 0]);
        let rare = Filter { mos_max: Some(1.1), ..party("1041") };
        assert_eq!(
            found(&catalog, &rare),
            (0..100_000).filter(|n| n % 200 == 41).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_file_that_is_no_catalog_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let error = |path: &Path| Catalog::open_existing(&path.into()).unwrap_err();
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
    let foreign = error(&path);
    assert!(matches!(foreign, CatalogError::Database(DatabaseError::Foreign(_))), "{foreign}");
    fs::remove_file(&path).unwrap();
    drop(Catalog::open(&path.as_path().into()).unwrap());
    let later = "INSERT INTO schema_steps (component, step) VALUES ('catalog', 3)";
    Connection::open(&path).unwrap().execute_batch(later).unwrap();
    let newer = error(&path);
    assert!(
        matches!(newer, CatalogError::Database(DatabaseError::Newer { found: 3, .. })),
        "{newer}"
    );
    assert!(newer.to_string().contains("newer program"), "{newer}");
    let nowhere =
        Catalog::open(&DatabasePlace::File(dir.path().join("no/such/catalog.db"))).unwrap_err();
    assert!(matches!(nowhere, CatalogError::NotWritable { .. }), "{nowhere}");
}

#[test]
fn a_damaged_page_is_an_error_that_names_the_way_out() {
    let (place, catalog) = file_of(2_000);
    drop(catalog);
    let DatabasePlace::File(path) = &place.database else { panic!() };
    let mut bytes = fs::read(path).unwrap();
    let len = bytes.len();
    bytes[8_192..len - 8_192].fill(0xA5);
    fs::write(path, bytes).unwrap();
    let result = Catalog::open_existing(&place.database)
        .and_then(|catalog| catalog.find(&Filter::default(), Order::Latest, None, usize::MAX));
    let error = result.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("`spanreel list --rebuild`"), "{error}");
}

#[test]
fn readers_and_writers_share_the_catalog() {
    for (place, one) in catalogs_of(10) {
        let reader = Catalog::open_existing(&place.database).unwrap();
        assert_eq!(count(&reader, &Filter::default()), 10);
        one.insert([&recording(10)]).unwrap();
        assert_eq!(count(&reader, &Filter::default()), 11);
        assert_eq!(reader.get(recording(10).id).unwrap(), recording(10));
        // Several nodes at once, some of them with the same.
        std::thread::scope(|scope| {
            for node in 0..4 {
                let catalog = Catalog::open_existing(&place.database).unwrap();
                scope.spawn(move || {
                    for batch in 0..5 {
                        let from = 20 + batch * 10 + node * 5;
                        let batch: Vec<_> = (from..from + 10).map(recording).collect();
                        catalog.insert(&batch).unwrap();
                    }
                });
            }
        });
        let expected: Vec<u64> = (0..11).chain(20..85).collect();
        assert_eq!(found(&one, &Filter::default()), expected);
    }
}

#[test]
fn a_server_without_our_tables_has_no_catalog() {
    let Some(place) =
        places("empty").pop().filter(|p| matches!(p.database, DatabasePlace::Postgres(_)))
    else {
        return;
    };
    let missing = Catalog::open_existing(&place.database).unwrap_err();
    assert!(missing.needs_rebuild() && missing.to_string().contains("--rebuild"), "{missing}");
    drop(Catalog::open(&place.database).unwrap());
    Catalog::open_existing(&place.database).unwrap();
}

/// What an earlier release wrote: SQLite's first version, with a hundred recordings.
#[test]
fn a_catalog_of_an_earlier_release_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("catalog_1.sql")).unwrap();
    for (number, recording) in (1..).zip((0..1_200).map(recording)) {
        let row = "INSERT INTO recordings VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, NULL)";
        let start = recording.start_time.as_nanos() / 1_000;
        old.execute(
            row,
            rusqlite::params![
                number,
                recording.id.to_string(),
                start as i64,
                recording.duration as i64,
                recording.complete,
                recording.caller_phone_number,
                recording.dialed_phone_number,
            ],
        )
        .unwrap();
        let json = serde_json::to_string(&recording).unwrap();
        old.execute("INSERT INTO documents VALUES (?1, ?2)", rusqlite::params![number, json])
            .unwrap();
        let call_id = recording.call_id;
        old.execute("INSERT INTO calls VALUES (?1, ?2)", rusqlite::params![call_id, number])
            .unwrap();
    }
    drop(old);
    let catalog = Catalog::open_existing(&path.as_path().into()).unwrap();
    assert_eq!(count(&catalog, &Filter::default()), 1_200);
    assert_eq!(found(&catalog, &Filter::default()), (0..1_200).collect::<Vec<_>>());
    let party = Filter { party: Some("*01199@carrier.example".into()), ..Filter::default() };
    assert_eq!(found(&catalog, &party), [1_199]);
    let leg = Filter { call_id: Some("leg-7@example.com".into()), ..Filter::default() };
    assert_eq!(found(&catalog, &leg), [7]);
    drop(catalog);
    let again = Catalog::open_existing(&path.as_path().into()).unwrap();
    assert_eq!(count(&again, &Filter::default()), 1_200);
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_1' ESCAPE '\\'";
    assert_eq!(again.database().query(tables, &[]).unwrap(), []);
}

/// The words of an earlier release led to less; here there are none at all.
#[test]
fn recordings_with_the_words_of_an_earlier_release_are_given_those_of_this_one() {
    for (place, catalog) in catalogs_of(600) {
        catalog.label(recording(7).id, "seen", true).unwrap();
        let database = catalog.database();
        let old = match place.database {
            DatabasePlace::File(_) => "DELETE FROM words",
            DatabasePlace::Postgres(_) => "UPDATE recordings SET words = '{}'",
        };
        database.execute(old, &[]).unwrap();
        let step = "DELETE FROM schema_steps WHERE component = 'catalog' AND step = 2";
        assert_eq!(database.execute(step, &[]).unwrap(), 1);
        drop(catalog);
        let catalog = Catalog::open_existing(&place.database).unwrap();
        let party = Filter {
            party: Some("+3310000059*".into()),
            direction: Some(Direction::Inbound),
            ..Filter::default()
        };
        assert_eq!(found(&catalog, &party), [592, 596]);
        let seen = Filter { labels: vec!["seen".into()], ..Filter::default() };
        assert_eq!(found(&catalog, &seen), [7]);
    }
}
