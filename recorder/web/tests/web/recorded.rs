//! Recordings as the recorder makes them: packets, finished, sealed, signed, published.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::recording::Recording;
use base::{Domain, Endpoint, FlowKey, Formats, MediaPacket, RecordingId, Side, Timestamp};
use media::{CallInput, Finished, FlowInput, Params};
use seal::keys::{Algorithm, Purpose, create};
use seal::{Certificate, Manifest, PrivateKey, Recipient, Sealer, Signer, manifest};
use serde_json::json;
use store::{Existing, METADATA_NAME, Recordings};
use web::app::Settings;

use crate::rig::now;

const START: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);
/// Samples in a packet.
const PACKET: usize = 160;
const PCMU: u8 = 0;
const G729: u8 = 18;

/// What recordings are sealed and signed with.
pub(crate) struct Keys {
    key: Arc<PrivateKey>,
    node: Certificate,
    sealer: Sealer,
    signer: Signer,
}

/// A recording in a folder.
pub(crate) struct Recorded {
    pub(crate) id: RecordingId,
    pub(crate) folder: PathBuf,
    /// Name and plain content of each media file.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let (from, until) =
            (now().minus(Duration::from_secs(86_400)), now().plus(Duration::from_secs(86_400)));
        let recording = create(Purpose::Recording, Algorithm::P256, from, until).unwrap();
        let certificate = Certificate::parse(recording.certificate.as_bytes()).unwrap();
        let node = create(Purpose::Node("span1"), Algorithm::P256, from, until).unwrap();
        let node_certificate = Certificate::parse(node.certificate.as_bytes()).unwrap();
        Self {
            key: Arc::new(PrivateKey::parse(recording.private_key.as_bytes()).unwrap()),
            sealer: Sealer::new(vec![Recipient::new(certificate).unwrap()]).unwrap(),
            signer: Signer::new(node.private_key.as_bytes(), node_certificate.clone()).unwrap(),
            node: node_certificate,
        }
    }

    /// A server that opens what is sealed with these.
    pub(crate) fn serve_with(&self, settings: &mut Settings) {
        settings.recording_key = Some(Arc::clone(&self.key));
        settings.node_certificates.push(self.node.clone());
    }

    /// A call of so many seconds, in files of so many; calls with other numbers sound otherwise.
    pub(crate) fn call(&self, data: &Path, number: u64, seconds: u64, part: u64) -> Recorded {
        self.publish(data, number, PCMU, seconds, part)
    }

    /// A call whose sound cannot be decoded.
    pub(crate) fn packets(&self, data: &Path, number: u64) -> Recorded {
        self.publish(data, number, G729, 2, 60)
    }

    fn publish(&self, data: &Path, number: u64, codec: u8, seconds: u64, part: u64) -> Recorded {
        let start = START.plus(Duration::from_secs(number * 7_200));
        let finished = finished(start, number, codec, seconds, part);
        let id = RecordingId::of_call(start, &[&number.to_le_bytes()]);
        let recording = metadata(id, start, seconds, &finished);
        let mut manifest = Manifest::new(id, start, "span1", "spanreel test");
        manifest.recipients = self.sealer.recipients();
        let json = ("application/json", serde_json::to_vec(&recording).unwrap());
        let media = finished
            .files
            .iter()
            .map(|file| (file.name.clone(), (file.media_type, file.bytes.clone())));
        let mut files = Vec::new();
        for (name, (media_type, plain)) in media.chain([(METADATA_NAME.to_owned(), json)]) {
            let sealed = self.sealer.seal(&plain).unwrap();
            let file = manifest::File::new(&name, media_type, &plain, Some(&sealed));
            files.push((file.name.clone(), sealed));
            manifest.files.push(file);
        }
        let json = manifest.to_json().unwrap();
        files.push((manifest::SIGNATURE_NAME.into(), self.signer.sign(&json, now()).unwrap()));
        files.push((manifest::MANIFEST_NAME.into(), json));
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let recordings = Recordings::open(&data.join("recordings")).unwrap();
        recordings.publish(id, &files, Existing::Keep).unwrap();
        let files = finished.files.into_iter().map(|file| (file.name, file.bytes)).collect();
        Recorded { id, folder: recordings.folder_of(id), files }
    }
}

/// Both sides' RTP (RFC 3550), as the recorder finishes it.
fn finished(start: Timestamp, number: u64, codec: u8, seconds: u64, part: u64) -> Finished {
    let endpoint = |port| Endpoint::new([192, 0, 2, 1].into(), port);
    let key = |from, to| FlowKey {
        domain: Domain::UNTAGGED,
        source: endpoint(from),
        destination: endpoint(to),
    };
    let sides = [(Side::Caller, key(4_000, 4_002)), (Side::Callee, key(4_002, 4_000))];
    let wires = sides.map(|(side, _)| datagrams(number, side, codec, seconds * 50));
    let flows: Vec<_> = sides
        .into_iter()
        .zip(&wires)
        .map(|((side, key), wire)| FlowInput {
            key,
            side,
            media: "audio".into(),
            formats: Formats::default(),
            secure: false,
            packets: packets(start, wire),
        })
        .collect();
    let params = Params { media_file_limit: Duration::from_secs(part), ..Params::default() };
    let tags = vec![("CALL-ID".to_owned(), format!("{number}@example.com"))];
    media::finish(&CallInput { start, tags }, &flows, &params).unwrap()
}

fn datagrams(number: u64, side: Side, codec: u8, count: u64) -> Vec<Vec<u8>> {
    let datagram = |index: u64| {
        let mut bytes = vec![0x80, codec];
        bytes.extend((index as u16).to_be_bytes());
        bytes.extend((index as u32 * PACKET as u32).to_be_bytes());
        bytes.extend((number as u32 * 2 + side as u32 + 1).to_be_bytes());
        bytes.extend((0..PACKET as u64).map(|at| code(number, side, index * PACKET as u64 + at)));
        bytes
    };
    (0..count).map(datagram).collect()
}

/// A tone for each call and side, a second on, a second off.
fn code(number: u64, side: Side, at: u64) -> u8 {
    let hertz = 200.0 + 37.0 * (number % 16) as f64 + 301.0 * f64::from(side as u8);
    let loud = if (at / 8_000).is_multiple_of(2) { 40.0 } else { 2.0 };
    let wave = (at as f64 / 8_000.0 * hertz * std::f64::consts::TAU).sin() * loud;
    // Codes of mu-law are as loud as they are small; the highest bit is the sign.
    let loudness = 0x7f - wave.abs() as u8;
    if wave < 0.0 { loudness } else { loudness | 0x80 }
}

fn packets(start: Timestamp, wire: &[Vec<u8>]) -> Vec<MediaPacket<'_>> {
    let times = (0..).map(|index| start.plus(Duration::from_millis(index * 20)));
    let packets = wire.iter().zip(times);
    packets
        .map(|(payload, time)| MediaPacket { time, payload, wire_bytes: payload.len() as u16 })
        .collect()
}

fn metadata(id: RecordingId, start: Timestamp, seconds: u64, finished: &Finished) -> Recording {
    let media: Vec<_> = finished
        .files
        .iter()
        .map(|file| {
            json!({ "mediaId": file.name, "path": format!("{}.p7m", file.name), "type": file.media_type,
                "startTime": file.start, "stopTime": file.stop, "channels": file.channels,
                "duration": file.stop.since(file.start).as_millis() as u64, "size": 0, "sha256": "",
                "peaks": file.peaks })
        })
        .collect();
    let stop = start.plus(Duration::from_secs(seconds));
    serde_json::from_value(json!({
        "id": id, "callId": "1@example.com", "callerPhoneNumber": "+33100", "dialedPhoneNumber": "4711",
        "from": null, "to": null, "startTime": start, "answerTime": start, "stopTime": stop,
        "duration": seconds * 1_000, "endReason": "BYE", "complete": true, "gaps": [], "legs": [],
        "streams": [], "mediaFiles": media, "messages": [], "node": "span1", "build": "spanreel test",
    }))
    .unwrap()
}

impl Recorded {
    /// What claxon makes of its audio files, one after the other: caller and callee.
    pub(crate) fn samples(&self) -> [Vec<i16>; 2] {
        let mut sides = [Vec::new(), Vec::new()];
        for (_, file) in &self.files {
            for (side, more) in sides.iter_mut().zip(decoded(file)) {
                side.extend(more);
            }
        }
        sides
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v2/recordings/{}/{rest}", self.id)
    }

    /// Flips a bit in a stored file.
    pub(crate) fn alter(&self, name: &str) {
        let path = self.folder.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
}

/// The channels of a FLAC file.
pub(crate) fn decoded(flac: &[u8]) -> Vec<Vec<i16>> {
    let mut reader = claxon::FlacReader::new(flac).unwrap();
    let channels = reader.streaminfo().channels as usize;
    let mut sides = vec![Vec::new(); channels];
    for (at, sample) in reader.samples().enumerate() {
        sides[at % channels].push(i16::try_from(sample.unwrap()).unwrap());
    }
    sides
}

/// The channels of a WAV file.
pub(crate) fn wav(bytes: &[u8]) -> Vec<Vec<i16>> {
    let channels = usize::from(bytes[22]);
    let data = bytes.windows(4).position(|name| name == b"data").unwrap() + 8;
    let mut sides = vec![Vec::new(); channels];
    for (at, pair) in bytes[data..].chunks(2).enumerate() {
        sides[at % channels].push(i16::from_le_bytes([pair[0], pair[1]]));
    }
    sides
}
