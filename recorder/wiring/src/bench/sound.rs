//! What is in a recording: both channels, sample for sample, by a decoder that is not Spanreel's own; and packets that
//! were kept as they were.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use base::Ledger;
use base::recording::{MediaFile, Recording};
use capture::file::Reader;
use capture::{Poll, Source as _};
use claxon::FlacReader;
use demux::{Demux, Guess, Packet};
use seal::{PrivateKey, Sha256Hasher, manifest};

use crate::data_dir::{self, DataDir};

const RTP_HEADER_BYTES: usize = 12;

/// Caller, callee.
pub(super) type Channels = [Vec<i16>; 2];

/// Opens the sound of a data folder's recordings.
pub(super) struct Listener {
    data: DataDir,
    key: PrivateKey,
}

impl Listener {
    /// With the folder's own key.
    pub(super) fn new(data: DataDir) -> Result<Self> {
        Ok(Self { key: data.private_key(None)?, data })
    }

    /// The main sound of a recording, all parts of it. Empty if it has none.
    pub(super) fn hear(&self, recording: &Recording) -> Result<Channels> {
        let mut channels = self.lane(recording, "audio")?.into_iter();
        match (channels.next(), channels.next(), channels.next()) {
            (None, ..) => Ok(Channels::default()),
            (Some(caller), Some(callee), None) => Ok([caller, callee]),
            _ => bail!("caller and callee are not apart"),
        }
    }

    /// What one hears on each channel of each lane, from the first sound to the last, and what was kept as packets, as
    /// hashes.
    pub(super) fn digests(&self, recording: &Recording) -> Result<Vec<String>> {
        let lanes: BTreeSet<&str> = recording.media_files.iter().map(lane).collect();
        let mut digests = Vec::new();
        for lane in lanes {
            for (number, channel) in self.lane(recording, lane)?.iter().enumerate() {
                digests.push(format!("{lane} {number} {}", sha256(sounding(channel))));
            }
        }
        if recording.media_files.iter().any(is_packets) {
            let mut packets = self.packets(recording)?;
            // Packets of one moment have no order.
            packets.sort_unstable_by(|one, other| one.content().cmp(other.content()));
            let mut hash = Sha256Hasher::default();
            packets.iter().for_each(|packet| hash.update(packet.content()));
            digests.push(format!("packets {} {}", packets.len(), hash.finish()));
        }
        Ok(digests)
    }

    /// The RTP packets that were kept as they were, in the order of the file.
    pub(super) fn packets(&self, recording: &Recording) -> Result<Vec<Rtp>> {
        let (mut packets, mut demux, mut ledger) = (Vec::new(), Demux::new(), Ledger::default());
        for part in recording.media_files.iter().filter(|file| is_packets(file)) {
            let plain = self.open(recording, part)?;
            let mut source = Reader::new(&part.media_id, plain.as_slice())?;
            let mut take = |_, packet: Packet<'_>| {
                if let Packet::Udp { guess: Guess::Rtp, payload, .. } = packet {
                    packets.push(Rtp(payload.to_vec()));
                }
            };
            let mut poll = || {
                source.poll(&mut |frame| {
                    // What is none is not counted as one either.
                    let _ = demux.frame(&frame, &mut ledger, &mut take);
                })
            };
            while poll()? != Poll::End {}
        }
        Ok(packets)
    }

    /// All parts of a lane, one after the other.
    fn lane(&self, recording: &Recording, wanted: &str) -> Result<Vec<Vec<i16>>> {
        let audio = recording.media_files.iter().filter(|file| file.channels > 0);
        let mut channels = Vec::new();
        for part in audio.filter(|file| lane(file) == wanted) {
            let plain = self.open(recording, part)?;
            decode(&plain, &mut channels).with_context(|| part.path.clone())?;
        }
        Ok(channels)
    }

    /// A file, decrypted if it is sealed.
    fn open(&self, recording: &Recording, file: &MediaFile) -> Result<Vec<u8>> {
        let folder = self.data.recordings().join(recording.id.to_string());
        let path = folder.join(&file.path);
        let stored = data_dir::read(&path)?;
        if !file.path.ends_with(manifest::SEALED_SUFFIX) {
            return Ok(stored);
        }
        let plain = seal::open(&stored, &self.key);
        Ok(plain.with_context(|| path.display().to_string())?.to_vec())
    }
}

/// An RTP packet (RFC 3550, 5.1).
pub(super) struct Rtp(pub(super) Vec<u8>);

impl Rtp {
    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What is behind the fixed header.
    pub(super) fn content(&self) -> &[u8] {
        self.0.get(RTP_HEADER_BYTES..).unwrap_or_default()
    }
}

fn is_packets(file: &MediaFile) -> bool {
    file.channels == 0 && lane(file) == "packets"
}

/// `audio.flac` and `audio.part2.flac` are of one lane, `audio-2.flac` of another.
fn lane(file: &MediaFile) -> &str {
    file.media_id.split('.').next().unwrap_or_default()
}

/// Without the silence around it.
fn sounding(channel: &[i16]) -> &[i16] {
    let is_sound = |sample: &i16| *sample != 0;
    let first = channel.iter().position(is_sound).unwrap_or(channel.len());
    let last = channel.iter().rposition(is_sound).map_or(first, |last| last + 1);
    channel.get(first..last).unwrap_or_default()
}

/// Of samples of 16 bits, little-endian.
fn sha256(samples: &[i16]) -> String {
    let mut hash = Sha256Hasher::default();
    for part in samples.chunks(4_096) {
        let bytes: Vec<u8> = part.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        hash.update(&bytes);
    }
    hash.finish().to_string()
}

/// Appends a FLAC file's samples.
fn decode(flac: &[u8], to: &mut Vec<Vec<i16>>) -> Result<()> {
    let mut reader = FlacReader::new(flac)?;
    to.resize_with(reader.streaminfo().channels as usize, Vec::new);
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Some(block) = blocks.read_next_or_eof(buffer)? {
        for (number, channel) in (0..).zip(to.iter_mut()) {
            let samples = block.channel(number);
            channel.extend(samples.iter().map(|sample| i16::try_from(*sample).unwrap_or(i16::MAX)));
        }
        buffer = block.into_buffer();
    }
    Ok(())
}
