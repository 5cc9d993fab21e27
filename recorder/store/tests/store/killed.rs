//! A process, or a database server, that is killed while it writes the catalog: what was said to be in it is in it, and
//! nothing is in it by half.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::recording::Recording;
use store::{Catalog, DatabasePlace, Filter, Order, PostgresSettings};

use crate::places::settings;
use crate::sample::{self, NOW};

/// Set for the process that is killed: the file, or the settings of the server.
const PLACE: &str = "STORE_KILLED_TEST_PLACE";
/// Recordings entered at once; two of them are of the batch before.
const BATCH: u64 = 12;
const ROUNDS: u64 = 8;

/// As entered by the batch `edition`, which all of them say.
fn recording(number: u64, edition: u64) -> Recording {
    Recording { dialed_phone_number: format!("edition{edition}"), ..sample::recording(number) }
}

fn batch(edition: u64) -> Vec<Recording> {
    let first = (edition * 10).saturating_sub(2);
    (first..first + BATCH).map(|number| recording(number, edition)).collect()
}

/// Not a test of its own: enters batches, and labels one of each, from the batch that `PLACE` says, until it is killed.
#[test]
fn writer() {
    let Some(told) = std::env::var(PLACE).ok() else { return };
    let mut told = told.split('\n').map(str::to_owned);
    let (from, url, password, ca) = (told.next(), told.next(), told.next(), told.next());
    let place = match (password, ca) {
        (Some(password), Some(ca)) => DatabasePlace::Postgres(PostgresSettings {
            url: url.unwrap(),
            password_file: Some(password.into()),
            ca: Some(ca.into()),
        }),
        _ => DatabasePlace::File(url.unwrap().into()),
    };
    let catalog = Catalog::open(&place).unwrap();
    for edition in from.unwrap().parse::<u64>().unwrap().. {
        let batch = batch(edition);
        if catalog.insert(&batch).is_err() {
            return; // the server was killed
        }
        println!("entered {edition}");
        if catalog.label(batch[5].id, "seen", true).is_err() {
            return;
        }
        println!("labelled {edition}");
    }
}

fn start(place: &str, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::writer", "--nocapture"])
        .env(PLACE, format!("{from}\n{place}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it has said something, then a moment; kills; what was entered and labelled last, as far as was said.
fn kill(mut child: Child, round: u64, kill: impl FnOnce(&mut Child)) -> [Option<u64>; 2] {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = [None; 2];
    let mut hear = |line: String| {
        for (place, word) in ["entered ", "labelled "].iter().enumerate() {
            if let Some(edition) = line.strip_prefix(word) {
                said[place] = edition.parse().ok();
            }
        }
    };
    for line in lines.by_ref() {
        let begun = line.starts_with("entered ");
        hear(line);
        if begun {
            break;
        }
    }
    std::thread::sleep(Duration::from_micros(500 + round * 2_300 % 9_000));
    kill(&mut child);
    lines.for_each(hear);
    child.wait().unwrap();
    said
}

/// Looks at everything; the first batch that was not entered.
fn check(place: &DatabasePlace, entered: u64, labelled: &[u64]) -> u64 {
    let catalog = Catalog::open_existing(place).unwrap();
    let all = catalog.find(&Filter::default(), Order::Earliest, None, usize::MAX).unwrap();
    let numbers: Vec<u64> = all.iter().map(|one| one.start_time.since(NOW).as_secs()).collect();
    let editions = (all.len() as u64 - BATCH + 2) / 10 + 1;
    assert!(editions > entered, "what was said to be entered is there");
    // Whole batches only, the last edition of each recording, and each to be found by every way there is.
    let last = |number: u64| ((number + 2) / 10).min(editions - 1);
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>());
    for (number, one) in (0..).zip(&all) {
        let entered = recording(number, last(number));
        assert_eq!(one.id, entered.id);
        assert_eq!(one.dialed_phone_number, entered.dialed_phone_number);
    }
    for edition in 0..editions {
        let party = Some(format!("edition{edition}"));
        let filter = Filter { party, ..Filter::default() };
        let expected: Vec<_> = all
            .iter()
            .filter(|one| Some(&one.dialed_phone_number) == filter.party.as_ref())
            .collect();
        let found = catalog.find(&filter, Order::Earliest, None, 100).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert_eq!(catalog.count(&filter).unwrap().count, expected.len() as u64);
        let call_id = expected[0].legs[0].call_id.clone();
        let filter = Filter { call_id: Some(call_id), ..Filter::default() };
        let found = catalog.find(&filter, Order::Earliest, None, 100).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected[..1]);
    }
    let seen = Filter { labels: vec!["seen".into()], ..Filter::default() };
    let seen = catalog.find(&seen, Order::Earliest, None, usize::MAX).unwrap();
    let ids: Vec<_> = all.iter().map(|one| one.id).collect();
    let said = catalog.annotations(&ids).unwrap();
    assert_eq!(seen.len(), said.len(), "who has the label is found by it");
    assert!(seen.iter().all(|one| said[&one.id].labels == ["seen"]));
    assert!(labelled.iter().all(|edition| said.contains_key(&batch(*edition)[5].id)));
    editions
}

fn rounds(
    place: &DatabasePlace,
    told: &str,
    mut killing: impl FnMut(&mut Child),
    mut after: impl FnMut(),
) {
    let (mut next, mut labelled) = (0, Vec::new());
    for round in 0..ROUNDS {
        let [entered, label] = kill(start(told, next), round, &mut killing);
        after();
        labelled.extend(label);
        next = check(place, entered.unwrap(), &labelled);
    }
    println!("{ROUNDS} kills, {next} batches, {} said to be labelled", labelled.len());
}

#[test]
fn a_process_that_is_killed_leaves_whole_batches() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("catalog.db");
    let kill = |child: &mut Child| child.kill().unwrap();
    rounds(&DatabasePlace::File(path.clone()), path.to_str().unwrap(), kill, || ());
    let Some(server) = test_postgres::shared() else { return };
    let database = server.database("killed");
    let name = database.url.rsplit('/').next().unwrap().split('?').next().unwrap();
    // What the server was told last may be under way still.
    let is_busy = || {
        let others = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        server.sql(name, others).unwrap() != "0"
    };
    let settle = || {
        while is_busy() {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let settings = settings(&database);
    rounds(&DatabasePlace::Postgres(settings.clone()), &told(&settings), kill, settle);
}

#[test]
fn a_server_that_is_killed_leaves_whole_batches() {
    let server = match test_postgres::Server::start() {
        Ok(server) => std::cell::RefCell::new(server),
        Err(why) => return println!("skipped: {why}"),
    };
    let settings = settings(&server.borrow().database("killed"));
    let kill = |_: &mut Child| server.borrow_mut().stop();
    let again = || server.borrow_mut().start_again();
    rounds(&DatabasePlace::Postgres(settings.clone()), &told(&settings), kill, again);
}

fn told(settings: &PostgresSettings) -> String {
    let path = |path: &Option<std::path::PathBuf>| path.clone().unwrap().display().to_string();
    [settings.url.clone(), path(&settings.password_file), path(&settings.ca)].join("\n")
}
