//! Recordings, and folders of them, to test with.

use base::recording::{Direction, Gap, Leg, Recording, Stream};
use base::{Endpoint, RecordingId, Side, Timestamp};
use seal::keys::{Algorithm, Purpose, create};
use seal::{Certificate, Manifest, PrivateKey, Recipient, Sealer, Signer, manifest};
use store::{Existing, Recordings};

/// 2026-11-23T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);

pub(crate) fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}

/// The recording of a call that started `at` seconds after [`NOW`]; its numbers follow from `at`.
pub(crate) fn recording(at: u64) -> Recording {
    let start_time = NOW.plus(seconds(at));
    let call_id = format!("{at}@example.com");
    Recording {
        id: RecordingId::of_call(start_time, &[call_id.as_bytes()]),
        call_id: Some(call_id.clone()),
        caller_phone_number: format!("+3310000{at:04}"),
        dialed_phone_number: format!("{}", 1_000 + at % 100),
        from: Some(format!("\"Caller {at}\" <sip:+3310000{at:04}@Carrier.example>;tag=f{at}")),
        to: Some(format!("<sip:{}@pbx.example>", 1_000 + at % 100)),
        direction: Some(direction(at as usize % 4)),
        start_time,
        answer_time: None,
        stop_time: start_time.plus(seconds(at % 60)),
        duration: at % 60 * 1_000,
        end_reason: "BYE".into(),
        complete: !at.is_multiple_of(10),
        incomplete_reasons: Vec::new(),
        clock: None,
        notes: Vec::new(),
        gaps: if at.is_multiple_of(50) { vec![gap(start_time)] } else { Vec::new() },
        marks: Vec::new(),
        legs: vec![Leg {
            call_id: format!("leg-{call_id}"),
            from_tag: format!("f{at}"),
            to_tag: None,
            start_time,
            answer_time: None,
            stop_time: None,
            hops: Vec::new(),
        }],
        streams: if at.is_multiple_of(40) { Vec::new() } else { vec![stream(at), stream(39)] },
        media_files: Vec::new(),
        messages: Vec::new(),
        node: "span1".into(),
        build: "spanreel test".into(),
    }
}

/// One of the four.
pub(crate) fn direction(number: usize) -> Direction {
    [Direction::Inbound, Direction::Outbound, Direction::Internal, Direction::Unknown][number]
}

fn gap(start_time: Timestamp) -> Gap {
    Gap { side: Side::Caller, start_time, duration: 20.0, packets: Some(1), reason: "loss".into() }
}

fn stream(at: u64) -> Stream {
    let endpoint: Endpoint = "192.0.2.1:5000".parse().unwrap();
    Stream {
        source: endpoint,
        destination: endpoint,
        ssrc: "0x00000001".into(),
        side: Side::Caller,
        media: "audio".into(),
        codec: "PCMA".into(),
        packets: 100,
        unique: 100,
        lost: 0,
        duplicates: 0,
        late: 0,
        jitter: 0.5,
        mos: Some(1.0 + 0.0875 * (at % 40) as f64),
        quality: Vec::new(),
        start_time: NOW,
        stop_time: NOW,
        media_files: Vec::new(),
        state: "decoded".into(),
    }
}

/// Keys, and what seals and signs with them.
pub(crate) struct Keys {
    pub(crate) key: PrivateKey,
    pub(crate) node: Certificate,
    pub(crate) sealer: Sealer,
    pub(crate) signer: Signer,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let until = NOW.plus(seconds(86_400));
        let pair = create(Purpose::Recording, Algorithm::P256, NOW, until).unwrap();
        let certificate = Certificate::parse(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKey::parse(pair.private_key.as_bytes()).unwrap();
        let node = create(Purpose::Node("span1"), Algorithm::P256, NOW, until).unwrap();
        let certificate_of_node = Certificate::parse(node.certificate.as_bytes()).unwrap();
        Self {
            key: key.with_certificate(certificate.clone()).unwrap(),
            sealer: Sealer::new(vec![Recipient::new(certificate).unwrap()]).unwrap(),
            signer: Signer::new(node.private_key.as_bytes(), certificate_of_node.clone()).unwrap(),
            node: certificate_of_node,
        }
    }

    /// Publishes the recording that started `at`, sealed or not, as the program does.
    pub(crate) fn publish(&self, recordings: &Recordings, at: u64, sealed: bool) -> Recording {
        let recording = recording(at);
        self.publish_json(
            recordings,
            recording.id,
            serde_json::to_vec(&recording).unwrap(),
            sealed,
        );
        recording
    }

    /// Publishes a recording with this `recording.json`.
    pub(crate) fn publish_json(
        &self,
        recordings: &Recordings,
        id: RecordingId,
        json: Vec<u8>,
        sealed: bool,
    ) {
        let seed = id.to_string().bytes().map(u32::from).sum::<u32>();
        let audio: Vec<u8> = (0..2_001).map(|n| (n * 7 + seed) as u8).collect();
        let mut manifest = Manifest::new(id, NOW, "span1", "spanreel test");
        let mut files = Vec::new();
        for (name, media_type, plain) in
            [("audio.flac", "audio/flac", audio), ("recording.json", "application/json", json)]
        {
            let stored = sealed.then(|| self.sealer.seal(&plain).unwrap());
            let file = manifest::File::new(name, media_type, &plain, stored.as_deref());
            files.push((file.name.clone(), stored.unwrap_or(plain)));
            manifest.files.push(file);
        }
        if sealed {
            manifest.recipients = self.sealer.recipients();
        }
        let json = manifest.to_json().unwrap();
        files.push((manifest::SIGNATURE_NAME.into(), self.signer.sign(&json, NOW).unwrap()));
        files.push((manifest::MANIFEST_NAME.into(), json));
        let files: Vec<_> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        recordings.publish(id, &files, Existing::Keep).unwrap();
    }
}
