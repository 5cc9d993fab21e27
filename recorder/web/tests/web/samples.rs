//! Recordings to search among, no two alike.

use std::path::Path;
use std::time::Duration;

use base::recording::{Direction, Gap, Leg, MediaFile, Recording, Stream};
use base::{Endpoint, RecordingId, Side, Timestamp};
use store::{Catalog, DatabasePlace};

/// 2026-11-23T00:00:00Z.
pub(crate) const MIDNIGHT: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The call that began `at` minutes after midnight and lasted as many seconds.
pub(crate) fn recording(at: u64) -> Recording {
    let start_time = MIDNIGHT.plus(minutes(at));
    let call_id = format!("call-{at}@pbx.example");
    let duration = Duration::from_secs(at);
    let stop_time = start_time.plus(duration);
    Recording {
        id: RecordingId::of_call(start_time, &[call_id.as_bytes()]),
        call_id: Some(call_id.clone()),
        caller_phone_number: format!("+4930{at:04}"),
        dialed_phone_number: format!("{}", 100 + at),
        from: Some(format!("\"Caller {at}\" <sip:+4930{at:04}@carrier.example>;tag=f")),
        to: Some(format!("<sip:{}@pbx.example>", 100 + at)),
        direction: Some(if at.is_multiple_of(2) {
            Direction::Inbound
        } else {
            Direction::Outbound
        }),
        start_time,
        answer_time: None,
        stop_time,
        duration: duration.as_millis() as u64,
        end_reason: "BYE".into(),
        complete: at != 3,
        incomplete_reasons: (at == 3)
            .then(|| "12 packets, \"lost\"".to_owned())
            .into_iter()
            .collect(),
        gaps: (at == 3).then(|| gap(start_time)).into_iter().collect(),
        marks: Vec::new(),
        legs: vec![leg(&format!("leg-{call_id}"), start_time)],
        streams: vec![stream(at, Side::Caller), stream(at, Side::Callee)],
        media_files: vec![audio(start_time, stop_time)],
        messages: Vec::new(),
        clock: None,
        notes: Vec::new(),
        node: "span1".into(),
        build: "spanreel test".into(),
    }
}

fn gap(start_time: Timestamp) -> Gap {
    let reason = "loss".to_owned();
    Gap { side: Side::Caller, start_time, duration: 240.0, packets: Some(12), reason }
}

fn leg(call_id: &str, start_time: Timestamp) -> Leg {
    Leg {
        call_id: call_id.to_owned(),
        from_tag: "f".into(),
        to_tag: None,
        start_time,
        answer_time: None,
        stop_time: None,
        hops: vec![(Endpoint::v4([192, 0, 2, 1], 5060), Endpoint::v4([192, 0, 2, 2], 5060))],
    }
}

/// The caller's is worse by 0.1; call 5 sounds bad.
fn stream(at: u64, side: Side) -> Stream {
    let mos = if at == 5 { 2.5 } else { 4.3 };
    Stream {
        source: Endpoint::v4([192, 0, 2, 1], 4000),
        destination: Endpoint::v4([192, 0, 2, 2], 4000),
        ssrc: "0x00000001".into(),
        side,
        media: "audio".into(),
        codec: if at.is_multiple_of(2) { "PCMA" } else { "PCMU" }.into(),
        packets: 50,
        unique: 50,
        lost: 0,
        duplicates: 0,
        late: 0,
        jitter: 0.5,
        mos: Some(if side == Side::Caller { mos - 0.1 } else { mos }),
        quality: Vec::new(),
        start_time: MIDNIGHT,
        stop_time: MIDNIGHT,
        media_files: vec!["audio.flac".into()],
        state: "decoded".into(),
    }
}

fn audio(start_time: Timestamp, stop_time: Timestamp) -> MediaFile {
    MediaFile {
        media_id: "audio.flac".into(),
        path: "audio.flac.p7m".into(),
        media_type: "audio/flac".into(),
        start_time,
        stop_time,
        duration: 1_000,
        channels: 2,
        size: 1_234,
        sha256: "00".repeat(32),
        peaks: vec![1, 2, 3, 4],
    }
}

/// Puts the calls that began at these minutes into the catalog.
pub(crate) fn insert(place: &DatabasePlace, at: impl IntoIterator<Item = u64>) {
    let recordings: Vec<Recording> = at.into_iter().map(recording).collect();
    Catalog::open(place).unwrap().insert(&recordings).unwrap();
}

/// The same into folders, as the recorder does with `--no-seal`.
pub(crate) fn publish(folder: &Path, at: impl IntoIterator<Item = u64>) {
    for at in at {
        let recording = recording(at);
        let folder = folder.join(recording.id.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let json = serde_json::to_vec(&recording).unwrap();
        std::fs::write(folder.join("recording.json"), json).unwrap();
    }
}

/// The id of the call that began at this minute.
pub(crate) fn id(at: u64) -> String {
    recording(at).id.to_string()
}

/// Databases of both kinds, as far as they can run here.
pub(crate) fn places(name: &str) -> Vec<(Option<tempfile::TempDir>, DatabasePlace)> {
    let folder = tempfile::tempdir().unwrap();
    let file = DatabasePlace::File(folder.path().join("catalog.db"));
    let mut places = vec![(Some(folder), file)];
    if let Some(server) = test_postgres::shared() {
        let database = server.database(name);
        let settings = store::PostgresSettings {
            url: database.url,
            password_file: Some(database.password_file),
            ca: Some(database.ca),
        };
        places.push((None, DatabasePlace::Postgres(settings)));
    }
    places
}
