//! What is searched for: each kind with something else each time.

use anyhow::{Context as _, Result};
use base::recording::{Direction, Recording};
use store::{Catalog, Cursor, Filter, Order};

use crate::calls::{self, call_id, chance, extension, outer, start};

/// A kind of search.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What is asked among so many recordings, for the so-manieth time.
    filter: fn(u64, u64) -> Filter,
    order: Order,
    /// How many recordings a page has; `None`: they are counted.
    page: Option<usize>,
}

/// A page as the window asks for it.
const PAGE: usize = 50;
const LABELLED: u64 = 2_000;

impl Kind {
    const fn page(name: &'static str, filter: fn(u64, u64) -> Filter) -> Self {
        Self { name, filter, order: Order::Latest, page: Some(PAGE) }
    }

    const fn count(name: &'static str, filter: fn(u64, u64) -> Filter) -> Self {
        Self { page: None, ..Self::page(name, filter) }
    }

    /// Whether a search can go on behind a cursor.
    pub(crate) fn has_pages(&self) -> bool {
        self.page.is_some()
    }

    /// Asks, from the beginning or behind any recording; how many were found.
    pub(crate) fn ask(&self, on: &Catalog, rows: u64, round: u64, behind: bool) -> Result<usize> {
        let filter = (self.filter)(rows, round);
        let Some(limit) = self.page else { return Ok(usize::try_from(on.count(&filter)?.count)?) };
        let after = Cursor::behind(&calls::recording(chance(round ^ 0xC) % rows, rows));
        Ok(on.find(&filter, self.order, behind.then_some(&after), limit)?.len())
    }
}

/// Labels for some, evenly over the year.
pub(crate) fn prepare(catalog: &Catalog, rows: u64) -> Result<()> {
    for number in 0..LABELLED {
        let filter =
            Filter { call_id: Some(call_id(number * (rows / LABELLED))), ..Filter::default() };
        let found = catalog.find(&filter, Order::Latest, None, 1)?;
        let recording: &Recording = found.first().context("a recording that was entered")?;
        catalog.label(recording.id, if number % 10 == 0 { "complaint" } else { "seen" }, true)?;
    }
    Ok(())
}

fn party(party: String) -> Filter {
    Filter { party: Some(party), ..Filter::default() }
}

fn digits(round: u64, count: usize) -> String {
    format!("{:08}", chance(round ^ 0xD1) % 100_000_000).chars().take(count).collect()
}

/// A month of the year.
fn month(rows: u64, round: u64) -> Filter {
    let first = chance(round ^ 0x30) % 11 * (rows / 12);
    let (from, to) = (Some(start(first, rows)), Some(start(first + rows / 12, rows)));
    Filter { from, to, ..Filter::default() }
}

fn labelled(label: &str) -> Filter {
    Filter { labels: vec![label.into()], ..Filter::default() }
}

/// All kinds.
pub(crate) fn searches() -> Vec<Kind> {
    [by_time(), by_party(), by_what_it_was(), together(), counted()].into_iter().flatten().collect()
}

fn by_time() -> Vec<Kind> {
    vec![
        Kind::page("all", |_, _| Filter::default()),
        Kind { page: Some(200), ..Kind::page("all, 200 a page", |_, _| Filter::default()) },
        Kind::page("a month", month),
        Kind::page("Call-ID", |rows, round| {
            let call_id = Some(call_id(chance(round) % rows));
            Filter { call_id, ..Filter::default() }
        }),
    ]
}

fn by_party() -> Vec<Kind> {
    let six = |_, round| party(format!("*{}*", digits(round, 6)));
    vec![
        Kind::page("an outer number", |rows, round| party(outer(chance(round) % rows))),
        Kind::page("an extension", |_, round| party(extension(round))),
        Kind::page("a number that never called", |_, round| {
            party(format!("+44{}", digits(round, 8)))
        }),
        Kind::page("+336DDDD*", |_, round| party(format!("+336{}*", digits(round, 4)))),
        Kind::page("*DD*", |_, round| party(format!("*{}*", digits(round, 2)))),
        Kind::page("*DDD*", |_, round| party(format!("*{}*", digits(round, 3)))),
        Kind::page("*DDDD*", |_, round| party(format!("*{}*", digits(round, 4)))),
        Kind::page("*DDDDDD*", six),
        Kind { order: Order::Earliest, ..Kind::page("*DDDDDD*, earliest first", six) },
        Kind::page("*DDDDDD* of a month", |rows, round| {
            let party = Some(format!("*{}*", digits(round, 6)));
            Filter { party, ..month(rows, round) }
        }),
        Kind::page("*DDDD (end)", |_, round| party(format!("*{}", digits(round, 4)))),
        Kind::page("*@pbx.example (nearly all)", |_, _| party("*@pbx.example".into())),
        Kind::page("*nobody* (none)", |_, _| party("*nobody*".into())),
    ]
}

fn by_what_it_was() -> Vec<Kind> {
    vec![
        Kind::page("internal (15 %)", |_, _| Filter {
            direction: Some(Direction::Internal),
            ..Filter::default()
        }),
        Kind::page("over 20 minutes (0.1 %)", |_, _| Filter {
            duration_min: Some(1_200_000),
            ..Filter::default()
        }),
        Kind::page("over 1 minute (70 %)", |_, _| Filter {
            duration_min: Some(60_000),
            ..Filter::default()
        }),
        Kind::page("MOS at most 2 (0.1 %)", |_, _| Filter {
            mos_max: Some(2.0),
            ..Filter::default()
        }),
        Kind::page("incomplete (0.5 %)", |_, _| Filter { incomplete: true, ..Filter::default() }),
        Kind::page("gaps (2 %)", |_, _| Filter { gaps: true, ..Filter::default() }),
        Kind::page("a label (1,800)", |_, _| labelled("seen")),
        Kind::page("held (none)", |_, _| Filter { held: Some(true), ..Filter::default() }),
    ]
}

fn together() -> Vec<Kind> {
    vec![
        Kind::page("rare and rare: *DDD*, incomplete, MOS at most 3", |_, round| {
            let party = Some(format!("*{}*", digits(round, 3)));
            Filter { incomplete: true, mos_max: Some(3.0), party, ..Filter::default() }
        }),
        Kind::page("rare and common: incomplete, inbound, a month", |rows, round| {
            let direction = Some(Direction::Inbound);
            Filter { incomplete: true, direction, ..month(rows, round) }
        }),
        Kind::page("common and common: internal, *DDD*, under 10 s", |_, round| {
            let (party, direction) =
                (Some(format!("*{}*", digits(round, 3))), Some(Direction::Internal));
            Filter { party, direction, duration_max: Some(10_000), ..Filter::default() }
        }),
        Kind::page("common and common, none: internal, +336*", |_, _| {
            let direction = Some(Direction::Internal);
            Filter { direction, ..party("+336*".into()) }
        }),
        Kind::page("a label and *DD*", |_, round| {
            let party = Some(format!("*{}*", digits(round, 2)));
            Filter { party, ..labelled("complaint") }
        }),
        Kind::page("a label that nothing has", |_, _| labelled("nothing has it")),
    ]
}

fn counted() -> Vec<Kind> {
    vec![
        Kind::count("count: all", |_, _| Filter::default()),
        Kind::count("count: *DDD*", |_, round| party(format!("*{}*", digits(round, 3)))),
        Kind::count("count: *DDDDDD*", |_, round| party(format!("*{}*", digits(round, 6)))),
        Kind::count("count: internal", |_, _| Filter {
            direction: Some(Direction::Internal),
            ..Filter::default()
        }),
        Kind::count("count: incomplete, a month", |rows, round| Filter {
            incomplete: true,
            ..month(rows, round)
        }),
    ]
}
