//! What a search takes among ten million recordings, in SQLite and in PostgreSQL: median, 99th percentile and maximum,
//! in milliseconds of wall time, for each kind of search, from the beginning and behind any recording. A page is read
//! whole, with its documents.
//!
//! The recordings are made up, the same ones each time. Both databases lie in a folder that is removed at the end
//! unless it is to be kept; ten million recordings take some 12 GB in each, one after the other.
#![expect(clippy::print_stdout, reason = "it prints figures")]

mod asked;
mod calls;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use store::{Catalog, DatabasePlace, PostgresSettings};
use test_postgres::Server;

use self::asked::Kind;

/// Recordings entered at once.
const BATCH: u64 = 10_000;
/// Connections that enter them side by side into PostgreSQL.
const WRITERS: usize = 3;
/// The first that a server makes of those called `search`.
const DATABASE: &str = "search_0";

/// Milliseconds that searches take among many recordings.
#[derive(Debug, Parser)]
struct Options {
    /// How many recordings.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// How often each kind of search is made.
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// In which database; both without.
    #[arg(long)]
    database: Option<Engine>,
    /// Only the kinds whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the databases lie meanwhile.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Keeps them there, and measures those that an earlier run kept.
    #[arg(long)]
    keep: bool,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
}

fn main() -> Result<()> {
    let options = Options::parse();
    println!("{}; {} recordings", benches::machine::described(), options.rows);
    let wanted = |engine| options.database.is_none_or(|wanted| wanted == engine);
    if wanted(Engine::Sqlite) {
        sqlite(&options)?;
    }
    if wanted(Engine::Postgres) {
        postgres(&options)?;
    }
    Ok(())
}

/// Where a database lies: kept, or until this is dropped.
enum Place {
    Kept(PathBuf),
    Scratch(tempfile::TempDir),
}

impl Place {
    fn of(options: &Options) -> Result<Self> {
        match options.keep {
            true => {
                std::fs::create_dir_all(&options.folder)?;
                Ok(Self::Kept(options.folder.clone()))
            }
            false => Ok(Self::Scratch(tempfile::tempdir_in(&options.folder)?)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Kept(folder) => folder.join(name),
            Self::Scratch(folder) => folder.path().join(name),
        }
    }
}

/// Enters all, and says how long it took; unless the file `entered` says that it was done.
fn enter_once(name: &str, entered: &Path, enter: impl FnOnce() -> Result<u64>) -> Result<()> {
    match entered.exists() {
        true => println!("\n{name}: entered before"),
        false => {
            let (took, size) = timed(enter)?;
            println!(
                "\n{name}: entered in {:.0} s, {:.1} GB",
                took.as_secs_f64(),
                size as f64 / 1e9
            );
            std::fs::write(entered, "")?;
        }
    }
    Ok(())
}

fn sqlite(options: &Options) -> Result<()> {
    let place = Place::of(options)?;
    let path = place.path("catalog.db");
    let catalog = Catalog::open(&DatabasePlace::File(path.clone()))?;
    enter_once("SQLite", &place.path("sqlite-entered"), || {
        for from in (0..options.rows).step_by(BATCH as usize) {
            catalog.insert(&calls::range(from, options.rows.min(from + BATCH), options.rows))?;
        }
        asked::prepare(&catalog, options.rows)?;
        Ok(std::fs::metadata(&path)?.len())
    })?;
    measure(&catalog, options)
}

fn postgres(options: &Options) -> Result<()> {
    let settings = [
        "shared_buffers = '2GB'",
        "maintenance_work_mem = '2GB'",
        "max_wal_size = '1GB'",
        "synchronous_commit = off",
    ];
    let place = Place::of(options)?;
    let server = match options.keep {
        true => Server::start_kept(&place.path("postgres"), &settings),
        false => Server::start_in(Some(&options.folder), &settings),
    };
    let server = match server {
        Ok(server) => server,
        Err(why) => {
            println!("PostgreSQL skipped: {why}");
            return Ok(());
        }
    };
    let entered = place.path("postgres-entered");
    let database =
        if entered.exists() { server.existing(DATABASE) } else { server.database("search") };
    let catalog = Catalog::open(&DatabasePlace::Postgres(PostgresSettings {
        url: database.url,
        password_file: Some(database.password_file),
        ca: Some(database.ca),
    }))?;
    let sql = |statement: &str| server.sql(DATABASE, statement).map_err(|error| anyhow!(error));
    enter_once("PostgreSQL", &entered, || {
        // Ten million are entered once: the index is made of them all, as an import would do.
        sql("DROP INDEX recordings_by_words")?;
        enter_side_by_side(&catalog, options.rows)?;
        sql(
            "CREATE INDEX recordings_by_words ON recordings USING gin (words) WITH (fastupdate = off)",
        )?;
        asked::prepare(&catalog, options.rows)?;
        sql("VACUUM ANALYZE")?;
        Ok(sql("SELECT pg_database_size(current_database())")?.parse()?)
    })?;
    measure(&catalog, options)
}

fn enter_side_by_side(catalog: &Catalog, rows: u64) -> Result<()> {
    std::thread::scope(|scope| {
        let parts = (0..WRITERS).map(|part| {
            scope.spawn(move || -> Result<()> {
                let starts = (0..rows).step_by(BATCH as usize).skip(part).step_by(WRITERS);
                for from in starts {
                    catalog.insert(&calls::range(from, rows.min(from + BATCH), rows))?;
                }
                Ok(())
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().try_for_each(|part| {
            part.join().map_err(|_| anyhow!("a thread that enters recordings failed"))?
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed(), done))
}

fn measure(catalog: &Catalog, options: &Options) -> Result<()> {
    println!("{}", benches::machine::described());
    println!(
        "| search | found | p50 ms | p99 ms | max ms | behind a cursor: p50 ms | p99 ms | max ms |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let asked = asked::searches().into_iter().filter(|kind| kind.name.contains(&options.only));
    for kind in asked {
        let (found, first) = repeated(catalog, options, &kind, false)?;
        let behind = match kind.has_pages() {
            true => repeated(catalog, options, &kind, true)?.1,
            false => "- | - | -".to_owned(),
        };
        println!("| {} | {found:.0} | {first} | {behind} |", kind.name);
    }
    Ok(())
}

/// How many were found on average, and the times.
fn repeated(
    catalog: &Catalog,
    options: &Options,
    kind: &Kind,
    behind: bool,
) -> Result<(f64, String)> {
    let (mut times, mut found) = (Vec::new(), 0);
    // Not measured: what the first of a kind reads from the disk.
    for round in 0..5 {
        kind.ask(catalog, options.rows, 1_000_000 + round, behind)?;
    }
    for round in 0..options.rounds {
        let (took, one) = timed(|| kind.ask(catalog, options.rows, round, behind))?;
        times.push(took.as_secs_f64() * 1e3);
        found += one;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        times.get(place.clamp(1, times.len()) - 1).copied().unwrap_or_default()
    };
    let found = found as f64 / options.rounds as f64;
    Ok((found, format!("{:.1} | {:.1} | {:.1}", at(0.5), at(0.99), at(1.0))))
}
