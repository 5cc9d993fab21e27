//! What is left after a power cut, held against what had been on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::recording::Recording;
use base::{Side, Timestamp};
use wiring::synth::{SideTruth, Truth};

use super::wire::Sent;
use crate::audio::{self, Audio, Sound};
use crate::harness;
use crate::rtp::{self, Rtp, StreamKey};

/// What a power cut may cost.
const LOSS_MAX: Duration = Duration::from_secs(1);

/// What was on the wire, and what happened meanwhile.
pub(super) struct Story {
    pub(super) truths: Vec<Truth>,
    pub(super) packets: std::collections::HashMap<StreamKey, Vec<Rtp>>,
    pub(super) sent: Sent,
    pub(super) cut: Instant,
    /// The recorder was recording before the cut; again.
    pub(super) recorded_from: Option<Instant>,
    pub(super) recorded_again: Instant,
}

/// What was found.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) violations: Vec<String>,
    /// From the first packet that is missing to the cut, of the call for which that is longest.
    pub(super) worst_loss: Duration,
    pub(super) calls_checked: usize,
}

/// A recording with its sound.
struct Heard {
    recording: Recording,
    audio: Option<Audio>,
}

/// The ids of the recordings that the catalog lists; with `strict`, the folders must be the same.
pub(super) fn listed(
    data: &Path,
    verdict: &mut Verdict,
    strict: bool,
) -> BTreeMap<String, Recording> {
    let mut listed = BTreeMap::new();
    if !data.join("catalog.db").exists() {
        return listed;
    }
    let ran =
        harness::run(&["list".as_ref(), "--json".as_ref(), "--data".as_ref(), data.as_os_str()]);
    for line in ran.ok().out.lines() {
        let recording: Recording = serde_json::from_str(line).expect(line);
        if let Some(twice) = listed.insert(recording.id.to_string(), recording) {
            verdict.violations.push(format!("{} is listed twice", twice.id));
        }
    }
    let folders: BTreeSet<String> = harness::names(&data.join("recordings")).into_iter().collect();
    let rows: BTreeSet<String> = listed.keys().cloned().collect();
    let without_folder: Vec<_> = rows.difference(&folders).collect();
    if !without_folder.is_empty() {
        verdict.violations.push(format!("listed, but not there: {without_folder:?}"));
    }
    if strict && folders != rows {
        let others: Vec<_> = folders.difference(&rows).collect();
        verdict.violations.push(format!("there, but not listed: {others:?}"));
    }
    listed
}

/// Everything that must hold in the end. `scratch` is a folder for decrypted files.
pub(super) fn check(story: &Story, data: &Path, scratch: &Path, verdict: &mut Verdict) {
    let listed = listed(data, verdict, true);
    let verified = harness::run(&["verify".as_ref(), "--data".as_ref(), data.as_os_str()]);
    if verified.code != Some(0) {
        verdict.violations.push(format!("verify: {}{}", verified.out, verified.err));
    }
    let heard: Vec<Heard> = listed
        .into_values()
        .map(|recording| {
            let folder = export(data, scratch, &recording);
            let parts: Vec<_> =
                recording.media_files.iter().filter(|f| f.media_type == "audio/flac").collect();
            for part in &parts {
                flac_tests(&folder.join(part.path.trim_end_matches(".p7m")), verdict);
            }
            let audio = (!parts.is_empty()).then(|| Audio::read(&folder, &parts));
            Heard { recording, audio }
        })
        .collect();
    if let Some(any) = heard.first() {
        openssl_reads(data, scratch, &any.recording, verdict);
    }
    for truth in &story.truths {
        call(story, truth, &heard, verdict);
    }
}

fn export(data: &Path, scratch: &Path, recording: &Recording) -> PathBuf {
    let (id, to) = (recording.id.to_string(), scratch.join(recording.id.to_string()));
    let arguments = ["export".as_ref(), id.as_ref(), "--to".as_ref(), to.as_os_str()];
    harness::run(&[&arguments[..], &["--data".as_ref(), data.as_os_str()]].concat()).ok();
    to
}

fn flac_tests(file: &Path, verdict: &mut Verdict) {
    let ran = harness::program("flac", &["--test".as_ref(), "--silent".as_ref(), file.as_os_str()]);
    if ran.code != Some(0) {
        verdict.violations.push(format!("flac --test {}: {}", file.display(), ran.err));
    }
}

/// The metadata opens with stock OpenSSL, and is what `export` gives.
fn openssl_reads(data: &Path, scratch: &Path, recording: &Recording, verdict: &mut Verdict) {
    let folder = data.join("recordings").join(recording.id.to_string());
    let (sealed, key) = (folder.join("recording.json.p7m"), data.join("keys/recording.key"));
    let to = scratch.join("openssl.json");
    let (sealed, key, out) = (sealed.as_os_str(), key.as_os_str(), to.as_os_str());
    let fixed = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in"].map(AsRef::as_ref);
    let files = [sealed, "-inkey".as_ref(), key, "-out".as_ref(), out];
    let ran = harness::program("openssl", &[&fixed[..], &files[..]].concat());
    let exported = scratch.join(recording.id.to_string()).join("recording.json");
    if ran.code != Some(0) || harness::read(&to) != harness::read(&exported) {
        verdict.violations.push(format!("openssl cannot read {}: {}", recording.id, ran.err));
    }
}

/// One call: one recording, and in it every packet that must be.
fn call(story: &Story, truth: &Truth, heard: &[Heard], verdict: &mut Verdict) {
    let sources = truth.sides.each_ref().map(|side| side.source);
    let of_call: Vec<&Heard> = heard
        .iter()
        .filter(|heard| match &heard.recording.call_id {
            Some(id) => *id == truth.call_id,
            None => heard.recording.streams.iter().any(|s| sources.contains(&s.source)),
        })
        .collect();
    let invited = story.must_have(truth.start_time);
    verdict.calls_checked += 1;
    if invited && of_call.len() != 1 {
        let ids: Vec<_> = of_call.iter().map(|h| (h.recording.id, &h.recording.call_id)).collect();
        let count = ids.len();
        verdict.violations.push(format!("{}: {count} recordings, {ids:?}", truth.call_id));
    }
    for side in &truth.sides {
        sound(story, truth, side, &of_call, verdict);
    }
}

fn sound(
    story: &Story,
    truth: &Truth,
    side: &SideTruth,
    of_call: &[&Heard],
    verdict: &mut Verdict,
) {
    let ssrc = u32::from_str_radix(&side.ssrc[2..], 16).expect("a number");
    let Some(packets) = story.packets.get(&(side.source, side.destination, ssrc)) else { return };
    let packets = rtp::unique(packets).packets;
    let sounds: Vec<Sound> = packets
        .iter()
        .map(|packet| Sound {
            arrival: story.sent.wall(packet.time),
            timestamp: packet.timestamp,
            samples: packet.payload.iter().map(|code| side.codec.decode(*code)).collect(),
        })
        .collect();
    let channel = usize::from(side.side == Side::Callee);
    let mut times = vec![0; sounds.len()];
    for audio in of_call.iter().filter_map(|heard| heard.audio.as_ref()) {
        // A call without signalling does not know who called.
        let channel = if find(audio, channel, &sounds).iter().any(Option::is_some) {
            channel
        } else {
            1 - channel
        };
        let places = find(audio, channel, &sounds);
        for (times, place) in times.iter_mut().zip(&places) {
            *times += u32::from(place.is_some());
        }
        let places: Vec<_> = places.into_iter().flatten().collect();
        if places.is_empty() {
            continue;
        }
        if let Some(at) = audio::uncalled_for(audio, channel, &places) {
            let what = format!("{} {:?}: sound at {at} that nobody sent", truth.call_id, side.side);
            verdict.violations.push(what);
        }
    }
    for ((packet, times), sound) in packets.iter().zip(times).zip(&sounds) {
        let about = || format!("{} {:?} packet {}", truth.call_id, side.side, packet.sequence);
        if times > 1 && !is_even(&sound.samples) {
            verdict.violations.push(format!("{}: in {times} recordings", about()));
        }
        if times == 0 {
            missing(story, packet.time, about(), verdict);
        }
    }
}

fn missing(story: &Story, time: Timestamp, about: String, verdict: &mut Verdict) {
    let sent = story.sent.at(time);
    if story.recorded_from.is_some_and(|from| sent > from) && sent < story.cut {
        verdict.worst_loss = verdict.worst_loss.max(story.cut.duration_since(sent));
    }
    if story.must_have(time) {
        let age = story.cut.saturating_duration_since(sent);
        let side = if sent < story.cut { "before" } else { "after" };
        let since = sent.saturating_duration_since(story.cut);
        verdict
            .violations
            .push(format!("{about} is missing, sent {:?} {side} the cut", age.max(since)));
    }
}

impl Story {
    /// Whether the frame that was sent then has to be in a recording.
    fn must_have(&self, time: Timestamp) -> bool {
        let sent = self.sent.at(time);
        let before =
            self.recorded_from.is_some_and(|from| sent > from) && sent + LOSS_MAX < self.cut;
        before || sent > self.recorded_again
    }
}

/// Where each of `sounds` is: where its timestamp puts it behind the last one found, else wherever it comes next.
fn find(audio: &Audio, channel: usize, sounds: &[Sound]) -> Vec<Option<Range<usize>>> {
    let samples = &audio.channels[channel];
    let mut last: Option<(usize, u32)> = None;
    let mut places = Vec::with_capacity(sounds.len());
    for sound in sounds {
        let length = sound.samples.len();
        let is_at = |at: &usize| samples.get(*at..*at + length) == Some(&sound.samples[..]);
        let expected = last.and_then(|(at, timestamp)| {
            let units = i64::from(sound.timestamp.wrapping_sub(timestamp) as i32);
            usize::try_from(at as i64 + units).ok()
        });
        let from = last.map_or(0, |(at, _)| at + 1);
        // Silence is everywhere: it says nothing about a place.
        let anywhere = || (from..samples.len()).find(is_at).filter(|_| !is_even(&sound.samples));
        let at = expected.filter(is_at).or_else(anywhere);
        if let Some(at) = at {
            last = Some((at, sound.timestamp));
        }
        places.push(at.map(|at| at..at + length));
    }
    places
}

fn is_even(samples: &[i16]) -> bool {
    samples.iter().all(|sample| Some(sample) == samples.first())
}
