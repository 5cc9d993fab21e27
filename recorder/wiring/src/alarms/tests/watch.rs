//! Each condition of a live run, from counts that say so until they do not.

use base::Outcome;
use base::ledger::Note;

use super::*;
use crate::alarms::settings::Settings;
use crate::alarms::watch::Watch;

/// A run with counts that a test sets.
struct Run {
    board: Board,
    watch: Watch,
    sample: Sample,
    millis: u64,
}

impl Run {
    fn new() -> Self {
        let board = Board::new();
        let sample = Sample { interface: "eth1".into(), ..Sample::default() };
        Self { watch: Watch::new(board.clone()), board, sample, millis: 0 }
    }

    /// Lets time pass, in which packets come in and the counts are looked at.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.sample.received += 10;
            self.look();
        }
    }

    fn look(&mut self) {
        let now = at(self.millis);
        self.watch.look(now, self.sample.clone(), &Settings::default());
        self.board.tick(now);
        self.millis += 250;
    }

    fn frames(&mut self, outcome: Outcome, count: u64) {
        for _ in 0..count {
            self.sample.frames.receive();
            self.sample.frames.count(outcome);
        }
    }

    fn detail(&self) -> String {
        self.board.raised()[0].detail.clone()
    }
}

#[test]
fn a_healthy_run_has_no_alarm() {
    let mut run = Run::new();
    for _ in 0..400 {
        run.frames(Outcome::Media, 100);
        run.frames(Outcome::Signalling, 1);
        run.sample.calls.answered += 1;
        run.sample.calls.recorded += 1;
        run.sample.calls.media_packets += 100;
        run.sample.workers = vec![(60, 10), (70, 3)];
        run.pass(1);
    }
    assert_eq!(up(&run.board), [""; 0]);
}

#[test]
fn no_packets() {
    let mut run = Run::new();
    run.pass(5);
    for _ in 0..48 {
        run.look();
    }
    assert_eq!(up(&run.board), ["no_packets"]);
    assert_eq!(run.detail(), format!("no packet on eth1 since {}", at(4_750).wall));
    run.pass(40);
    assert!(up(&run.board).is_empty());
}

#[test]
fn no_packet_ever() {
    let mut run = Run::new();
    for _ in 0..45 {
        run.look();
    }
    assert_eq!(run.detail(), "no packet on eth1 since the start");
}

#[test]
fn interface_down() {
    let mut run = Run::new();
    run.sample.down = Some("has no carrier");
    run.pass(1);
    assert_eq!(up(&run.board), ["interface_down"]);
    assert_eq!(run.detail(), "eth1 has no carrier");
    run.sample.down = None;
    run.pass(11);
    assert!(up(&run.board).is_empty());
}

/// Counts grow once: the alarm rises at once, says what and how many, and clears a minute later.
fn rises_and_clears(name: &str, detail: &str, lose: impl FnOnce(&mut Run)) {
    let mut run = Run::new();
    run.pass(1);
    lose(&mut run);
    run.pass(1);
    assert_eq!(up(&run.board), [name]);
    assert_eq!(run.detail(), detail);
    run.pass(58);
    assert_eq!(up(&run.board), [name]);
    run.pass(3);
    assert!(up(&run.board).is_empty());
    assert_eq!(run.board.history()[0].id.name(), name);
}

#[test]
fn losses_of_each_stage() {
    rises_and_clears("drop_interface", "7 rx_missed_errors just now, 7 since the start", |run| {
        run.sample.interface_lost = vec![("rx_missed_errors", 7)]
    });
    rises_and_clears("drop_program", "4 not handed over just now, 4 since the start", |run| {
        run.sample.program_lost = 4;
    });
    rises_and_clears(
        "drop_socket",
        "3 rx_dropped just now, 3 since the start; 5 rx_ring_full just now, 5 since the start",
        |run| run.sample.sockets_lost = vec![("rx_dropped", 3), ("rx_ring_full", 5)],
    );
    for outcome in [Outcome::FragmentTableFull, Outcome::TcpTableFull, Outcome::FlowTableFull] {
        let detail = format!("2 {} just now, 2 since the start", outcome.name());
        rises_and_clears("drop_tables", &detail, |run| run.frames(outcome, 2));
    }
    rises_and_clears("drop_journal", "1 journal_full just now, 1 since the start", |run| {
        run.frames(Outcome::JournalFull, 1);
    });
    rises_and_clears(
        "drop_signalling",
        "1 signalling_ring_full just now, 1 since the start",
        |run| run.frames(Outcome::SignallingRingFull, 1),
    );
    rises_and_clears("orders_refused", "9 orders refused just now, 9 since the start", |run| {
        run.sample.orders_refused = 9;
    });
    rises_and_clears("sip_refused", "6 sip_table_full just now, 6 since the start", |run| {
        run.sample.frames.note(Note::SipTableFull, 6);
    });
}

#[test]
fn every_dropped_outcome_has_an_alarm() {
    for outcome in Outcome::ALL.iter().filter(|it| it.class() == base::ledger::Class::Dropped) {
        let mut run = Run::new();
        run.frames(*outcome, 1);
        run.pass(1);
        assert_eq!(run.board.raised().len(), 1, "{} goes unnoticed", outcome.name());
    }
}

#[test]
fn a_busy_worker() {
    for workers in [vec![(20, 0), (97, 4)], vec![(20, 0), (30, 60)]] {
        let mut run = Run::new();
        run.sample.workers = workers;
        run.pass(9);
        assert!(up(&run.board).is_empty(), "a peak is no alarm");
        run.pass(3);
        assert_eq!(up(&run.board), ["worker_busy"]);
        assert!(run.detail().starts_with("capture thread 1:"), "{}", run.detail());
        run.sample.workers = vec![(20, 0), (30, 4)];
        run.pass(31);
        assert!(up(&run.board).is_empty());
    }
}

#[test]
fn calls_that_wait_and_calls_that_failed() {
    let mut run = Run::new();
    run.sample.jobs_waiting = 12;
    run.pass(11);
    assert_eq!(up(&run.board), ["finishing_behind"]);
    run.sample.jobs_waiting = 0;
    run.pass(31);
    assert!(up(&run.board).is_empty());
    run.sample.calls.failed = 1;
    run.pass(300);
    assert_eq!(up(&run.board), ["finishing_failed"], "it is still not finished");
    // It was tried again, and finished.
    run.sample.calls.failed = 0;
    run.pass(61);
    assert!(up(&run.board).is_empty());
}

/// Six calls go wrong in the way that `wrong` says, then time passes in which as many as it takes go well.
fn rule_and_exception(name: &str, wrong: impl Fn(&mut Calls)) {
    let mut run = Run::new();
    run.pass(1);
    for call in 0..6 {
        assert!(up(&run.board).is_empty() || call >= 5, "{call} calls are no rule");
        wrong(&mut run.sample.calls);
        run.pass(1);
    }
    assert_eq!(up(&run.board), [name]);
    run.pass(400);
    assert_eq!(up(&run.board), [name], "that nothing came proves nothing");
    for _ in 0..60 {
        let calls = &mut run.sample.calls;
        (calls.answered, calls.recorded) = (calls.answered + 1, calls.recorded + 1);
        run.pass(5);
    }
    run.pass(65);
    assert!(up(&run.board).is_empty());
}

#[test]
fn shares_of_calls() {
    rule_and_exception("sip_without_rtp", |calls| {
        calls.answered += 1;
        calls.without_media += 1;
    });
    rule_and_exception("rtp_without_sip", |calls| calls.without_signalling += 1);
    rule_and_exception("one_direction", |calls| {
        calls.answered += 1;
        calls.one_sided += 1;
    });
    rule_and_exception("recordings_incomplete", |calls| {
        calls.recorded += 1;
        calls.incomplete += 1;
    });
    rule_and_exception("undecryptable", |calls| {
        calls.recorded += 1;
        calls.encrypted += 1;
    });
}

#[test]
fn media_and_no_signalling_at_all() {
    let mut run = Run::new();
    run.pass(1);
    run.frames(Outcome::Media, 6_000);
    run.pass(1);
    assert_eq!(up(&run.board), ["rtp_without_sip"]);
    assert!(run.detail().contains("not one of signalling"), "{}", run.detail());
    run.frames(Outcome::Signalling, 1);
    run.pass(62);
    assert!(up(&run.board).is_empty());
}

#[test]
fn a_long_call_needs_no_signalling() {
    let mut run = Run::new();
    run.sample.calls.open = 1;
    run.pass(1);
    run.frames(Outcome::Media, 6_000);
    run.pass(1);
    assert!(up(&run.board).is_empty());
}

#[test]
fn duplicates_by_frames_and_by_media() {
    for by_frames in [true, false] {
        let mut run = Run::new();
        run.pass(1);
        if by_frames {
            run.frames(Outcome::Media, 4_999);
            run.frames(Outcome::Signalling, 1);
            run.frames(Outcome::DuplicateFrame, 1_000);
        } else {
            run.sample.calls.media_packets += 6_000;
            run.sample.calls.media_duplicates += 1_000;
        }
        run.pass(1);
        assert_eq!(up(&run.board), ["duplicates"]);
        assert_eq!(run.detail(), "16.7 % of 6000 packets came more than once in 5 min");
        run.pass(301);
        run.sample.calls.media_packets += 6_000;
        run.frames(Outcome::Signalling, 6_000);
        run.pass(70);
        assert!(up(&run.board).is_empty());
    }
}
