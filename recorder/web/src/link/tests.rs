//! A window against a recorder that the test plays, over a real socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::wire::{self, Decoder, Frame, Sound};
use super::words::{Ask, Tell};
use super::{LinkError, Piece, Recorder, status};

/// Nanoseconds; each look is a millisecond later.
static NOW: AtomicU64 = AtomicU64::new(1_700_000_000_000_000_000);

fn now() -> Timestamp {
    Timestamp::from_nanos(NOW.fetch_add(1_000_000, Ordering::Relaxed))
}

struct Rig {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    listener: UnixListener,
    recorder: Recorder,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join(super::SOCKET_NAME);
        let listener = UnixListener::bind(&socket).unwrap();
        let recorder = Recorder::new(socket.clone(), now);
        tokio::spawn(recorder.clone().run());
        Self { _folder: folder, socket, listener, recorder }
    }

    async fn connection(&self) -> Played {
        let (stream, _) = self.listener.accept().await.unwrap();
        Played { stream, decoder: Decoder::default() }
    }
}

/// The recorder's end of a connection.
struct Played {
    stream: UnixStream,
    decoder: Decoder,
}

impl Played {
    async fn tell(&mut self, tell: &Tell) {
        self.stream.write_all(&wire::encode(tell).unwrap()).await.unwrap();
    }

    async fn asked(&mut self) -> Ask {
        loop {
            if let Some(Frame::Words(ask)) = self.decoder.frame::<Ask>().unwrap() {
                return ask;
            }
            let mut bytes = [0; 4_096];
            let read = self.stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the window has gone");
            self.decoder.push(&bytes[..read]);
        }
    }

    /// The number of the listener who asks for this call.
    async fn asked_for(&mut self, wanted: &str) -> u32 {
        let Ask::Listen { listener, call } = self.asked().await else { panic!("no listener") };
        assert_eq!(call, wanted);
        listener
    }
}

fn of_node(node: &str) -> Tell {
    let status = status::Status { node: node.into(), ..status::Status::default() };
    Tell::Status { status: Box::new(status) }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it takes too long")
}

#[tokio::test]
async fn a_recorder_that_falls_silent_is_told_and_one_that_is_back_too() {
    let rig = Rig::new();
    assert!(rig.recorder.latest().silent_since.is_some(), "nothing was heard yet");
    let mut watch = rig.recorder.watch();
    let mut played = within(rig.connection()).await;
    played.tell(&of_node("one")).await;
    within(watch.wait_for(|latest| latest.silent_since.is_none())).await.unwrap();
    let came = rig.recorder.latest().came.unwrap();
    // It hangs, with the connection up.
    within(watch.wait_for(|latest| latest.silent_since == Some(came))).await.unwrap();
    assert_eq!(rig.recorder.latest().status.unwrap().node, "one", "what it said last is kept");
    played.tell(&of_node("two")).await;
    within(watch.wait_for(|latest| latest.silent_since.is_none())).await.unwrap();
    // It is killed: known at once.
    drop(played);
    within(watch.wait_for(|latest| latest.silent_since.is_some())).await.unwrap();
    let mut again = within(rig.connection()).await;
    again.tell(&of_node("three")).await;
    within(watch.wait_for(|latest| latest.silent_since.is_none())).await.unwrap();
    assert_eq!(rig.recorder.latest().status.unwrap().node, "three");
}

#[tokio::test]
async fn questions_have_their_own_answers() {
    let rig = Rig::new();
    let mut played = within(rig.connection()).await;
    let call = |id: &str| status::LiveCall { id: id.into(), ..status::LiveCall::default() };
    let (one, other) = (rig.recorder.clone(), rig.recorder.clone());
    let answers = tokio::spawn(async move {
        tokio::join!(one.calls(Some("one".into()), 1), other.calls(None, 2))
    });
    let (mut numbers, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let Ask::Calls { question, limit, .. } = within(played.asked()).await else { panic!() };
        numbers.push(question);
        limits.push(limit);
    }
    for (question, limit) in numbers.into_iter().zip(limits).rev() {
        let calls = vec![call(&format!("of {limit}"))];
        played.tell(&Tell::Calls { question, calls, total: u64::from(limit) }).await;
    }
    let (one, other) = within(answers).await.unwrap();
    assert_eq!((one.unwrap().calls[0].id.as_str(), other.unwrap().total), ("of 1", 2));
    let recorder = rig.recorder.clone();
    let unanswered = tokio::spawn(async move { recorder.calls(None, 1).await });
    within(played.asked()).await;
    drop(played);
    assert!(matches!(within(unanswered).await.unwrap(), Err(LinkError::NotRunning)));
}

#[tokio::test]
async fn a_call_is_heard_until_it_ends_or_the_listener_leaves() {
    let rig = Rig::new();
    let mut played = within(rig.connection()).await;
    let recorder = rig.recorder.clone();
    let listening = tokio::spawn(async move { recorder.listen("a").await });
    let listener = within(played.asked_for("a")).await;
    let call_id = Some("a@b".to_owned());
    played.tell(&Tell::Hears { listener, rate: 8_000, channels: 2, call_id }).await;
    let mut listening = within(listening).await.unwrap().unwrap();
    assert_eq!((listening.rate, listening.call_id.as_deref()), (8_000, Some("a@b")));
    let samples = vec![[1, 2], [3, 4]];
    let block = wire::encode_sound(listener, 99, &samples);
    played.stream.write_all(&block).await.unwrap();
    let heard = within(listening.next()).await;
    assert_eq!(heard, Piece::Sound(Sound { listener, time: 99, samples }));
    played.tell(&Tell::Ended { listener, reason: "ended".into() }).await;
    assert_eq!(within(listening.next()).await, Piece::Ended("ended".into()));

    let recorder = rig.recorder.clone();
    let refused = tokio::spawn(async move { recorder.listen("b").await.map(drop) });
    let listener = within(played.asked_for("b")).await;
    played.tell(&Tell::Ended { listener, reason: "full".into() }).await;
    assert_eq!(within(refused).await.unwrap(), Err(LinkError::Refused("full".into())));

    let recorder = rig.recorder.clone();
    let leaving = tokio::spawn(async move { recorder.listen("c").await });
    let listener = within(played.asked_for("c")).await;
    played.tell(&Tell::Hears { listener, rate: 8_000, channels: 2, call_id: None }).await;
    drop(within(leaving).await.unwrap().unwrap());
    assert_eq!(within(played.asked()).await, Ask::Leave { listener });
}

#[tokio::test]
async fn a_recorder_that_talks_nonsense_is_left_and_tried_again() {
    let rig = Rig::new();
    for nonsense in [&[0_u8, 0, 0, 0][..], &[255; 64], b"\x02\0\0\0\x01{", b"\x05\0\0\0\x02abcd"] {
        let mut played = within(rig.connection()).await;
        played.stream.write_all(nonsense).await.unwrap();
        let read = within(played.stream.read(&mut [0; 16])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{nonsense:?}: it is still there");
    }
    let mut sane = within(rig.connection()).await;
    sane.tell(&of_node("sane")).await;
    let mut watch = rig.recorder.watch();
    within(watch.wait_for(|latest| latest.silent_since.is_none())).await.unwrap();
    assert!(rig.socket.exists());
}
