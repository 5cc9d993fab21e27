//! People who look on, each a connection and a thread.

use std::cell::Cell;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base::Timestamp;
use serde_json::Value;
use tungstenite::{Error, Message};
use web::link::status::Status;

use super::house::{Ear, House};
use crate::sound::Sound;
use crate::wire::eventually;

/// A player asks for so much of a recording that often: four times as fast as it sounds.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE_EVERY: Duration = Duration::from_millis(500);
/// Before a listener looks for another call.
const PAUSE: Duration = Duration::from_millis(200);
/// A second: then somebody has heard something.
const HEARD_SAMPLES: usize = 8_000;
/// They would sit at machines of their own: viewers and players yield to everything else.
const NICE: i32 = 19;

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct People {
    pub(super) viewers: u32,
    pub(super) players: u32,
    pub(super) listeners: u32,
}

/// People who look on.
pub(super) struct Crowd {
    people: People,
    shared: Arc<Shared>,
    viewers: Vec<JoinHandle<Vec<State>>>,
    players: Vec<JoinHandle<Vec<Played>>>,
    listeners: Vec<JoinHandle<Vec<Listened>>>,
}

/// What a crowd got.
pub(super) struct Got {
    /// Of each viewer, what he saw.
    pub(super) seen: Vec<Vec<State>>,
    /// Of each player, what he played.
    pub(super) played: Vec<Vec<Played>>,
    /// Of each listener, what he heard.
    pub(super) heard: Vec<Vec<Listened>>,
}

/// What a status page shows.
pub(super) struct State {
    pub(super) time: Timestamp,
    /// Packets that were received.
    pub(super) packets: u64,
}

/// The begin of a recording, or all of it.
pub(super) struct Played {
    pub(super) id: String,
    pub(super) bytes: Vec<u8>,
    pub(super) whole: bool,
}

/// A call, or a part of one.
pub(super) struct Listened {
    pub(super) call_id: String,
    pub(super) sound: Sound,
}

#[derive(Default)]
struct Shared {
    leaving: AtomicBool,
    /// Who got something so far.
    served: AtomicU32,
}

/// One of them.
struct Person {
    shared: Arc<Shared>,
    served: Cell<bool>,
}

impl Person {
    fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Relaxed)
    }

    /// He got something.
    fn is_served(&self) {
        if !self.served.replace(true) {
            self.shared.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Crowd {
    /// From now on they look on. Players have the keys that are given.
    pub(super) fn let_in(house: &House, people: People, keys: &[String]) -> Self {
        let shared = Arc::<Shared>::default();
        let recordings = newest(house);
        let viewers = (0..people.viewers).map(|_| {
            let house = house.clone();
            start(&shared, NICE, move |person| view(&house, person))
        });
        let players = keys.iter().zip(0..people.players as usize).map(|(key, number)| {
            let (house, key, mut ids) = (house.clone(), key.clone(), recordings.clone());
            ids.rotate_left(number % recordings.len());
            start(&shared, NICE, move |person| play(&house, &key, &ids, person))
        });
        let listeners = (0..people.listeners as usize).map(|number| {
            let house = house.clone();
            // At the test's own claim on the CPU: it is measured when he hears something.
            start(&shared, 0, move |person| listen(&house, number, person))
        });
        Self {
            people,
            viewers: viewers.collect(),
            players: players.collect(),
            listeners: listeners.collect(),
            shared,
        }
    }

    pub(super) fn wait_until_all_get_something(&self) {
        let People { viewers, players, listeners } = self.people;
        let served = || self.shared.served.load(Ordering::Relaxed);
        eventually("all get something", || served() >= viewers + players + listeners);
    }

    /// They leave.
    pub(super) fn leave(self) -> Got {
        self.shared.leaving.store(true, Ordering::Relaxed);
        Got { seen: join(self.viewers), played: join(self.players), heard: join(self.listeners) }
    }
}

fn join<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

fn start<T: Send + 'static>(
    shared: &Arc<Shared>,
    nice: i32,
    look: impl FnOnce(&Person) -> T + Send + 'static,
) -> JoinHandle<T> {
    let shared = Arc::clone(shared);
    let run = move || {
        // Of this thread alone.
        let claim = rustix::process::getpriority_process(None).unwrap();
        rustix::process::setpriority_process(None, claim.max(nice)).unwrap();
        look(&Person { shared, served: Cell::new(false) })
    };
    std::thread::Builder::new().name("viewer".into()).spawn(run).unwrap()
}

/// The newest recordings, by their ids.
pub(super) fn newest(house: &House) -> Vec<String> {
    let found = house.get("recordings?limit=50");
    let found = found["recordings"].as_array().unwrap().iter();
    found.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

fn view(house: &House, person: &Person) -> Vec<State> {
    let (mut stream, mut line, mut seen) = (house.watch(), Vec::new(), Vec::<State>::new());
    while !person.is_leaving() {
        let Some(mut event) = stream.event(&mut line) else { continue };
        let Value::Object(_) = event["recorder"] else { continue };
        let status: Status = serde_json::from_value(event["recorder"].take()).unwrap();
        let mut rows = status.ledger.rows.iter();
        let row = rows.find(|row| row.stage == "sockets" && row.class == "received").unwrap();
        let state = State { time: status.time, packets: row.count };
        if seen
            .first()
            .is_some_and(|first| state.time > first.time && state.packets > first.packets)
        {
            person.is_served();
        }
        seen.push(state);
    }
    seen
}

fn play(house: &House, key: &str, ids: &[String], person: &Person) -> Vec<Played> {
    let (mut line, mut played) = (house.line(), Vec::new());
    for id in ids.iter().cycle() {
        let mut this = Played { id: id.clone(), bytes: Vec::new(), whole: false };
        while !this.whole && !person.is_leaving() {
            let at = this.bytes.len();
            let headers = format!("{key}Range: bytes={at}-{}\r\n", at + PIECE_BYTES - 1);
            let piece =
                line.ask("GET", &format!("recordings/{id}/audio?format=wav"), &headers, None);
            assert_eq!(piece.status(), "206", "{}", piece.head);
            let (range, all) = piece.header("content-range").unwrap().split_once('/').unwrap();
            assert!(range.starts_with(&format!("bytes {at}-")), "{range}");
            this.bytes.extend(&piece.body);
            this.whole = this.bytes.len() == all.parse::<usize>().unwrap();
            std::thread::sleep(PIECE_EVERY);
        }
        if this.whole {
            person.is_served();
        }
        played.push(this);
        if person.is_leaving() {
            break;
        }
    }
    played
}

/// Listens to one call after the other.
fn listen(house: &House, number: usize, person: &Person) -> Vec<Listened> {
    let mut heard = Vec::new();
    while !person.is_leaving() {
        let calls = house.get("calls?limit=200");
        let calls = calls["calls"].as_array().unwrap().iter();
        let answered: Vec<_> = calls.filter(|it| !it["answerTime"].is_null()).collect();
        let call = answered.get(number % answered.len().max(1));
        // One that has just ended is none any more.
        if let Some(call) = call
            && let Some(socket) = house.listen(call["id"].as_str().unwrap())
        {
            heard.extend(hear(socket, person));
        }
        std::thread::sleep(PAUSE);
    }
    heard
}

/// Hears one, to its end or until he leaves.
fn hear(mut socket: Ear, person: &Person) -> Option<Listened> {
    let (mut call_id, mut sound) = (None, Sound::default());
    while !person.is_leaving() && sound.ended.is_none() {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let told: Value = serde_json::from_str(&text).unwrap();
                let word = |name: &str| Some(told[name].as_str()?.to_owned());
                (call_id, sound.ended) = (word("callId").or(call_id), word("ended"));
            }
            Ok(Message::Binary(bytes)) => {
                let (time, samples) = bytes.split_first_chunk().unwrap();
                let sample = |side: &[u8; 2]| i16::from_le_bytes(*side);
                let pairs = samples.as_chunks::<4>().0.iter().map(|pair| {
                    let (sides, _) = pair.as_chunks::<2>();
                    [sample(&sides[0]), sample(&sides[1])]
                });
                sound.take(u64::from_le_bytes(*time), pairs);
                if sound.samples() >= HEARD_SAMPLES {
                    person.is_served();
                }
            }
            Ok(_) => {}
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // The browser's way to say that he leaves; he does not wait for an answer.
    let _ = socket.close(None);
    let _ = socket.flush();
    Some(Listened { call_id: call_id?, sound })
}
