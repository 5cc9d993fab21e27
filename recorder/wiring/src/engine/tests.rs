//! The engine with a real capture core and journal, fed frame by frame; jobs are taken as finished at once.

use std::time::Duration;

use base::{FlowKey, Outcome, Side, Timestamp, Transport};
use capture::{Frame, LinkType, write};
use dialog::{EndReason, SipInput};
use journal::{Journal, JournalKey, SourceId, WriterOptions};

use super::{Command, Engine, FlowRef, Job, Limit, Report};
use crate::worker::{Seen, Surroundings, Worker};

const ALICE: &str = "192.0.2.1";
const BOB: &str = "192.0.2.2";

struct Scene {
    worker: Worker,
    engine: Engine,
    jobs: Vec<Job>,
    /// SIP messages so far: when, from, to.
    said: Vec<(u64, String, String, String)>,
    /// Flows of the run before.
    past: Vec<journal::FlowSummary>,
    journal: Journal,
    _folder: tempfile::TempDir,
}

impl Surroundings for Engine {
    fn seen(&mut self, seen: Seen<'_>) -> bool {
        match seen {
            Seen::Sip { time, key, transport, message } => {
                self.signalling(SipInput { time, key, transport, message });
            }
            Seen::Flow { time, key, flow } => self.flow_opened(FlowRef::Core(0, flow), key, time),
        }
        true
    }

    fn wait_for_journal(&mut self) -> bool {
        false
    }
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = JournalKey::load_or_create(&folder.path().join("journal.key")).unwrap();
        let journal =
            Journal::open(&folder.path().join("journal"), key, SourceId([0; 32])).unwrap();
        let (writer, _appender) =
            journal.core(0, &WriterOptions::default(), Timestamp::ZERO).unwrap();
        Self {
            worker: Worker::new(writer),
            engine: Engine::new(true),
            jobs: Vec::new(),
            said: Vec::new(),
            past: Vec::new(),
            journal,
            _folder: folder,
        }
    }

    /// A UDP datagram at `ms`.
    fn datagram(&mut self, ms: u64, from: &str, to: &str, payload: &[u8]) {
        let time = at(ms);
        let key = FlowKey {
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
            ..FlowKey::default()
        };
        let mut bytes = Vec::new();
        let wire_bytes =
            write::ip::udp_packet(&key, payload, payload.len().try_into().unwrap(), &mut bytes);
        let frame = Frame { time, link: LinkType::RawIp, data: &bytes, wire_bytes, number: 1 };
        if time >= self.engine.due() {
            self.engine.advance(time);
            self.obey();
        }
        self.worker.frame(&frame, &mut self.engine);
        self.obey();
    }

    /// 20 ms packets of G.711 mu-law (or `payload_type`) from `ms` on.
    fn talk(&mut self, ms: u64, packets: u16, from: &str, to: &str, payload_type: u8) {
        for number in 0..packets {
            let mut packet = vec![0x80, payload_type];
            packet.extend(number.to_be_bytes());
            packet.extend((u32::from(number) * 160).to_be_bytes());
            packet.extend([7; 4]);
            packet.extend([0x55; 160]);
            self.datagram(ms + u64::from(number) * 20, from, to, &packet);
        }
    }

    fn sip(&mut self, ms: u64, from: &str, to: &str, message: &str) {
        self.said.push((ms, from.into(), to.into(), message.into()));
        self.datagram(ms, &format!("{from}:5060"), &format!("{to}:5060"), message.as_bytes());
    }

    /// INVITE and 200 with media at Alice's and Bob's ports.
    fn set_up(&mut self, ms: u64, call: &str, alice_port: u16, bob_port: u16) {
        self.sip(ms, ALICE, BOB, &request("INVITE", 1, call, "", Some((ALICE, alice_port))));
        self.sip(ms + 10, BOB, ALICE, &answer("1 INVITE", call, Some((BOB, bob_port))));
        self.sip(ms + 20, ALICE, BOB, &request("ACK", 1, call, ";tag=b", None));
    }

    fn hang_up(&mut self, ms: u64, call: &str) {
        self.sip(ms, ALICE, BOB, &request("BYE", 2, call, ";tag=b", None));
        self.sip(ms + 5, BOB, ALICE, &answer("2 BYE", call, None));
    }

    /// The recorder is killed, and is back at `ms`: another worker, and an engine that is told what was before.
    fn restart(&mut self, ms: u64) {
        self.worker.journal().seal_all();
        self.past = self.worker.journal().flows().map(|(_, summary)| summary).collect();
        self.past.sort_by_key(|summary| summary.opened);
        let (writer, _) = self.journal.core(1, &WriterOptions::default(), at(ms)).unwrap();
        (self.worker, self.engine) = (Worker::new(writer), Engine::new(true));
        self.jobs.clear();
        let mut last = self.past.iter().map(|summary| summary.last).max().unwrap_or_default();
        let mut unopened = 0;
        for (time, from, to, message) in self.said.clone() {
            self.open_past(&mut unopened, at(time));
            let key = FlowKey {
                source: format!("{from}:5060").parse().unwrap(),
                destination: format!("{to}:5060").parse().unwrap(),
                ..FlowKey::default()
            };
            let (time, transport, message) = (at(time), Transport::Udp, message.as_bytes());
            self.engine.signalling(SipInput { time, key, transport, message });
            self.obey();
            last = last.max(time);
        }
        self.open_past(&mut unopened, Timestamp::MAX);
        self.engine.unseen(last, at(ms));
        self.obey();
    }

    fn open_past(&mut self, unopened: &mut usize, until: Timestamp) {
        while let Some(summary) = self.past.get(*unopened).filter(|it| it.opened <= until) {
            let flow = FlowRef::Recovered(u32::try_from(*unopened).unwrap());
            self.engine.advance(summary.opened);
            self.engine.flow_opened(flow, summary.key, summary.opened);
            *unopened += 1;
            self.obey();
        }
    }

    /// Nothing happens until `ms`.
    fn wait(&mut self, from: u64, ms: u64) {
        for ms in (from..=ms).step_by(500) {
            self.engine.advance(at(ms));
            self.obey();
        }
    }

    fn end(&mut self) -> Vec<Job> {
        self.engine.end(EndReason::CaptureEnd);
        self.obey();
        self.engine.sweep();
        self.obey();
        assert_eq!(self.engine.calls_open(), 0);
        assert!(self.worker.ledger().balances());
        std::mem::take(&mut self.jobs)
    }

    fn obey(&mut self) {
        while let Some(command) = self.engine.next_command() {
            match command {
                Command::Expect(endpoint) => self.worker.expect(endpoint),
                Command::Unexpect(endpoint) => self.worker.unexpect(endpoint),
                Command::Exclude(endpoint) => self.worker.exclude(endpoint),
                Command::Include(endpoint) => self.worker.include(endpoint),
                Command::Report(flow, ticket) => {
                    let found = match flow {
                        FlowRef::Core(_, id) => self.worker.report(id),
                        FlowRef::Recovered(place) => self.past.get(place as usize).cloned(),
                    };
                    self.engine.report(Report { flow, ticket, found });
                }
                Command::Release(FlowRef::Core(_, id), before) => {
                    self.worker.journal().release_before(id, before)
                }
                Command::Drop(FlowRef::Core(_, id)) => {
                    assert!(self.worker.forget(id));
                }
                Command::Release(FlowRef::Recovered(_), _) => {}
                Command::Drop(FlowRef::Recovered(_)) => {}
                Command::Finish(job) => {
                    self.engine.finished(job.key);
                    self.jobs.push(*job);
                }
            }
        }
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_nanos(1_700_000_000_000_000_000).plus(Duration::from_millis(ms))
}

fn request(
    method: &str,
    cseq: u32,
    call: &str,
    to_tag: &str,
    media: Option<(&str, u16)>,
) -> String {
    format!(
        "{method} sip:bob@{BOB} SIP/2.0\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{call}{method}\r\n\
         From: <sip:alice@{ALICE}>;tag=a\r\nTo: <sip:bob@{BOB}>{to_tag}\r\nCall-ID: {call}\r\n\
         CSeq: {cseq} {method}\r\n{}",
        body(media)
    )
}

fn answer(cseq: &str, call: &str, media: Option<(&str, u16)>) -> String {
    let method = cseq.split(' ').nth(1).unwrap();
    format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {ALICE};branch=z9hG4bK{call}{method}\r\n\
         From: <sip:alice@{ALICE}>;tag=a\r\nTo: <sip:bob@{BOB}>;tag=b\r\nCall-ID: {call}\r\n\
         CSeq: {cseq}\r\n{}",
        body(media)
    )
}

fn body(media: Option<(&str, u16)>) -> String {
    let Some((address, port)) = media else { return "Content-Length: 0\r\n\r\n".into() };
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\n"
    );
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// Per claim: side and the span of packets, in ms, that it takes of a flow (unbounded ends as 0 and MAX).
fn spans(job: &Job) -> Vec<(Side, u64, u64)> {
    let ms = |time: Timestamp| match time {
        Timestamp::ZERO => 0,
        Timestamp::MAX => u64::MAX,
        other => u64::try_from(other.since(at(0)).as_millis()).unwrap(),
    };
    job.claims.iter().map(|claim| (claim.side, ms(claim.from), ms(claim.until))).collect()
}

#[test]
fn both_directions_belong_to_the_call_and_to_the_right_side() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.talk(1_200, 50, "192.0.2.2:5000", "192.0.2.1:4000", 0);
    scene.hang_up(2_300, "one");
    let jobs = scene.end();
    assert_eq!(jobs.len(), 1);
    let sides: Vec<_> = jobs[0].claims.iter().map(|c| (c.key.source.to_string(), c.side)).collect();
    assert!(sides.contains(&("192.0.2.1:4000".into(), Side::Caller)));
    assert!(sides.contains(&("192.0.2.2:5000".into(), Side::Callee)));
}

#[test]
fn media_before_its_description_and_after_the_bye_is_the_calls() {
    let mut scene = Scene::new();
    scene.talk(0, 50, "192.0.2.2:5000", "192.0.2.1:4000", 0);
    scene.set_up(1_000, "one", 4000, 5000);
    scene.hang_up(1_500, "one");
    scene.talk(1_600, 50, "192.0.2.2:5000", "192.0.2.1:4000", 0);
    let jobs = scene.end();
    assert_eq!(jobs.len(), 1);
    let [(Side::Callee, 0, until)] = spans(&jobs[0])[..] else { panic!("{:?}", spans(&jobs[0])) };
    assert!(until >= 2_580, "{until}");
}

#[test]
fn media_from_another_port_than_announced_is_found_by_its_destination() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 50, "203.0.113.9:61000", "192.0.2.2:5000", 0);
    scene.hang_up(1_500, "one");
    let jobs = scene.end();
    assert_eq!(spans(&jobs[0]).len(), 1);
    assert_eq!(jobs[0].claims[0].side, Side::Caller);
}

#[test]
fn one_flow_serves_two_calls_one_after_the_other() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 45, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.hang_up(1_000, "one");
    scene.set_up(1_200, "two", 4000, 5000);
    scene.talk(1_300, 500, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.hang_up(11_300, "two");
    let jobs = scene.end();
    let calls: Vec<_> =
        jobs.iter().map(|job| job.call.as_ref().unwrap().call_id.as_str()).collect();
    assert_eq!(calls, ["one", "two"]);
    assert_eq!(spans(&jobs[0]), [(Side::Caller, 0, 1_200)]);
    let [(Side::Caller, 1_200, _)] = spans(&jobs[1])[..] else { panic!("{:?}", spans(&jobs[1])) };
}

#[test]
fn a_call_whose_bye_was_lost_does_not_take_the_next_calls_media() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 45, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.set_up(60_000, "two", 4000, 5000);
    scene.talk(60_100, 45, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.hang_up(61_200, "two");
    let jobs = scene.end();
    let one = jobs.iter().find(|job| job.call.as_ref().unwrap().call_id == "one").unwrap();
    assert_eq!(spans(one), [(Side::Caller, 0, 60_000)]);
}

/// A back-to-back user agent between them passes the descriptions on: both of its calls have the media.
#[test]
fn two_calls_of_one_conversation_share_its_media_whichever_is_finished_first() {
    const SWITCH: &str = "192.0.2.9";
    let mut scene = Scene::new();
    let legs = [("one", ALICE, SWITCH), ("two", SWITCH, BOB)];
    for (ms, (call, from, to)) in [0, 5].into_iter().zip(legs) {
        scene.sip(ms, from, to, &request("INVITE", 1, call, "", Some((ALICE, 4000))));
    }
    for (ms, (call, from, to)) in [20, 25].into_iter().zip(legs.into_iter().rev()) {
        scene.sip(ms, to, from, &answer("1 INVITE", call, Some((BOB, 5000))));
        scene.sip(ms + 2, from, to, &request("ACK", 1, call, ";tag=b", None));
    }
    scene.talk(100, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.talk(1_200, 50, "192.0.2.2:5000", "192.0.2.1:4000", 0);
    for (ms, (call, from, to)) in [2_300, 5_300].into_iter().zip(legs) {
        scene.sip(ms, from, to, &request("BYE", 2, call, ";tag=b", None));
        scene.sip(ms + 5, to, from, &answer("2 BYE", call, None));
        scene.wait(ms + 10, ms + 3_000);
    }
    let jobs = scene.end();
    let calls: Vec<_> =
        jobs.iter().map(|job| job.call.as_ref().unwrap().call_id.as_str()).collect();
    assert_eq!(calls, ["one", "two"]);
    for job in &jobs {
        let spans = spans(job);
        let [(first, from, until), (second, ..)] = spans[..] else { panic!("{spans:?}") };
        assert_ne!(first, second);
        assert!(from <= 100 && until > 2_200, "{spans:?}");
    }
}

#[test]
fn audio_without_signalling_is_one_call_of_two_sides() {
    let mut scene = Scene::new();
    scene.talk(0, 50, "192.0.2.1:4000", "192.0.2.2:5000", 8);
    scene.talk(10, 50, "192.0.2.2:5000", "192.0.2.1:4000", 8);
    let jobs = scene.end();
    assert_eq!(jobs.len(), 1);
    assert!(jobs[0].call.is_none());
    let sides: Vec<_> = jobs[0].claims.iter().map(|claim| claim.side).collect();
    assert_eq!(sides, [Side::Caller, Side::Callee]);
}

#[test]
fn what_a_dynamic_payload_type_means_nobody_has_said() {
    let mut scene = Scene::new();
    scene.talk(0, 50, "192.0.2.1:4000", "192.0.2.2:5000", 111);
    assert!(scene.end().is_empty());
    assert_eq!(scene.engine.totals().unclaimed_packets, 50);
}

#[test]
fn an_attempt_without_media_is_counted_and_not_kept() {
    let mut scene = Scene::new();
    scene.sip(0, ALICE, BOB, &request("INVITE", 1, "one", "", Some((ALICE, 4000))));
    let busy = answer("1 INVITE", "one", None).replace("200 OK", "486 Busy Here");
    scene.sip(50, BOB, ALICE, &busy);
    assert!(scene.end().is_empty());
    assert_eq!(scene.engine.totals().attempts, 1);
}

#[test]
fn an_answered_call_without_media_is_kept_to_say_so() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.hang_up(5_000, "one");
    let jobs = scene.end();
    assert_eq!((jobs.len(), jobs[0].claims.len()), (1, 0));
}

#[test]
fn a_finished_call_leaves_nothing_behind() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.hang_up(1_500, "one");
    for ms in (2_000..120_000).step_by(500) {
        scene.engine.advance(at(ms));
        scene.obey();
    }
    assert_eq!(scene.jobs.len(), 1);
    assert_eq!(
        (scene.engine.calls_open(), scene.engine.ownership.len(), scene.engine.flows.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_call_goes_on_over_a_restart_as_one() {
    let mut scene = Scene::new();
    scene.set_up(0, "ended", 4002, 5002);
    scene.hang_up(500, "ended");
    scene.set_up(1_000, "one", 4000, 5000);
    scene.talk(1_100, 100, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.restart(10_000);
    assert!(scene.engine.needs_recovered());
    scene.talk(10_020, 100, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.hang_up(12_100, "one");
    scene.wait(12_500, 15_000);
    let calls: Vec<_> =
        scene.jobs.iter().map(|job| job.call.as_ref().unwrap().call_id.as_str()).collect();
    assert_eq!(calls, ["ended", "one"], "what had ended is finished again, and found to be there");
    let flows: Vec<_> = scene.jobs[1].claims.iter().map(|claim| claim.flow).collect();
    assert!(
        matches!(flows[..], [FlowRef::Recovered(_), FlowRef::Core(..)]),
        "what was before, and what came after: {flows:?}"
    );
    assert_eq!(scene.jobs[1].claims[0].key, scene.jobs[1].claims[1].key);
    scene.wait(15_000, 120_000);
    assert!(!scene.engine.needs_recovered(), "the earlier journal may go");
    assert_eq!(scene.jobs.len(), 2);
}

#[test]
fn a_call_that_hung_up_meanwhile_ends_at_its_last_packet() {
    let mut scene = Scene::new();
    scene.set_up(0, "one", 4000, 5000);
    scene.talk(100, 100, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.restart(60_000);
    scene.wait(60_000, 89_500);
    assert!(scene.jobs.is_empty(), "it may go on");
    scene.wait(90_000, 95_000);
    let ended = scene.jobs[0].call.as_ref().unwrap().ended;
    assert_eq!(ended, Some((at(2_080), EndReason::Interrupted)));
    scene.wait(95_000, 200_000);
    assert!(!scene.engine.needs_recovered());
}

#[test]
fn audio_without_signalling_goes_on_over_a_restart_as_one() {
    let mut scene = Scene::new();
    scene.talk(0, 5, "192.0.2.1:4000", "192.0.2.2:5000", 8);
    scene.talk(110, 50, "192.0.2.2:5000", "192.0.2.1:4000", 8);
    scene.restart(3_000);
    scene.talk(3_000, 2_000, "192.0.2.1:4000", "192.0.2.2:5000", 8);
    scene.wait(43_500, 100_000);
    assert_eq!(scene.jobs.len(), 1);
    let sides: Vec<_> = scene.jobs[0].claims.iter().map(|claim| claim.side).collect();
    assert_eq!(sides, [Side::Caller, Side::Callee, Side::Caller]);
    scene.wait(100_000, 200_000);
    assert!(!scene.engine.needs_recovered());
}

#[test]
fn a_clock_that_is_behind_that_of_the_run_before_ends_its_calls_and_no_others() {
    let mut scene = Scene::new();
    scene.set_up(3_600_000, "before", 4000, 5000);
    scene.talk(3_600_100, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.restart(3_610_000);
    scene.engine.end(EndReason::Interrupted);
    scene.obey();
    scene.engine.restart_clock(at(0));
    let ended = scene.jobs[0].call.as_ref().unwrap().ended.unwrap();
    assert_eq!(ended.1, EndReason::Interrupted);
    scene.set_up(1_000, "after", 4000, 5000);
    scene.talk(1_100, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.wait(2_200, 200_000);
    assert_eq!(scene.jobs.len(), 1, "it talks, as far as is known");
    scene.hang_up(201_000, "after");
    assert_eq!(scene.end().len(), 2);
}

#[test]
fn rtp_from_random_ports_does_not_crowd_out_a_call() {
    let mut scene = Scene::new();
    let (writer, _appender) =
        scene.journal.core(2, &WriterOptions::default(), Timestamp::ZERO).unwrap();
    scene.worker = Worker::new(writer).with_unannounced_max(100);
    for port in 10_000..10_300 {
        scene.talk(0, 1, &format!("203.0.113.9:{port}"), "192.0.2.9:7000", 0);
    }
    let ledger = scene.worker.ledger();
    let (taken, refused) = (ledger.of(Outcome::Media), ledger.of(Outcome::FlowTableFull));
    assert_eq!((taken, refused), (100, 200));
    scene.set_up(100, "one", 4000, 5000);
    scene.talk(200, 50, "192.0.2.1:4000", "192.0.2.2:5000", 0);
    scene.talk(200, 50, "192.0.2.2:5000", "192.0.2.1:4000", 0);
    scene.hang_up(2_300, "one");
    assert_eq!(scene.worker.ledger().of(Outcome::Media), 200, "all of the call");
    // What is idle gives way.
    scene.wait(2_500, 60_000);
    scene.talk(60_000, 1, "203.0.113.9:20000", "192.0.2.9:7000", 0);
    assert_eq!(scene.worker.ledger().of(Outcome::Media), 201);
    assert_eq!(scene.jobs.len(), 1);
}

#[test]
fn with_the_journals_memory_nearly_full_calls_that_are_up_stay_whole_and_new_ones_are_refused() {
    let mut scene = Scene::new();
    let options = WriterOptions { chunks_max: 20, ..WriterOptions::default() };
    let (writer, _appender) = scene.journal.core(1, &options, Timestamp::ZERO).unwrap();
    scene.worker = Worker::new(writer);
    scene.set_up(0, "up", 40_000, 50_000);
    let (alice, bob) = ((format!("{ALICE}:40000")), format!("{BOB}:50000"));
    // Nobody writes: chunks of 4 KB fill, and none is free again.
    let (mut packets, mut ms) = (0, 100);
    while scene.worker.journal().memory_used_percent() <= 85 {
        scene.talk(ms, 10, &alice, &bob, 0);
        (packets, ms) = (packets + 10, ms + 200);
    }
    scene.engine.refuse_new(Some(Limit::JournalMemory));
    scene.set_up(ms, "new", 41_000, 51_000);
    let (carol, dave) = (format!("{ALICE}:41000"), format!("{BOB}:51000"));
    scene.talk(ms + 50, 7, &carol, &dave, 0);
    scene.talk(ms + 50, 7, &dave, &carol, 0);
    scene.talk(ms + 50, 10, &alice, &bob, 0);
    packets += 10;
    scene.hang_up(ms + 300, "up");
    scene.engine.advance(at(ms + 5_000));
    scene.obey();
    let job = scene.jobs.iter().find(|job| job.call.as_ref().is_some_and(|it| it.call_id == "up"));
    assert_eq!(job.unwrap().claims.len(), 1);
    assert!(
        job.unwrap().call.as_ref().unwrap().ended.is_some_and(|(_, why)| why == EndReason::Bye)
    );
    assert_eq!(scene.worker.ledger().of(Outcome::Media), packets, "every packet is journaled");
    assert_eq!(scene.worker.ledger().of(Outcome::Excluded), 14, "none of the refused call");
    let refused: Vec<_> = scene.engine.refused().map(|it| (&*it.call_id, it.reason)).collect();
    assert_eq!(refused, [("new", Limit::JournalMemory)]);
    assert_eq!(scene.engine.totals().refused, 1);
    scene.engine.refuse_new(None);
    // Where the refused call still talks, another one begins: it is that one's.
    scene.set_up(ms + 6_000, "later", 41_000, 52_000);
    assert_eq!(scene.engine.calls_open(), 1, "taken again");
    scene.talk(ms + 6_100, 5, &format!("{BOB}:52000"), &carol, 0);
    scene.hang_up(ms + 6_300, "new");
    scene.talk(ms + 6_400, 5, &format!("{BOB}:52000"), &carol, 0);
    assert_eq!(scene.worker.ledger().of(Outcome::Media), packets + 10);
    scene.talk(ms + 6_500, 1, "203.0.113.9:6000", &dave, 0);
    assert_eq!(scene.worker.ledger().of(Outcome::Media), packets + 11, "the call is over");
    assert_eq!(scene.worker.ledger().of(Outcome::Excluded), 14);
}
