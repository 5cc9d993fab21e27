//! Status, calls and listening, with a recorder that the test plays on a real socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use web::auth::{Right, Role};
use web::link::status::{Incomplete, LiveCall, Status};
use web::link::wire::{self, Decoder, Frame};
use web::link::words::{Ask, Tell};
use web::link::{CallNews, SOCKET_NAME};

use crate::rig::{Client, Rig, now};

const CALL: &str = "018f0000-0000-7000-8000-000000000000";

/// The recorder's end of the connection.
struct Played {
    stream: UnixStream,
    decoder: Decoder,
}

impl Played {
    fn start(rig: &Rig) -> (UnixListener, Self) {
        let listener = UnixListener::bind(rig.folder.path().join(SOCKET_NAME)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (listener, Self { stream, decoder: Decoder::default() })
    }

    fn tell(&mut self, tell: &Tell) {
        self.stream.write_all(&wire::encode(tell).unwrap()).unwrap();
    }

    fn asked(&mut self) -> Ask {
        loop {
            if let Some(Frame::Words(ask)) = self.decoder.frame::<Ask>().unwrap() {
                return ask;
            }
            let mut bytes = [0; 4_096];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the window has gone");
            self.decoder.push(&bytes[..read]);
        }
    }

    /// Says that all is well, and waits until the window knows.
    fn is_well(&mut self, rig: &Rig) {
        self.tell(&well());
        eventually(|| rig.app.recorder().latest().silent_since.is_none());
    }
}

fn well() -> Tell {
    let mut status = Status { time: now(), node: "span1".into(), ..Status::default() };
    status.recording.state = "recording".into();
    status.calls.concurrent = 3;
    let (caller, callee) = ("+49301".into(), "+49302".into());
    status.incomplete.push(Incomplete { caller, callee, ..Incomplete::default() });
    Tell::Status { status: Box::new(status) }
}

fn call() -> LiveCall {
    let call_id = Some("a@b".into());
    LiveCall { id: CALL.into(), call_id, audible: true, ..LiveCall::default() }
}

fn eventually(mut happened: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not happen");
}

/// The next event of this name, out of a stream of server-sent events.
fn event(stream: &mut impl std::io::Read, name: &str) -> Value {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the events end: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        let mut rest = text.as_str();
        while let Some((one, after)) = rest.split_once("\n\n") {
            // Chunks of HTTP/1.1 begin with their length.
            let one = one.rsplit_once("\r\n").map_or(one, |(_, one)| one);
            if let Some(data) = one.strip_prefix(&format!("event: {name}\ndata: ")) {
                return serde_json::from_str(data).unwrap();
            }
            rest = after;
        }
        text = rest.to_owned();
    }
}

/// Asks by a connection of its own, for what does not end.
fn get(rig: &Rig, client: &Client, path: &str) -> impl std::io::Read + use<> {
    let mut stream = rig.raw();
    let cookie = client.cookie.as_deref().unwrap_or_default();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost");
    write!(stream, "{head}\r\nCookie: __Host-spanreel={cookie}\r\n\r\n").unwrap();
    stream
}

#[test]
fn the_status_is_told_as_it_comes_and_its_silence_too() {
    let rig = Rig::start();
    let admin = rig.first();
    let before = admin.get("/api/v2/status").json();
    assert_eq!((&before["recorder"], &before["silentSince"]), (&Value::Null, &Value::Null));
    let (listener, mut played) = Played::start(&rig);
    played.is_well(&rig);
    let body = admin.get("/api/v2/status").json();
    assert_eq!(
        (&body["recorder"]["calls"]["concurrent"], &body["silentSince"]),
        (&json!(3), &Value::Null)
    );
    let mut events = get(&rig, &admin, "/api/v2/status/events");
    assert_eq!(event(&mut events, "status")["recorder"]["recording"]["state"], "recording");
    assert_eq!(body["nodes"][0]["recording"], "recording");
    // It is killed: the socket stays.
    drop((played, listener));
    let told = std::iter::repeat_with(|| event(&mut events, "status"));
    let silent = told.take(5).find(|body| !body["silentSince"].is_null()).expect("no false green");
    assert_eq!(silent["recorder"]["node"], "span1", "what it said last");
    assert_eq!(silent["nodes"][0]["recording"], "silent");
    // What other nodes' pages are told comes from the database.
    let row = "SELECT recording FROM live_nodes WHERE node = 'span1'";
    eventually(|| rig.app.database().query(row, &[]).unwrap().len() == 1);
}

#[test]
fn who_may_not_see_calls_sees_no_parties_in_the_status() {
    let rig = Rig::start();
    let admin = rig.first();
    let (_listener, mut played) = Played::start(&rig);
    played.is_well(&rig);
    let viewer = rig.user(&admin, "viewer", &[Role::Viewer]);
    let caller = |client: &Client| {
        client.get("/api/v2/status").json()["recorder"]["incomplete"][0]["caller"].clone()
    };
    assert_eq!((caller(&admin), caller(&viewer)), (json!("+49301"), json!("")));
    let mut events = get(&rig, &viewer, "/api/v2/status/events");
    assert_eq!(event(&mut events, "status")["recorder"]["incomplete"][0]["callee"], "");
    for path in ["/api/v2/calls", "/api/v2/calls/events"] {
        assert_eq!(viewer.get(path).status, 403, "{path}");
    }
    assert_eq!(viewer.get(&format!("/api/v2/calls/{CALL}/listen")).status, 403);
    assert_eq!(rig.client().get("/api/v2/status").status, 401);
    assert_eq!(admin.get("/api/v2/status/history?hours=25").status, 400);
    assert_eq!(admin.get("/api/v2/status/history").json()["step"], 60);
}

#[test]
fn calls_are_listed_and_their_news_are_told() {
    let rig = Rig::start();
    let admin = rig.first();
    assert_eq!(admin.get("/api/v2/calls").status, 503, "no recorder");
    let (_listener, mut played) = Played::start(&rig);
    played.is_well(&rig);
    let asking = admin.clone();
    let answer = std::thread::scope(|scope| {
        let answer = scope.spawn(move || asking.get("/api/v2/calls?party=%2B493&limit=7").json());
        let Ask::Calls { question, party, limit } = played.asked() else { panic!() };
        assert_eq!((party.as_deref(), limit), (Some("+493"), 7));
        played.tell(&Tell::Calls { question, calls: vec![call()], total: 12 });
        answer.join().unwrap()
    });
    assert_eq!((&answer["calls"][0]["id"], &answer["total"]), (&json!(CALL), &json!(12)));
    let mut events = get(&rig, &admin, "/api/v2/calls/events");
    for what in ["began", "ended"] {
        let news = CallNews { what: what.into(), call: call() };
        // The first may come before the connection is there.
        let told = std::thread::scope(|scope| {
            let told = scope.spawn(|| event(&mut events, what));
            while !told.is_finished() {
                played.tell(&Tell::News { news: news.clone() });
                std::thread::sleep(Duration::from_millis(50));
            }
            told.join().unwrap()
        });
        assert_eq!(told["callId"], "a@b");
    }
    let audit = rig.audit();
    assert!(audit.iter().any(|entry| entry.detail["party"] == "+493"), "{audit:?}");
}

#[test]
fn a_call_is_heard_and_that_is_noted_before() {
    let rig = Rig::start();
    let admin = rig.first();
    let (_listener, mut played) = Played::start(&rig);
    played.is_well(&rig);
    let path = format!("/api/v2/calls/{CALL}/listen");
    assert_eq!(admin.get(&path).status, 400, "no handshake");
    let connect = |origin: &str| {
        let mut request = format!("wss://localhost{path}").into_client_request().unwrap();
        let cookie = format!("__Host-spanreel={}", admin.cookie.as_ref().unwrap());
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        tungstenite::client(request, rig.raw()).map_err(Box::new)
    };
    let foreign = connect("https://evil.example").err().unwrap().to_string();
    assert!(foreign.contains("403"), "{foreign}");
    let mut answered = |answer: &dyn Fn(u32) -> Tell| {
        std::thread::scope(|scope| {
            let socket = scope.spawn(|| connect("https://localhost"));
            let Ask::Listen { listener, call } = played.asked() else { panic!() };
            assert_eq!(call, CALL);
            played.tell(&answer(listener));
            (socket.join().unwrap(), listener)
        })
    };
    let refused = |listener| Tell::Ended { listener, reason: "unknown".into() };
    let unknown = answered(&refused).0.err().unwrap().to_string();
    assert!(unknown.contains("404"), "{unknown}");
    let call_id = Some("a@b".to_owned());
    let hears =
        |listener| Tell::Hears { listener, rate: 8_000, channels: 2, call_id: call_id.clone() };
    let (socket, listener) = answered(&hears);
    let (mut socket, _) = socket.unwrap_or_else(|error| panic!("{error}"));
    let heard = rig.audit().into_iter().rfind(|entry| entry.detail["callId"] == "a@b").unwrap();
    assert_eq!((heard.subject.as_str(), heard.allowed), (CALL, true));
    let mut json = || match socket.read().unwrap() {
        Message::Text(text) => serde_json::from_str::<Value>(&text).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(json(), json!({ "rate": 8_000, "channels": 2, "callId": "a@b" }));
    let block = wire::encode_sound(listener, 1_700_000_000_123, &[[1, -2], [3, -4]]);
    played.stream.write_all(&block).unwrap();
    let mut expected = 1_700_000_000_123_u64.to_le_bytes().to_vec();
    [1_i16, -2, 3, -4].iter().for_each(|sample| expected.extend(sample.to_le_bytes()));
    let Message::Binary(bytes) = socket.read().unwrap() else { panic!("no sound") };
    assert_eq!(bytes, expected);
    played.tell(&Tell::Ended { listener, reason: "ended".into() });
    let Message::Text(text) = socket.read().unwrap() else { panic!("no end") };
    assert_eq!(text.as_str(), r#"{"ended":"ended"}"#);
    assert!(matches!(socket.read().unwrap(), Message::Close(_)));
}

#[test]
fn metrics_are_for_who_may_and_for_this_machine_but_not_through_a_proxy() {
    let rig = Rig::start();
    let admin = rig.first();
    let token = rig.token(&admin, "prometheus", &[Right::SeeStatus]);
    let blind = rig.token(&admin, "other", &[Right::Label]);
    let local = rig.client().get("/metrics");
    assert_eq!(local.status, 200);
    assert!(local.text().ends_with("spanreel_up 0\n"), "{}", local.text());
    assert_eq!((token.get("/metrics").status, blind.get("/metrics").status), (200, 403));
    let mut stream = rig.raw();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let (_listener, mut played) = Played::start(&rig);
    played.is_well(&rig);
    let text = token.get("/metrics").text();
    assert!(text.contains("spanreel_calls_concurrent 3\n"), "{text}");
}
