//! What goes wrong while the recorder runs is survived, counted and told.

use std::collections::BTreeMap;
use std::time::Duration;

use base::recording::Recording;
use rustix::process::Signal;

use crate::recorder::{assert_nothing_lost, spanreel};
use crate::rig::Rig;
use crate::wire::{
    SPAN, add_pair, add_pair_of_queues, eventually, flood, ip, play, skip, with_wire,
};

/// Plays the calls twice, with something in between.
fn twice(mode: &'static str, between: impl FnOnce(&Rig) + Send + 'static) {
    with_wire(move || {
        let rig = Rig::new(2, 2);
        let recorder = rig.start(&["--mode", mode]);
        play(&rig.capture());
        eventually("the calls", || rig.list().len() == 2);
        between(&rig);
        play(&rig.capture());
        // The same Call-IDs at another time: other calls.
        eventually("the calls after that", || rig.list().len() == 4);
        let ledger = recorder.stop();
        assert_nothing_lost(&ledger);
        assert!(rig.list().iter().all(|it| it.complete), "{:?}", rig.list());
    });
}

fn down_and_up(rig: &Rig) {
    ip(&["link", "set", SPAN, "down"]);
    eventually("telling that it is down", || rig.read_log().contains("is down"));
    ip(&["link", "set", SPAN, "up"]);
    eventually("telling that it is up", || rig.read_log().contains("is up"));
}

#[test]
fn an_interface_that_goes_down_and_comes_back_by_packet_socket() {
    twice("packet", down_and_up);
}

#[test]
fn an_interface_that_goes_down_and_comes_back_by_xdp() {
    twice("xdp", down_and_up);
}

/// Calls are up while the interface goes down and comes back: each has a gap of that kind and about that length on
/// both sides, and is whole otherwise.
#[expect(clippy::disallowed_methods, reason = "calls go on meanwhile")]
fn down_in_mid_call(mode: &'static str) {
    const DOWN: Duration = Duration::from_secs(2);
    with_wire(move || {
        let rig = Rig::new(3, 10);
        let recorder = rig.start(&["--mode", mode]);
        let capture = rig.capture();
        let calls = std::thread::spawn(move || play(&capture));
        std::thread::sleep(Duration::from_secs(4));
        ip(&["link", "set", SPAN, "down"]);
        std::thread::sleep(DOWN);
        ip(&["link", "set", SPAN, "up"]);
        calls.join().unwrap();
        eventually("the calls", || rig.list().len() == rig.truth.len());
        let ledger = recorder.stop();
        assert_nothing_lost(&ledger);
        for recording in rig.list() {
            assert!(!recording.complete && recording.end_reason == "BYE", "{recording:?}");
            let reasons = recording.incomplete_reasons.join("; ");
            assert!(reasons.contains("the interface was down for"), "{reasons}");
            let gaps = &recording.gaps;
            assert_eq!(gaps.len(), 2, "one a side: {gaps:?}");
            for gap in gaps {
                assert_eq!(gap.reason, "interfaceDown");
                // A busy machine takes its time over `ip`; it never is down shorter.
                assert!(gap.duration >= 1_900.0 && gap.duration < 5_000.0, "{gap:?}");
            }
            let clock = recording.clock.as_ref().unwrap();
            assert!(clock.offset_nanoseconds.abs() < 1_000_000_000 && clock.steps.is_empty());
        }
        rig.verify();
    });
}

#[test]
fn an_interface_that_is_down_in_mid_call_by_packet_socket() {
    down_in_mid_call("packet");
}

#[test]
fn an_interface_that_is_down_in_mid_call_by_xdp() {
    down_in_mid_call("xdp");
}

#[test]
fn an_interface_that_is_removed_and_made_anew() {
    twice("packet", |rig| {
        ip(&["link", "del", SPAN]);
        eventually("telling that it is gone", || rig.read_log().contains("was removed"));
        add_pair();
        eventually("promiscuous mode, as a sign of life", || {
            // Four sockets, one a queue.
            capture::nic::Link::find(SPAN).unwrap().promiscuity == 4
        });
    });
}

#[test]
fn under_xdp_a_removed_interface_ends_the_run_with_everything_stored() {
    with_wire(|| {
        let rig = Rig::new(2, 2);
        let recorder = rig.start(&["--mode", "xdp"]);
        play(&rig.capture());
        ip(&["link", "del", SPAN]);
        let (status, _) = recorder.wait();
        assert_eq!(status.code(), Some(1), "so that a service manager starts it again");
        assert!(rig.read_log().contains("span0 was removed"), "{}", rig.read_log());
        assert_eq!(rig.list().len(), 2);
    });
}

/// The recorder is held up while packets come in: what does not fit its rings is counted, and told with the calls
/// that were up.
#[expect(clippy::disallowed_methods, reason = "calls go on meanwhile")]
fn too_slow(mode: &'static str, reason: &'static str) {
    with_wire(move || {
        let (rig, other) = (Rig::new(2, 6), Rig::of(8, 50, 1));
        let recorder = rig.start(&["--mode", mode]);
        let capture = rig.capture();
        let calls = std::thread::spawn(move || play(&capture));
        std::thread::sleep(Duration::from_secs(2));
        recorder.signal(Signal::STOP);
        flood(&other.capture(), 400_000);
        recorder.signal(Signal::CONT);
        calls.join().unwrap();
        let ours = |rig: &Rig| {
            let ids: Vec<_> = rig.truth.iter().map(|truth| Some(truth.call_id.clone())).collect();
            let is_ours = |it: &Recording| ids.contains(&it.call_id);
            rig.list().into_iter().filter(is_ours).collect::<Vec<_>>()
        };
        eventually("the calls", || ours(&rig).len() == 2);
        let ledger = recorder.stop();
        assert_eq!(ledger["ledgerBalances"], true, "{ledger}");
        assert!(ledger["socketsLost"][reason].as_u64().unwrap() > 0, "{ledger}");
        for recording in ours(&rig) {
            let notes = recording.notes.join("\n");
            assert!(notes.contains("the recorder lost"), "{notes}");
        }
        assert!(rig.read_log().contains("packets were lost just now"), "{}", rig.read_log());
    });
}

#[test]
fn a_ring_that_is_full_is_counted_by_packet_socket() {
    too_slow("packet", "tp_drops");
}

#[test]
fn a_ring_that_is_full_is_counted_by_xdp() {
    too_slow("xdp", "rx_dropped");
}

#[test]
fn a_reload_takes_what_is_right_and_refuses_what_is_wrong() {
    with_wire(|| {
        let rig = Rig::new(1, 1);
        let path = rig.path("spanreel.toml");
        std::fs::write(&path, "signalling_ports = [5060]\n").unwrap();
        let recorder = rig.start(&["--config", path.to_str().unwrap()]);
        std::fs::write(&path, "signalling_port = [5061]\n").unwrap();
        recorder.signal(Signal::HUP);
        eventually("refusing", || rig.read_log().contains("did you mean `signalling_ports`?"));
        std::fs::write(&path, "signalling_ports = [\"5060-5070\"]\nmono = true\n").unwrap();
        recorder.signal(Signal::HUP);
        eventually("reading", || rig.read_log().contains("was read again"));
        assert!(rig.read_log().contains("mono changes only with a restart"), "{}", rig.read_log());
        let certificate = rig.data().join("keys/node.crt");
        let text = format!("certificates = [{certificate:?}]\nstats_every_seconds = 1\n");
        std::fs::write(&path, text).unwrap();
        recorder.signal(Signal::HUP);
        eventually("the ledger every second", || rig.read_log().contains("packets were lost"));
        play(&rig.capture());
        eventually("the call", || rig.list().len() == 1);
        recorder.stop();
        // Sealed for the other certificate now: the folder's own key does not open it.
        let id = rig.list()[0].id.to_string();
        let mut open = spanreel();
        open.args(["play", &id, "--to", "/dev/null", "--format", "wav", "--data"]).arg(rig.data());
        assert!(!open.output().unwrap().status.success());
    });
}

/// `SCHED_RR` (sched(7)): in real time, and none but the threads that take packets.
#[test]
fn capture_threads_go_before_all_others() {
    const POLICY: usize = 41;
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return skip("with one CPU, no thread goes before all others");
    }
    with_wire(|| {
        // A capture thread for each CPU would leave nothing to the others.
        ip(&["link", "delete", SPAN]);
        add_pair_of_queues(1);
        let rig = Rig::new(1, 1);
        let recorder = rig.start(&[]);
        play(&rig.capture());
        eventually("the call", || rig.list().len() == 1);
        let mut policies = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", recorder.id())).unwrap() {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            let (name, fields) = stat.rsplit_once(") ").unwrap();
            // Fields are counted from 1 (proc_pid_stat(5)); this is the third and on.
            let policy = fields.split(' ').nth(POLICY - 3).unwrap();
            policies.insert(name.split_once('(').unwrap().1.to_owned(), policy.to_owned());
        }
        let others = policies.iter().filter(|(name, _)| !name.starts_with("capture-"));
        assert_eq!(policies["capture-0"], "2");
        assert!(others.clone().count() > 3, "{policies:?}");
        assert!(others.into_iter().all(|(_, policy)| policy == "0"), "{policies:?}");
        recorder.stop();
    });
}

#[test]
fn privileges_are_given_up() {
    with_wire(|| {
        let rig = Rig::new(1, 1);
        let recorder = rig.start(&[]);
        play(&rig.capture());
        eventually("the call", || rig.list().len() == 1);
        // CAP_NET_ADMIN (12), CAP_NET_RAW (13), CAP_SYS_NICE (23), CAP_BPF (39), in every thread.
        let kept = (1_u64 << 12 | 1 << 13 | 1 << 23 | 1 << 39, 1);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", recorder.id())).unwrap();
        for task in tasks {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
            };
            let effective = u64::from_str_radix(&line("CapEff:"), 16).unwrap();
            let no_new = line("NoNewPrivs:").parse().unwrap();
            assert_eq!((effective & !kept.0, no_new), (0, kept.1), "{}", line("Name:"));
            // Mode 2: a filter of system calls.
            assert_eq!(line("Seccomp:"), "2", "{}", line("Name:"));
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", recorder.id())).unwrap();
        let core_dumps =
            limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core_dumps.split_whitespace().nth(4), Some("0"));
        recorder.stop();
    });
}
