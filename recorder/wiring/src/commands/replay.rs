//! `spanreel replay`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::Outcome;
use base::ledger::Note;
use base::limits::{CHUNK_BYTES, CHUNKS_MAX};
use capture::pace::Pacer;
use journal::{Journal, JournalKey, SourceId, WriterOptions};
use media::{Layout, Params};
use seal::{Sha256Hasher, sha256};
use serde_json::{Value, json};

use super::Verdict;
use crate::alarms::Board;
use crate::cli::Replay as Arguments;
use crate::conductor::Conductor;
use crate::data_dir::{DataDir, node_name};
use crate::doctor::machine;
use crate::engine::Engine;
use crate::finish::{Finisher, Pool, Standing, Storage};
use crate::journal_thread::{Health, JournalThread};
use crate::replay::{CORE, Replay, Replayed};
use crate::telling::{OwnNumbers, Telling};
use crate::worker::Worker;
use crate::{clock, output, recovery};

/// How much of a file tells it from another; its size does the rest.
const FINGERPRINT_BYTES: u64 = 64 * 1024;
/// Buffers for media where memory is scarce: 64 MiB.
const CHUNKS_MIN: usize = 16_384;

pub(super) fn run(arguments: &Arguments) -> Result<Verdict> {
    super::end_with_parent(arguments.end_with_parent)?;
    let began = clock::instant();
    let source = source_id(&arguments.files)?;
    let data = DataDir::create(&arguments.out)?;
    let journal =
        Journal::open(&data.journal(), JournalKey::load_or_create(&data.journal_key())?, source)?;
    let storage = Storage::start(data.places()?, Arc::new(Standing::new(Board::new())))?;
    let conductor = |journals| conductor(arguments, &data, &journal, &storage, journals);
    recover(&journal, source, &conductor)?;
    let options = writer_options(machine::memory_available_bytes());
    let (writer, appender) = journal.core(CORE, &options, clock::now())?;
    let pacer = arguments.rate.map(Pacer::new);
    let journal_thread = JournalThread::start_giving_up(appender)?;
    let conductor = conductor(vec![journal_thread.health()])?;
    let replay = Replay::new(Worker::new(writer), journal_thread, conductor, pacer);
    let replayed = replay.run(&arguments.files)?;
    // Everything is stored: the journal has done its work.
    drop(journal);
    let key = JournalKey::load_or_create(&data.journal_key())?;
    Journal::open(&data.journal(), key, source)?.discard_earlier_runs()?;
    tell(&replayed, arguments, began.elapsed())?;
    for error in &replayed.errors {
        crate::output::say(format_args!("spanreel: {error:#}; what came before it is finished"));
    }
    Ok(if replayed.errors.is_empty() { Verdict::Done } else { Verdict::Bad })
}

/// Sees to what a killed run left in the journal. Was it a replay of these same files, nothing is needed: they
/// are read again, and recordings that it had finished are found by their ids. Anything else is finished first.
fn recover(
    journal: &Journal,
    source: SourceId,
    conductor: &impl Fn(Vec<Health>) -> Result<Conductor>,
) -> Result<()> {
    let recovered = journal.recover()?;
    if recovered.segments.iter().any(|segment| segment.header.source != source) {
        let mut conductor = conductor(Vec::new())?;
        recovery::run(recovered, &journal.reader(), &mut conductor)?;
        let (_, tally) = conductor.stop()?;
        crate::output::say(format_args!(
            "spanreel: an earlier run was stopped before its end; {} recordings were made of its journal",
            tally.recorded
        ));
    }
    journal.discard_earlier_runs()?;
    Ok(())
}

fn conductor(
    arguments: &Arguments,
    data: &DataDir,
    journal: &Journal,
    storage: &Arc<Storage>,
    journals: Vec<Health>,
) -> Result<Conductor> {
    let layout = if arguments.mono { Layout::Mono } else { Layout::Stereo };
    let media_file_limit = Duration::from_secs(60 * u64::from(arguments.media_file_minutes));
    let params = Params { layout, media_file_limit };
    let seals = if arguments.no_seal { None } else { Some(data.seals(&arguments.certificates)?) };
    let keys = (seals, data.signer()?);
    let finisher = Finisher::new(journal.reader(), params, keys, Arc::clone(storage), node_name())
        .with_telling(Telling {
            own_numbers: OwnNumbers::new(arguments.own_numbers.clone()),
            dtmf: arguments.dtmf,
        })
        .watching(journals);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Pool::new(finisher, Arc::clone(storage), threads)?;
    Ok(Conductor::new(Engine::new(true), pool))
}

/// What is not finished yet stays in memory, a quarter of what is free at most.
fn writer_options(memory_available_bytes: u64) -> WriterOptions {
    let chunks = usize::try_from(memory_available_bytes / 4).unwrap_or(usize::MAX) / CHUNK_BYTES;
    let chunks_max = chunks.clamp(CHUNKS_MIN, CHUNKS_MAX);
    WriterOptions { chunks_max, live: false, hold: true, ..WriterOptions::default() }
}

/// Tells one set of capture files from another, wherever they lie.
fn source_id(files: &[PathBuf]) -> Result<SourceId> {
    let mut all = Sha256Hasher::default();
    for path in files {
        all.update(&fingerprint(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(SourceId(all.finish().0))
}

fn fingerprint(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.take(FINGERPRINT_BYTES).read_to_end(&mut head)?;
    Ok([&size.to_le_bytes()[..], &sha256(&head).0].concat())
}

fn tell(replayed: &Replayed, arguments: &Arguments, took: Duration) -> Result<()> {
    if arguments.json {
        return output::line(as_json(replayed, arguments, took));
    }
    let Replayed { ledger, totals, tally, .. } = replayed;
    output::line(format_args!("{ledger}\n"))?;
    output::line(format_args!(
        "{} calls seen, {} answered; {} attempts without media",
        totals.calls, totals.answered, totals.attempts
    ))?;
    let sealed = if arguments.no_seal { ", NOT ENCRYPTED" } else { "" };
    output::line(format_args!(
        "{} recordings made ({} of them incomplete), {} were there already{sealed}; {:.1} s",
        tally.recorded,
        tally.incomplete,
        tally.already_there,
        took.as_secs_f64()
    ))?;
    output::line(format_args!("List them: spanreel list --data {}", arguments.out.display()))
}

fn as_json(replayed: &Replayed, arguments: &Arguments, took: Duration) -> Value {
    let Replayed { ledger, totals, tally, errors } = replayed;
    let outcomes: BTreeMap<_, _> = Outcome::ALL.iter().map(|o| (o.name(), ledger.of(*o))).collect();
    let notes: BTreeMap<_, _> = Note::ALL.iter().map(|n| (n.name(), ledger.noted(*n))).collect();
    json!({
        "framesReceived": ledger.received(),
        "ledgerBalances": ledger.balances(),
        "outcomes": outcomes,
        "notes": notes,
        "calls": totals.calls,
        "answered": totals.answered,
        "attempts": totals.attempts,
        "recordings": tally.recorded,
        "incomplete": tally.incomplete,
        "alreadyThere": tally.already_there,
        "sealed": !arguments.no_seal,
        "seconds": took.as_secs_f64(),
        "errors": errors.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>(),
    })
}
