//! What a window is told of a recorder that runs: its state as it is, the calls that are up, and their sound.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::Timestamp;
use tokio::runtime::Runtime;
use web::link::status::LiveCall;
use web::link::{Latest, Listening, Piece, Recorder, SOCKET_NAME};

use crate::callers::{Callers, Habits, Kind};
use crate::recorder::{Site, assert_nothing_lost, spread};
use crate::sound::Sound;
use crate::wire::{SPAN, eventually, ip, with_wire};

/// A window on a recorder.
struct Window {
    runtime: Runtime,
    recorder: Recorder,
}

#[expect(clippy::disallowed_methods, reason = "the clock of the test's window")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as u64)
}

impl Window {
    fn on(site: &Site) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let recorder = Recorder::new(site.data().join(SOCKET_NAME), now);
        runtime.spawn(recorder.clone().run());
        let window = Self { runtime, recorder };
        eventually("the recorder tells its state", || window.latest().silent_since.is_none());
        window
    }

    fn latest(&self) -> Latest {
        self.recorder.latest()
    }

    fn state(&self) -> String {
        let Latest { status, silent_since, .. } = self.latest();
        if silent_since.is_some() {
            return "silent".into();
        }
        status.unwrap().recording.state.clone()
    }

    fn calls(&self, party: Option<&str>) -> Vec<LiveCall> {
        let calls = self.recorder.calls(party.map(str::to_owned), 200);
        self.runtime.block_on(calls).unwrap().calls
    }

    fn listen(&self, call: &LiveCall) -> Listening {
        self.runtime.block_on(self.recorder.listen(&call.id)).unwrap()
    }
}

/// Hears a call to its end.
fn hear(window: &Window, mut listening: Listening) -> Sound {
    let mut heard = Sound::default();
    while heard.ended.is_none() {
        let next = async { tokio::time::timeout(Duration::from_secs(30), listening.next()).await };
        match window.runtime.block_on(next).unwrap() {
            Piece::Ended(reason) => heard.ended = Some(reason),
            Piece::Sound(sound) => heard.take(sound.time, sound.samples),
        }
    }
    heard
}

fn a_call_is_heard(mode: &'static str) {
    with_wire(move || {
        let site = Site::new();
        let recorder = site.start(&["--mode", mode]);
        let window = Window::on(&site);
        let habits = Habits { seed: 5, seconds: (6, 6), kinds: &[Kind::Plain] };
        let callers = Callers::start(&habits);
        callers.wait_until_up(4);
        callers.want(0);
        let answered = || -> Vec<_> {
            window.calls(None).into_iter().filter(|it| it.answer_time.is_some()).collect()
        };
        eventually("all calls are listed", || answered().len() == 4);
        assert!(answered().is_sorted_by(|a, b| a.start_time >= b.start_time), "the newest first");
        let call = answered().into_iter().next_back().unwrap();
        assert!(call.audible && call.codecs.len() == 1, "{call:?}");
        let call_id = call.call_id.clone().unwrap();
        let found = window.calls(Some(&call_id.to_uppercase()));
        assert_eq!(found.len(), 1, "{found:?}");
        let listening = window.listen(&call);
        assert_eq!((listening.rate, listening.call_id.as_ref()), (8_000, Some(&call_id)));
        let beside = window.listen(&call);
        let heard = hear(&window, listening);
        assert_eq!(heard.ended.as_deref(), Some("ended"));
        drop(beside);
        let began = callers.began();
        let sent = callers.finish();
        let this = sent.iter().find(|it| it.call.call_id() == call_id).unwrap();
        let told = heard.assert_as_sent(this);
        assert!(told.packets() > 50, "only {} packets were heard", told.packets());
        let delays = heard.delays(&told, this, began);
        let [_, median, most] = spread(delays.iter().map(|it| it.as_millis() as u64).collect());
        let evenly = delays.len();
        println!(
            "{mode}: {evenly} packets sent evenly are heard after {median} ms, at worst {most} ms"
        );
        eventually("no call is listed any more", || window.calls(None).is_empty());
        let unknown = window.runtime.block_on(window.recorder.listen(&call.id)).map(drop);
        assert_eq!(unknown.unwrap_err().to_string(), "the recorder says: unknown");
        eventually("the calls are recorded", || site.list().len() == 4);
        assert!(
            site.list().iter().any(|it| it.id.to_string() == call.id),
            "the id is the recording's"
        );
        let status = window.latest().status.unwrap();
        assert_eq!((status.listening.missed, status.calls.seen), (0, 4));
        assert_nothing_lost(&recorder.stop());
    });
}

#[test]
fn a_call_is_listed_and_heard_as_it_was_sent_by_packet_socket() {
    a_call_is_heard("packet");
}

#[test]
fn a_call_is_listed_and_heard_as_it_was_sent_by_xdp() {
    a_call_is_heard("xdp");
}

#[test]
fn the_state_is_true_while_the_interface_is_down_and_when_the_recorder_is_killed() {
    with_wire(|| {
        let site = Site::new();
        let recorder = site.start(&[]);
        let window = Window::on(&site);
        eventually("recording", || window.state() == "recording");
        let status = window.latest().status.unwrap();
        assert_eq!(status.interface.name, SPAN);
        assert!(status.interface.way.contains("XDP"), "{}", status.interface.way);
        assert!(!status.workers.is_empty() && !status.disks.is_empty(), "{status:?}");
        assert!(status.certificates.iter().any(|it| it.purpose == "recording"), "{status:?}");
        ip(&["link", "set", SPAN, "down"]);
        eventually("blind", || window.state() == "blind");
        let status = window.latest().status.unwrap();
        assert!(!status.interface.up, "{:?}", status.recording);
        let reason = status.recording.reason.clone().unwrap();
        assert!(reason.contains("the interface was down"), "{reason}");
        ip(&["link", "set", SPAN, "up"]);
        // Nothing is sent on this wire: after 10 s without a packet it is blind again.
        eventually("recording again", || window.state() == "recording");
        recorder.kill();
        eventually("silent", || window.state() == "silent");
        assert!(site.data().join(SOCKET_NAME).exists());
        let recorder = site.start(&[]);
        eventually("heard again", || window.state() == "recording");
        recorder.stop();
        eventually("silent again", || window.state() == "silent");
        assert!(!site.data().join(SOCKET_NAME).exists(), "it ended in good order");
    });
}

#[test]
fn the_process_that_serves_the_pages_ends_with_the_recorder_and_is_started_again_before() {
    with_wire(|| {
        let site = Site::new();
        let recorder = site.start(&["--web", "0.0.0.0:0"]);
        let listens = || site.read_log().matches("listening on").count();
        eventually("the pages are served", || listens() == 1);
        let has_link = || site.read_log().contains("make the first user, once: https://");
        eventually("the set-up link is shown", has_link);
        let keeper = children(recorder.id());
        assert_eq!(keeper.len(), 1);
        let server = children(keeper[0]);
        assert_eq!(server.len(), 1);
        let status = std::fs::read_to_string(format!("/proc/{}/status", server[0])).unwrap();
        assert!(status.contains("CapEff:\t0000000000000400"), "{status}");
        let pid = rustix::process::Pid::from_raw(server[0].cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        eventually("the pages are served again", || listens() == 2);
        let server = children(keeper[0]);
        recorder.kill();
        let is_gone = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        eventually("both are gone", || keeper.iter().chain(&server).all(is_gone));
    });
}

/// The processes that a process started.
pub(crate) fn children(of: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let parent = |id: &u32| -> Option<u32> {
        let stat =
            std::fs::read_to_string(PathBuf::from("/proc").join(id.to_string()).join("stat"));
        stat.ok()?.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    ids.filter(|id| parent(id) == Some(of)).collect()
}

/// Clients that do not keep to the rules are disconnected, and harm nobody.
#[test]
fn hostile_windows_harm_nobody() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    with_wire(|| {
        let site = Site::new();
        let recorder = site.start(&[]);
        let window = Window::on(&site);
        let path: &Path = &site.data().join(SOCKET_NAME);
        let connect = || UnixStream::connect(path).unwrap();
        for nonsense in [&[0_u8, 0, 0, 0][..], &[255; 100], b"\x02\0\0\0\x01{", &[9; 70_000]] {
            let mut stream = connect();
            // It may be gone before all is said.
            let _ = stream.write_all(nonsense);
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut all = Vec::new();
            match stream.read_to_end(&mut all) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
        // One that asks for more than it takes, and one that says half a word.
        let ask = web::link::words::Ask::Calls { question: 1, party: None, limit: u32::MAX };
        let frame = web::link::wire::encode(&ask).unwrap();
        let (mut greedy, mut slow) = (connect(), connect());
        greedy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        while greedy.write_all(&frame.repeat(100)).is_ok() {}
        slow.write_all(&frame[..3]).unwrap();
        // More than may be are turned away.
        let many: Vec<_> = (0..20).map(|_| connect()).collect();
        eventually("the decent one is told all the same", || window.state() == "recording");
        assert!(window.calls(None).is_empty());
        drop((many, slow, greedy));
        recorder.stop();
    });
}
