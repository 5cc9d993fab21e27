//! One capture file up to the durable, encrypted journal, beside tcpdump's copy of it: CPU seconds, in turn.
//!
//!     cargo bench -p benches --bench journal -- load.pcap
//!
//! A program of its own reads the file, demultiplexes it and journals every packet, as a capture core and the thread
//! behind its journal do; nothing is finished. At its end everything is encrypted, written and flushed. Whether it is
//! all there is then looked at by who measures, from the files alone.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base::{Outcome, Timestamp};
use benches::child::cpu_seconds;
use benches::machine;
use benches::spread::Spread;
use capture::{FileSource, Frame, Poll, Source as _, Taker};
use clap::Parser;
use journal::{Appender, Journal, JournalKey, SourceId, WriterOptions};
use rustix::time::{ClockId, clock_gettime};
use wiring::worker::{Seen, Surroundings, Worker};

/// The first word with which this program journals a file, and is measured.
const JOURNAL: &str = "journal-of";
/// What that writes beside the journal: how many packets of media are in it.
const TOLD: &str = "packets";
const LIMIT: Duration = Duration::from_secs(300);
/// As for a replay: how long the journal's thread sleeps, how many chunks may wait for it, and how long reading waits.
const NAP: Duration = Duration::from_millis(2);
const PENDING_MAX: usize = 4_096;
const PENDING_PAUSE: Duration = Duration::from_millis(1);

/// CPU seconds from a capture file to its durable journal.
#[derive(Debug, Parser)]
struct Options {
    /// The capture.
    file: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to write [default: the system's temporary folder].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match &*words {
        [first, file, folder] if first == JOURNAL => write(Path::new(file), Path::new(folder)),
        _ => measure(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let Some(file) = &options.file else {
        println!(
            "skipped: no capture; spanreel synth --calls 1000 --seconds 30 --to FILE writes one"
        );
        return Ok(());
    };
    let file = std::path::absolute(file)?.display().to_string();
    let (ourselves, tcpdump) = (std::env::current_exe()?, PathBuf::from("tcpdump"));
    let (mut journaled, mut copied, mut missing) = (Spread::default(), Spread::default(), None);
    let mut packets = 0;
    for _ in 0..options.rounds {
        let folder = folder(options)?;
        let to = folder.path().display().to_string();
        let words = [JOURNAL.to_owned(), file.clone(), to];
        journaled.add(cpu_seconds(&ourselves, &words, folder.path(), LIMIT)?);
        packets = check(folder.path())?;
        let folder = self::folder(options)?;
        let words = ["-n", "-Z", "root", "-r", &file, "-w", "copy.pcap"].map(str::to_owned);
        match cpu_seconds(&tcpdump, &words, folder.path(), LIMIT) {
            Ok(seconds) => copied.add(seconds),
            Err(why) => missing = Some(why),
        }
    }
    println!("{}", machine::described());
    println!("{file}; {} rounds in turn; CPU seconds: median [least-most]", options.rounds);
    println!("{:<20}{journaled:.2}; {packets} packets of media found in it", "durable journal");
    match missing {
        Some(why) => println!("skipped: tcpdump's copy: {why:#}"),
        None => println!(
            "{:<20}{copied:.2}; the journal takes {:.2} times as much",
            "tcpdump's copy",
            journaled.median() / copied.median().max(0.01)
        ),
    }
    Ok(())
}

fn folder(options: &Options) -> std::io::Result<tempfile::TempDir> {
    options.folder.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in)
}

/// Sees to it that every packet is in the journal's files, and gives their number.
fn check(folder: &Path) -> Result<u64> {
    let told: u64 = std::fs::read_to_string(folder.join(TOLD))?.parse()?;
    let recovered = open(folder)?.recover()?;
    let found: u64 = recovered.flows.iter().map(|flow| flow.summary.packets).sum();
    ensure!(recovered.damaged.is_empty(), "the journal is damaged: {:?}", recovered.damaged);
    ensure!(found == told && found > 0, "{told} packets were journaled, {found} are in the files");
    Ok(found)
}

fn open(folder: &Path) -> Result<Journal> {
    let key = JournalKey::load_or_create(&folder.join("key"))?;
    Ok(Journal::open(&folder.join("journal"), key, SourceId::default())?)
}

/// Reads and journals a file.
fn write(file: &Path, folder: &Path) -> Result<()> {
    let journal = open(folder)?;
    let options = WriterOptions { live: false, ..WriterOptions::default() };
    let (writer, appender) = journal.core(0, &options, now())?;
    let (mut reading, over) = (Reading { worker: Worker::new(writer) }, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| append(appender, &over));
        let read = reading.file(file);
        over.store(true, Ordering::Release);
        let appended = appending.join().map_err(|_| anyhow!("the journal's thread panicked"))?;
        read.and(appended)
    })?;
    let ledger = reading.worker.ledger();
    ensure!(ledger.balances(), "the ledger does not balance: {ledger}");
    let media = ledger.of(Outcome::Media);
    std::fs::write(folder.join(TOLD), media.to_string()).context(TOLD)
}

/// The journal's thread: writes what comes, flushes it a few times a second, and all of it at the end.
fn append(mut appender: Appender, over: &AtomicBool) -> Result<()> {
    loop {
        let last = over.load(Ordering::Acquire);
        let written = appender.write()?;
        appender.commit(now())?;
        if written.chunks == 0 && last {
            return Ok(appender.sync()?);
        }
        if written.chunks == 0 {
            std::thread::sleep(NAP);
        }
    }
}

/// A capture core that reads a file.
struct Reading {
    worker: Worker,
}

impl Reading {
    fn file(&mut self, file: &Path) -> Result<()> {
        let mut source = FileSource::open(file)?;
        while source.poll_ahead(self)? != Poll::End {
            while self.worker.journal().pending() > PENDING_MAX {
                std::thread::sleep(PENDING_PAUSE);
            }
        }
        self.worker.finish(&mut Alone);
        Ok(())
    }
}

impl Taker for Reading {
    #[inline]
    fn ahead(&mut self, frame: &Frame<'_>) {
        self.worker.ahead(frame);
    }

    #[inline]
    fn take(&mut self, frame: &Frame<'_>) {
        self.worker.frame(frame, &mut Alone);
    }
}

/// Nobody follows the calls; the disk is waited for.
struct Alone;

impl Surroundings for Alone {
    fn seen(&mut self, _: Seen<'_>) -> bool {
        true
    }

    fn wait_for_journal(&mut self) -> bool {
        std::thread::sleep(PENDING_PAUSE);
        true
    }
}

/// A clock for the journal's flushes.
fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Realtime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Timestamp::from_nanos(seconds * 1_000_000_000 + nanos)
}
