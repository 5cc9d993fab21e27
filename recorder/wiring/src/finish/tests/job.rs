//! A call from the journal to its recording, with a program that fails on the way.

use std::sync::Arc;
use std::time::Duration;

use base::recording::ClockStep;
use base::{Endpoint, FlowKey, Formats, MediaPacket, Side, Timestamp};
use capture::xdp::UtcOffset;
use journal::{Journal, JournalKey, SourceId, WriterOptions};
use media::{CallInput, Finished, FlowInput, MediaError, Params};

use super::rig::Rig;
use crate::engine::{Claim, FlowRef, Job, JobKey};
use crate::finish::{Done, Finisher, Make, Pool, Storage};
use crate::wall_clock::{Quality, WallClock};

const PACKETS: u16 = 100;

fn time(number: u16) -> Timestamp {
    let begin = Timestamp::from_nanos(1_795_392_000_000_000_000);
    begin.plus(Duration::from_millis(20 * u64::from(number)))
}

/// An RTP packet of PCMU that holds its own number.
fn packet(number: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 0];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 160).to_be_bytes());
    bytes.extend([0, 0, 0, 9]);
    bytes.extend([number as u8; 160]);
    bytes
}

/// A journal with one flow, and the job that makes a recording of it.
fn journaled(rig: &Rig) -> (Journal, Job) {
    let key = JournalKey::load_or_create(&rig.data.journal_key()).unwrap();
    let journal = Journal::open(&rig.data.journal(), key, SourceId([7; 32])).unwrap();
    let (mut writer, mut appender) = journal.core(0, &WriterOptions::default(), time(0)).unwrap();
    let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
    let key = FlowKey {
        source: endpoint("192.0.2.1:4000"),
        destination: endpoint("192.0.2.2:5000"),
        ..FlowKey::default()
    };
    let mut flow = None;
    for number in 0..PACKETS {
        let payload = packet(number);
        let wire_bytes = payload.len() as u16;
        let packet = MediaPacket { time: time(number), payload: &payload, wire_bytes };
        flow = Some(writer.media(&key, packet).unwrap().flow);
    }
    writer.seal_all();
    appender.write().unwrap();
    appender.commit(time(PACKETS)).unwrap();
    let summary = writer.flow(flow.unwrap()).unwrap();
    let flow = FlowRef::Core(0, flow.unwrap());
    let claim = Claim {
        flow,
        key,
        chain: summary.end.unwrap(),
        from: Timestamp::ZERO,
        until: Timestamp::MAX,
        side: Side::Caller,
        media: "audio".into(),
        formats: Formats::default(),
        secure: false,
        rtcp: false,
    };
    (journal, Job { key: JobKey::Media(flow), call: None, claims: vec![claim] })
}

fn finish(rig: &Rig, make: Make) -> u64 {
    finish_by(rig, make, Arc::default())
}

fn finish_by(rig: &Rig, make: Make, wall_clock: Arc<WallClock>) -> u64 {
    let (journal, job) = journaled(rig);
    let storage = Storage::start(rig.places(), rig.standing()).unwrap();
    let keys = (Some(rig.data.seals(&[]).unwrap()), rig.data.signer().unwrap());
    let finisher =
        Finisher::new(journal.reader(), Params::default(), keys, Arc::clone(&storage), "n".into())
            .making(make)
            .with_wall_clock(wall_clock);
    let mut pool = Pool::new(finisher, Arc::clone(&storage), 1).unwrap();
    let key = job.key;
    pool.start(job);
    let (done, result) = pool.next(true).unwrap();
    assert_eq!(done, key);
    assert!(matches!(result, Ok(Done::Recorded { .. })), "{result:?}");
    assert_eq!(pool.running(), 0);
    pool.stop().unwrap();
    storage.stop().unwrap();
    storage.standing().faults()
}

/// What the packet file of the only recording holds, opened.
fn kept_packets(rig: &Rig) -> Vec<u8> {
    let recording = &rig.catalog()[0];
    let path = rig.data.recordings().join(recording.id.to_string()).join("packets.pcapng.p7m");
    let key = rig.data.private_key(None).unwrap();
    seal::open(&std::fs::read(path).unwrap(), &key).unwrap().to_vec()
}

#[test]
fn a_fault_of_the_program_costs_the_sound_and_not_the_call() {
    fn fails(_: &CallInput, _: &[FlowInput<'_>], _: &Params) -> Result<Finished, MediaError> {
        panic!("index 7 is out of range")
    }
    let rig = Rig::new();
    assert_eq!(finish(&rig, fails), 2, "it was tried again once");
    let recording = &rig.catalog()[0];
    assert!(!recording.complete);
    let reasons = recording.incomplete_reasons.join("; ");
    assert!(
        reasons.contains("index 7 is out of range") && reasons.contains("packets.pcapng"),
        "{reasons}"
    );
    assert_eq!((recording.start_time, recording.stop_time), (time(0), time(PACKETS - 1)));
    let pcapng = kept_packets(&rig);
    for number in 0..PACKETS {
        let packet = packet(number);
        assert!(pcapng.windows(packet.len()).any(|it| it == packet), "packet {number} is there");
    }
    let told = rig.alarm_details().join("; ");
    assert!(told.contains("a fault of the program"), "{told}");
}

#[test]
fn without_a_fault_there_is_sound() {
    let rig = Rig::new();
    assert_eq!(finish(&rig, media::finish), 0);
    let recording = &rig.catalog()[0];
    assert_eq!(recording.media_files[0].media_id, "audio.flac");
    assert_eq!(recording.streams[0].unique, u64::from(PACKETS));
}

/// Where nothing can be stored, the job comes back, and can be begun again.
#[test]
fn a_job_that_cannot_be_stored_comes_back() {
    let rig = Rig::new();
    let (journal, job) = journaled(&rig);
    rig.disk.fails(Some(rustix::io::Errno::IO));
    let retry = Duration::from_millis(10);
    let places = crate::finish::Places {
        spool_keeps_free: u64::MAX,
        retry_first: retry,
        retry_max: retry,
        ..rig.places()
    };
    let storage = Storage::start(places, rig.standing()).unwrap();
    let keys = (None, rig.data.signer().unwrap());
    let finisher =
        Finisher::new(journal.reader(), Params::default(), keys, Arc::clone(&storage), "n".into());
    let mut pool = Pool::new(finisher, Arc::clone(&storage), 1).unwrap();
    let job = Arc::new(job);
    pool.start(Arc::clone(&job));
    let (key, result) = pool.next(true).unwrap();
    assert_eq!(key, job.key);
    assert!(result.is_err_and(|error| error.to_string().contains("no space left")));
    assert_eq!(pool.running(), 0);
    let told = rig.alarm_details().join("; ");
    assert!(told.contains("waits in the journal"), "{told}");
    rig.disk.fails(None);
    std::thread::sleep(2 * retry);
    pool.start(job);
    let (_, result) = pool.next(true).unwrap();
    assert!(matches!(result, Ok(Done::Recorded { .. })), "{result:?}");
    assert_eq!(rig.catalog().len(), 1);
}

/// The journal's times are by the capture clock; what is told is by the wall clock as it was when the call began,
/// whatever it did then.
#[test]
fn the_times_of_a_call_over_a_step_are_those_of_its_beginning() {
    const HOUR: i64 = 3_600_000_000_000;
    let duration = |rig: &Rig| {
        let recording = &rig.catalog()[0];
        (recording.duration, recording.media_files[0].duration, recording.gaps.clone())
    };
    let unmoved = Rig::new();
    finish_by(&unmoved, media::finish, Arc::default());
    for step in [HOUR, -HOUR] {
        let wall_clock = WallClock::default();
        let quality = Quality::of(None);
        let look = |time, ahead| {
            let offsets = (UtcOffset::of(ahead), UtcOffset::of(0));
            assert!(wall_clock.look(time, offsets, &quality));
        };
        look(time(0).minus(Duration::from_secs(60)), 5_000_000_000);
        look(time(PACKETS / 2), 5_000_000_000 + step);
        let rig = Rig::new();
        finish_by(&rig, media::finish, Arc::new(wall_clock));
        let recording = &rig.catalog()[0];
        let told = |number| time(number).plus(Duration::from_secs(5));
        assert_eq!((recording.start_time, recording.stop_time), (told(0), told(PACKETS)));
        assert_eq!(recording.streams[0].stop_time, told(PACKETS - 1));
        assert_eq!(recording.media_files[0].start_time, told(0));
        assert_eq!(duration(&rig), duration(&unmoved));
        assert_eq!(recording.id, unmoved.catalog()[0].id, "the same call");
        let clock = recording.clock.as_ref().unwrap();
        assert_eq!(clock.offset_nanoseconds, 5_000_000_000);
        assert_eq!(clock.steps, [ClockStep { time: told(PACKETS / 2), nanoseconds: step }]);
        let folder = rig.data.recordings().join(recording.id.to_string());
        let manifest = std::fs::read(folder.join(seal::manifest::MANIFEST_NAME)).unwrap();
        let manifest = seal::Manifest::from_json(&manifest).unwrap();
        assert_eq!(manifest.clock.as_ref(), Some(clock));
    }
    assert_eq!(unmoved.catalog()[0].clock, None, "nothing is known of a capture file's clock");
}
