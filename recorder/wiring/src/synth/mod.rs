//! `spanreel synth`: a capture of concurrent calls whose every packet and sample is known.
//!
//! Takes a number of calls, a seed and what is to go wrong; gives a pcap file of correct SIP (RFC 3261),
//! SDP (RFC 8866), RTP and RTCP (RFC 3550) with G.711, or SRTP of it, and beside it the [`Truth`] about each call.
//! The same options give the same bytes on every machine and with any number of threads: each packet is a
//! function of the seed, the call, the side and its number, and [`Studio::payload`] gives it again.

mod chance;
mod frame;
mod g711;
mod making;
mod output;
mod plan;
mod sip;
mod slice;
mod srtp;
mod timeline;
mod truth;
mod voice;

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base::Side;
use clap::{Args, ValueEnum};

use output::Output;
use plan::{Call, PACKET_NANOS, Party, Plan};
use voice::Bank;

pub(crate) use making::Making;
pub(crate) use slice::Slice;
pub(crate) use timeline::Timeline;

pub use g711::Law;
pub use truth::{SideTruth, Truth, truth_path};
pub use voice::PACKET_SAMPLES;

/// Arguments of `synth`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  spanreel synth --calls 1000 --seconds 30 --to load.pcap\n  \
                        spanreel replay load.pcap --out /tmp/calls\n\n\
                        FILE.truth.jsonl says what a recorder should find, a JSON object a call.")]
pub struct Options {
    /// Calls, all at the same time.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub calls: u32,
    /// How long the parties of each call speak.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// What they speak in.
    #[arg(long, value_enum, default_value_t = Codecs::Mix)]
    pub codec: Codecs,
    /// What they say is encrypted: SRTP (AES_CM_128_HMAC_SHA1_80), with the keys in the SDP.
    #[arg(long)]
    pub srtp: bool,
    /// Another number, other calls; the same number, the same bytes.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub seed: u64,
    /// RTP packets that are lost, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub loss: f64,
    /// RTP packets that their successor overtakes, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub reorder: f64,
    /// RTP packets that come twice, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub duplicate: f64,
    /// RTP packets come up to so many milliseconds later than due.
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = |text: &str| within(text, 1_000.0))]
    pub jitter: f64,
    /// Seconds within which the calls begin.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = |text: &str| within(text, 86_400.0))]
    pub start_spread: f64,
    /// The capture to write (pcap, Ethernet, microseconds).
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the parties of the calls speak in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codecs {
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Either, call by call.
    Mix,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The capture.
    pub capture: PathBuf,
    /// The truth about it.
    pub truth: PathBuf,
    /// Calls in it.
    pub calls: u32,
    /// Frames in it.
    pub frames: u64,
    /// Bytes of the frames, without the file's own headers.
    pub bytes: u64,
    /// Milliseconds from the first frame to the last.
    pub duration: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (capture, truth) = (self.capture.display(), self.truth.display());
        let (megabytes, seconds) = (self.bytes as f64 / 1e6, self.duration as f64 / 1e3);
        let Self { calls, frames, .. } = self;
        writeln!(
            f,
            "{capture}: {calls} calls, {frames} packets, {megabytes:.1} MB, {seconds:.1} s"
        )?;
        write!(f, "{truth}: what is in them")
    }
}

/// Who speaks on one side of a call.
pub(crate) struct Speaker<'a> {
    bank: &'a Bank,
    party: Party,
    law: Law,
}

impl Speaker<'_> {
    /// As [`Studio::payload`].
    pub(crate) fn payload(&self, index: u32) -> [u8; PACKET_SAMPLES] {
        self.bank.render(&self.party.voice, self.law, index)
    }

    /// The RTP packet `index` as it is on the wire.
    pub(crate) fn packet(&self, index: u32) -> Vec<u8> {
        let header = frame::rtp_header(&self.party, self.law.payload_type(), index);
        let sound = self.payload(index);
        match self.party.protector() {
            None => [&header[..], &sound].concat(),
            Some(protector) => {
                let protected = self.party.protected(&protector, index, &header, &sound);
                [&header[..], &protected].concat()
            }
        }
    }
}

/// Makes the packets of the calls that some [`Options`] describe.
pub struct Studio {
    plan: Plan,
    bank: Bank,
}

impl Studio {
    /// For these options.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let plan = Plan::new(options);
        let bank = Bank::new(plan.chance());
        Self { plan, bank }
    }

    /// One side of call `call` (from 0).
    pub(crate) fn speaker(&self, call: u32, side: Side) -> Speaker<'_> {
        let call = self.plan.call(call);
        Speaker { bank: &self.bank, party: *call.party(side), law: call.law }
    }

    /// Whether what they say is encrypted.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.plan.srtp
    }

    /// The payload of packet `index` (from 0, in the order of sending) of one side of call `call` (from 0).
    #[must_use]
    pub fn payload(&self, call: u32, side: Side, index: u32) -> [u8; PACKET_SAMPLES] {
        self.render(&self.plan.call(call), side, index)
    }

    fn render(&self, call: &Call, side: Side, index: u32) -> [u8; PACKET_SAMPLES] {
        self.bank.render(&call.party(side).voice, call.law, index)
    }

    /// Which packets of `party` are due within `span`.
    fn packets_due(&self, party: &Party, span: &Range<u64>) -> Range<u32> {
        let before = |time: u64| {
            let count = time.saturating_sub(party.first_time).div_ceil(PACKET_NANOS);
            count.min(self.plan.packets.into()) as u32
        };
        before(span.start)..before(span.end)
    }

    /// Whether a later packet arrives before packet `index`, which arrives at `arrival`.
    fn is_overtaken(&self, party: &Party, index: u32, arrival: u64) -> bool {
        let rivals = self.packets_due(party, &(party.due(index) + 1..arrival));
        rivals
            .into_iter()
            .any(|rival| self.plan.fate(party, rival).arrival.is_some_and(|at| at < arrival))
    }
}

/// Writes the capture `to` and the truth beside it. Both get their names only when they are whole.
///
/// # Errors
/// If a file cannot be written.
pub fn write(options: &Options, to: &Path) -> anyhow::Result<Summary> {
    write_with(options, to, |_| {})
}

/// As [`write`]; `progress` is told now and then which share of the capture is written, 0 to 1.
///
/// # Errors
/// If a file cannot be written.
pub fn write_with(
    options: &Options,
    to: &Path,
    progress: impl FnMut(f64) + Send,
) -> anyhow::Result<Summary> {
    let hidden = with_suffix(to, ".part");
    let hidden_truth = truth_path(&hidden);
    let written = write_files(options, [&hidden, &hidden_truth], progress).and_then(|summary| {
        rename(&hidden_truth, &truth_path(to))?;
        rename(&hidden, to)?;
        Ok(Summary { capture: to.to_owned(), truth: truth_path(to), ..summary })
    });
    if written.is_err() {
        // Whatever went wrong is told; a file that was never made need not be removed.
        let _ = std::fs::remove_file(&hidden);
        let _ = std::fs::remove_file(&hidden_truth);
    }
    written
}

fn write_files(
    options: &Options,
    [capture, truth]: [&Path; 2],
    progress: impl FnMut(f64) + Send,
) -> anyhow::Result<Summary> {
    let mut making = Making::new(options);
    let span = making.span();
    let mut output = Output::create(capture, progress)?;
    // While one slice is written, the next is made.
    let (mut ready, mut next, mut more) = (Slice::default(), Slice::default(), true);
    while more {
        let (written, any) = rayon::join(|| output.write(&ready, &span), || making.next(&mut next));
        written.with_context(|| format!("cannot write {}", capture.display()))?;
        std::mem::swap(&mut ready, &mut next);
        more = any;
    }
    let summary = output.finish(capture, truth, options.calls)?;
    write_truth(&making.finish().0, truth)
        .with_context(|| format!("cannot write {}", truth.display()))?;
    Ok(summary)
}

fn write_truth(calls: &[Truth], to: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(to)?);
    for call in calls {
        serde_json::to_writer(&mut file, call)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::rename(from, to)
        .with_context(|| format!("cannot name {} {}", from.display(), to.display()))
}

/// A share of a hundred.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    within(text, 100.0)
}

fn within(text: &str, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number from 0 to {most} is wanted")),
    }
}

#[cfg(test)]
impl Options {
    /// So many calls, and everything else as it is without arguments.
    pub(crate) fn of(calls: u32, seconds: u32) -> Self {
        Self {
            calls,
            seconds,
            codec: Codecs::Mix,
            srtp: false,
            seed: 1,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            jitter: 0.0,
            start_spread: 3.0,
            to: PathBuf::new(),
            json: false,
        }
    }
}

#[cfg(test)]
mod tests;
