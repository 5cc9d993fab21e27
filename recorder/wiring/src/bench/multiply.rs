//! `spanreel bench replay`: a customer's own capture at so many times its load, and whether every copy is recorded as
//! the original is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use seal::Sha256Hasher;
use serde::Serialize;
use store::{Catalog, Filter, Order};

use super::copies;
use super::feed::Feed;
use super::interrupt::Interrupt;
use super::ledger::Ledger;
use super::report::Report;
use super::rewrite::suffix;
use super::sender::Sent;
use super::sound::Listener;
use super::trial::{self, Used};
use super::{Output, busy, is_root};
use crate::commands::Verdict;
use crate::data_dir::{self, DataDir};

/// Arguments of `bench replay`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel bench replay monday.pcap --copies 50\n  \
                  spanreel bench replay monday.pcap --copies 200 --live --data /var/lib/spanreel\n\n\
                  Addresses, ports of media, SSRCs, Call-IDs, tags and branches of each copy are its own, in SIP and \
                  SDP too; of a\ncapture with SRTP the SSRCs stay, for the keys are theirs.\nWhat is in tunnels, fragments or TCP comes as plain datagrams.")]
pub(crate) struct Multiply {
    /// The capture (pcap or pcapng, plain, gzip or zstd).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Copies at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    copies: u32,
    /// Over a wire, at the pace at which it was captured; needs root, and no datagram above 1,472 bytes [default: from the file, as fast as it goes].
    #[arg(long)]
    live: bool,
    /// Receive queues of the recorded interface, and so capture threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    queues: u32,
    #[command(flatten)]
    output: Output,
}

/// Differences that are told in words.
const TOLD_MAX: usize = 20;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Multiplied {
    file: PathBuf,
    /// SHA-256 of the file.
    pub(super) corpus_sha256: String,
    copies: u32,
    /// Frames of all copies.
    frames: u64,
    /// Recordings of the file itself.
    original_recordings: u64,
    /// Recordings of the copies.
    recordings: u64,
    /// What was sent, if it was sent over a wire.
    sent: Option<Sent>,
    drops: BTreeMap<String, u64>,
    used: Used,
    pub(super) ledger: Ledger,
    load_average: f64,
    /// Why it is not passed; empty if it is.
    failures: Vec<String>,
}

/// Sound by call, side and content: how often it is there.
type Sounds = BTreeMap<(String, String), u64>;

/// Multiplies, records, compares, prints, reports.
///
/// # Errors
/// The file cannot be read, or what keeps it from being measured.
pub(super) fn run(arguments: &Multiply) -> Result<Verdict> {
    if arguments.live && !is_root() {
        bail!("--live needs root; without it, the copies are read from a file");
    }
    let interrupt = Interrupt::new()?;
    let folder = trial::work_folder(arguments.output.data.as_deref())?;
    let multiplied = measure(arguments, folder.path(), &interrupt)?;
    let verdict = if multiplied.failures.is_empty() { Verdict::Done } else { Verdict::Bad };
    let text = multiplied.told();
    let new = Report::new("replay", arguments.output.data.as_deref())?;
    arguments.output.give(&Report { replay: Some(multiplied), ..new }, &text)?;
    Ok(verdict)
}

fn measure(arguments: &Multiply, folder: &Path, interrupt: &Interrupt) -> Result<Multiplied> {
    let load_average = trial::load_average();
    let (once, many) = (folder.join("once"), folder.join("many"));
    for folder in [&once, &many] {
        std::fs::create_dir(folder)?;
    }
    let file = std::path::absolute(&arguments.file)?;
    let _ = trial::replay(&file, &once, &once.join("data"), interrupt)?;
    let (original_recordings, original) = sounds(&once.join("data"))?;
    let capture = folder.join("copies.pcap");
    let made = copies::make(&file, arguments.copies, &capture, interrupt)?;
    let (sent, ledger, used) = if arguments.live {
        let mut feed = Feed::start(&capture, made)?;
        feed.wait_until_ahead(interrupt)?;
        let wanted = original_recordings * u64::from(arguments.copies);
        let recorded = trial::record(&mut feed, wanted, arguments.queues, &many, interrupt)?;
        feed.finish()?;
        (Some(recorded.sent), recorded.ledger, recorded.used)
    } else {
        let (ledger, used) = trial::replay(&capture, &many, &many.join("data"), interrupt)?;
        (None, ledger, used)
    };
    let (recordings, copied) = sounds(&many.join("data"))?;
    let mut multiplied = Multiplied {
        file,
        corpus_sha256: sha256(&arguments.file)?,
        copies: arguments.copies,
        frames: made.frames,
        original_recordings,
        recordings,
        drops: ledger.drops(sent.as_ref()),
        sent,
        used,
        ledger,
        load_average,
        failures: Vec::new(),
    };
    multiplied.failures = multiplied.judge(&original, &copied);
    Ok(multiplied)
}

impl Multiplied {
    /// In words.
    pub(super) fn told(&self) -> String {
        let dropped: u64 = self.drops.values().sum();
        let balance = if self.ledger.balances() {
            "the ledger balances"
        } else {
            "THE LEDGER DOES NOT BALANCE"
        };
        let mut text = format!(
            "{} copies of {}: {} packets\nrecorded   {} recordings, of {} in the file\npackets    {dropped} dropped; \
         {balance}\nCPU        {:.2} s\nmemory     {} MiB at most\nmachine    {}",
            self.copies,
            self.file.display(),
            self.frames,
            self.recordings,
            self.original_recordings,
            self.used.cpu_seconds,
            self.used.memory_peak_kib / 1_024,
            busy(self.load_average),
        );
        match self.failures.as_slice() {
            [] => text += "\nPASSED     every copy sounds as the original does",
            failures => failures.iter().for_each(|why| text += &format!("\nFAILED     {why}")),
        }
        text
    }

    fn judge(&self, original: &Sounds, copied: &Sounds) -> Vec<String> {
        let mut failures: Vec<String> = self
            .drops
            .iter()
            .map(|(stage, count)| format!("{count} packets were dropped: {stage}"))
            .collect();
        let mut fail = |failed: bool, why: String| failures.extend(failed.then_some(why));
        let Self { copies, original_recordings, recordings, .. } = self;
        fail(!self.ledger.balances(), "the recorder's ledger does not balance".into());
        fail(
            self.sent.as_ref().is_some_and(|sent| !sent.kept_pace()),
            "the sender was at its limit".into(),
        );
        fail(
            *recordings != original_recordings * u64::from(*copies),
            format!("{recordings} recordings of {copies} copies of {original_recordings}"),
        );
        let different = differences(original, copied, *copies);
        for what in different.iter().take(TOLD_MAX) {
            fail(true, what.clone());
        }
        let more = different.len().saturating_sub(TOLD_MAX);
        fail(more > 0, format!("{more} more differences"));
        failures
    }
}

/// What is not there as often as there are copies.
fn differences(original: &Sounds, copied: &Sounds, copies: u32) -> Vec<String> {
    let mut different = Vec::new();
    for (sound, count) in original {
        let wanted = count * u64::from(copies);
        let found = copied.get(sound).copied().unwrap_or(0);
        if found != wanted {
            let call = &sound.0;
            different
                .push(format!("call {call}: the same sound is there {found} times, not {wanted}"));
        }
    }
    let others = copied.keys().filter(|sound| !original.contains_key(sound));
    different
        .extend(others.map(|sound| format!("call {}: a sound that the original has not", sound.0)));
    different
}

/// How many recordings a data folder has, and what one hears in them.
fn sounds(data: &Path) -> Result<(u64, Sounds)> {
    let data = DataDir::open(data)?;
    let (mut recordings, mut sounds) = (Vec::new(), Sounds::new());
    if data.has_catalog()? {
        let catalog = Catalog::open_existing(&data.catalog()?)?;
        catalog.each(&Filter::default(), Order::Earliest, None, |recording| {
            recordings.push(recording);
            ControlFlow::Continue(())
        })?;
    }
    let listener = Listener::new(data)?;
    for recording in &recordings {
        let id = recording.call_id.as_deref().unwrap_or("without signalling");
        for sound in listener.digests(recording)? {
            *sounds.entry((original_id(id), sound)).or_default() += 1;
        }
    }
    Ok((recordings.len() as u64, sounds))
}

/// The Call-ID that a copy's was made from.
fn original_id(id: &str) -> String {
    let end = id.rfind(suffix(0).trim_end_matches('0'));
    end.and_then(|end| id.get(..end)).unwrap_or(id).to_owned()
}

fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256Hasher::default();
    hash.update(&data_dir::read(path)?);
    Ok(hash.finish().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_call_is_known_by_its_original() {
        assert_eq!(original_id("7@host-copy12"), "7@host");
        assert_eq!(original_id("7@host"), "7@host");
        assert_eq!(original_id("a-copyist-copy3"), "a-copyist");
    }

    #[test]
    fn every_sound_must_be_there_as_often_as_there_are_copies() {
        let sounds = |of: &[(&str, &str, u64)]| -> Sounds {
            of.iter()
                .map(|(call, sound, count)| (((*call).into(), (*sound).into()), *count))
                .collect()
        };
        let original = sounds(&[("a", "x", 1), ("b", "y", 2)]);
        assert!(differences(&original, &sounds(&[("a", "x", 3), ("b", "y", 6)]), 3).is_empty());
        assert_eq!(differences(&original, &sounds(&[("a", "x", 3), ("b", "y", 5)]), 3).len(), 1);
        assert_eq!(differences(&original, &sounds(&[("a", "z", 3), ("b", "y", 6)]), 3).len(), 2);
    }
}
