//! What is kept, held against what was sent and taken.
//!
//! The files are read here from the disk's memory, past the recorder's own readers, so that looking is no step.

use std::collections::BTreeMap;
use std::path::Path;

use base::recording::Recording;
use hashbrown::HashMap;
use seal::{Manifest, manifest, sha256};
use wiring::synth::Law;

use crate::disk::MemoryDisk;
use crate::traffic::{Cargo, PACKET_SAMPLES, Traffic};

/// Samples by which a packet is known.
const MARK: usize = 8;
const METADATA: &str = "recording.json";

/// A recording as it lies in its folder.
#[derive(Debug)]
pub struct Kept {
    /// Its metadata.
    pub recording: Recording,
    /// Left, right.
    pub channels: [Vec<i16>; 2],
}

/// Every recording that is visible, by its folder's name. Each is whole: manifest, hashes, metadata, sound.
///
/// # Errors
/// What is wrong with one, in words.
pub fn kept(disk: &MemoryDisk, folder: &Path) -> Result<BTreeMap<String, Kept>, String> {
    let names = disk.peek_names(folder);
    let visible = names.into_iter().filter(|name| !name.starts_with('.'));
    visible.map(|name| Ok((name.clone(), read(disk, &folder.join(&name), &name)?))).collect()
}

fn read(disk: &MemoryDisk, folder: &Path, name: &str) -> Result<Kept, String> {
    let file =
        |file: &str| disk.peek(&folder.join(file)).ok_or_else(|| format!("{name} has no {file}"));
    let manifest = Manifest::from_json(&file(manifest::MANIFEST_NAME)?)
        .map_err(|error| format!("{name}: {error}"))?;
    file(manifest::SIGNATURE_NAME)?;
    for entry in &manifest.files {
        let bytes = file(&entry.name)?;
        if sha256(&bytes) != entry.sha256 {
            return Err(format!("{name}: {} is not what its manifest says", entry.name));
        }
    }
    let count = disk.peek_names(folder).len();
    if count != manifest.files.len() + 2 {
        return Err(format!(
            "{name} has {count} files, its manifest names {}",
            manifest.files.len()
        ));
    }
    let recording: Recording = serde_json::from_slice(&file(METADATA)?)
        .map_err(|error| format!("{name}: {METADATA}: {error}"))?;
    if recording.id.to_string() != name {
        return Err(format!("{name} says that it is {}", recording.id));
    }
    let mut channels = [Vec::new(), Vec::new()];
    for part in recording.media_files.iter().filter(|file| file.media_type == "audio/flac") {
        decode(&file(&part.path)?, &mut channels).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(Kept { recording, channels })
}

fn decode(flac: &[u8], channels: &mut [Vec<i16>; 2]) -> Result<(), claxon::Error> {
    let mut reader = claxon::FlacReader::new(flac)?;
    for (number, sample) in reader.samples().enumerate() {
        channels[number % 2].push(sample? as i16);
    }
    Ok(())
}

/// A packet: call, side, number.
type Packet = (usize, usize, usize);

/// What the wire had, to be looked up by its sound.
pub struct Wire<'a> {
    traffic: &'a Traffic,
    marks: HashMap<[u8; MARK], Packet>,
    /// How many samples of a packet are in the capture, where that is not all.
    cut: HashMap<Packet, usize>,
}

impl<'a> Wire<'a> {
    /// Of this traffic.
    #[must_use]
    pub fn new(traffic: &'a Traffic) -> Self {
        let mut marks = HashMap::new();
        for (call, sides) in traffic.calls.iter().map(|call| &call.sides).enumerate() {
            for (side, payloads) in sides.iter().map(|side| &side.payloads).enumerate() {
                for (index, payload) in payloads.iter().enumerate() {
                    let mark = payload.first_chunk().copied().unwrap_or_default();
                    marks.insert(mark, (call, side, index));
                }
            }
        }
        let mut cut = HashMap::new();
        for arrival in traffic.arrivals.iter().filter(|arrival| arrival.is_cut()) {
            if let Cargo::Rtp(call, side, index) = arrival.cargo {
                let missing = arrival.wire_bytes - arrival.bytes.len();
                cut.insert((call, side, index), PACKET_SAMPLES.saturating_sub(missing));
            }
        }
        Self { traffic, marks, cut }
    }

    /// Which packets are in these recordings, and how often. Unless the clock was set in between, each must be at
    /// its place in time.
    ///
    /// # Errors
    /// Sound that nobody sent, or that is somebody else's, or out of its place.
    pub fn packets(
        &self,
        kept: &BTreeMap<String, Kept>,
        in_time: bool,
    ) -> Result<HashMap<Packet, u32>, String> {
        let mut found = HashMap::new();
        for (name, kept) in kept {
            for channel in &kept.channels {
                let places = self.places(channel).map_err(|error| format!("{name}: {error}"))?;
                self.judge(name, &kept.recording, &places, in_time)?;
                for (packet, _) in places {
                    *found.entry(packet).or_default() += 1;
                }
            }
        }
        Ok(found)
    }

    /// The packets of a channel, and where they are.
    fn places(&self, channel: &[i16]) -> Result<Vec<(Packet, usize)>, String> {
        let codes: Vec<u8> = channel.iter().map(|sample| encode(*sample)).collect();
        let (mut places, mut at) = (Vec::new(), 0);
        while at < codes.len() {
            if channel[at] == 0 {
                at += 1;
                continue;
            }
            let mark = codes.get(at..at + MARK).and_then(|mark| mark.first_chunk());
            let packet = mark.and_then(|mark| self.marks.get(mark)).copied();
            let packet = packet.ok_or_else(|| format!("sound at {at} that nobody sent"))?;
            let (call, side, index) = packet;
            let payload = &self.traffic.calls[call].sides[side].payloads[index];
            let length = payload.iter().zip(&codes[at..]).take_while(|(a, b)| a == b).count();
            if length < PACKET_SAMPLES && self.cut.get(&packet) != Some(&length) {
                return Err(format!("{packet:?} at {at}: only {length} of its samples are right"));
            }
            places.push((packet, at));
            at += length;
        }
        Ok(places)
    }

    fn judge(
        &self,
        name: &str,
        recording: &Recording,
        places: &[(Packet, usize)],
        in_time: bool,
    ) -> Result<(), String> {
        for ((packet, at), (next, next_at)) in places.iter().zip(places.iter().skip(1)) {
            let apart = next.2.wrapping_sub(packet.2).wrapping_mul(PACKET_SAMPLES);
            if (packet.0, packet.1) != (next.0, next.1) {
                return Err(format!("{name}: {packet:?} and {next:?} in one channel"));
            }
            // What follows a packet that the capture cut comes sooner: it does not say how long it was.
            let is_cut = self.cut.contains_key(packet);
            if next_at - at != apart && in_time && !is_cut {
                return Err(format!("{name}: {packet:?} at {at}, but {next:?} at {next_at}"));
            }
        }
        let call = places.first().and_then(|(packet, _)| self.traffic.calls.get(packet.0));
        match (call, &recording.call_id) {
            (Some(call), Some(id)) if call.id != *id => {
                Err(format!("{name}: sound of {} in the recording of {id}", call.id))
            }
            _ => Ok(()),
        }
    }
}

/// The mu-law code of a sample that is one.
fn encode(sample: i16) -> u8 {
    static CODES: std::sync::OnceLock<HashMap<i16, u8>> = std::sync::OnceLock::new();
    let codes =
        CODES.get_or_init(|| (0..=u8::MAX).map(|code| (Law::Mu.decode(code), code)).collect());
    codes.get(&sample).copied().unwrap_or(0x7f)
}
