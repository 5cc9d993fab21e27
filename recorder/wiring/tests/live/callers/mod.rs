//! Many callers at once, in real time: calls begin and end all the time, as many at once as is wanted, and of each
//! packet it is known when it was sent.

mod call;
pub(crate) mod frame;
mod heard;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::net::SendFlags;

pub(crate) use self::call::{CALLEE, CALLER, Call, Kind, Step};
pub(crate) use self::heard::Heard;
use crate::wire::{eventually, now, sender};

/// How long the sender sleeps at most: new calls are looked for so often.
const NAP: Duration = Duration::from_millis(1);
/// Between two new calls, if not as many as wanted are up.
const BEGIN_EVERY: u64 = 5 * call::MILLISECOND;

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) seed: u64,
    /// How long the parties of a call speak, at least and at most.
    pub(crate) seconds: (u32, u32),
    /// Kinds of calls, each as often as it is listed.
    pub(crate) kinds: &'static [Kind],
}

/// A call as it went over the wire. Times are since the callers began.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) call: Call,
    pub(crate) messages: Vec<(Step, Duration)>,
    /// Microseconds.
    packets: [Vec<u32>; 2],
}

impl Sent {
    /// When each packet of a side was sent.
    pub(crate) fn packets(&self, side: usize) -> impl ExactSizeIterator<Item = Duration> + '_ {
        self.packets[side].iter().map(|micros| Duration::from_micros((*micros).into()))
    }
}

/// The callers.
pub(crate) struct Callers {
    began: Instant,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    ended: std::sync::mpsc::Receiver<Sent>,
}

#[derive(Default)]
struct Shared {
    wanted: AtomicU32,
    up: AtomicU32,
    frames: std::sync::atomic::AtomicU64,
    late_micros: std::sync::atomic::AtomicU64,
    ending: AtomicBool,
}

impl Callers {
    /// In the current thread's namespace. Nobody calls yet.
    pub(crate) fn start(habits: &Habits) -> Self {
        let (tell, ended) = std::sync::mpsc::channel();
        let (began, shared) = (now(), Arc::<Shared>::default());
        let telephones = Telephones {
            random: ChaCha8Rng::seed_from_u64(habits.seed),
            habits: habits.clone(),
            socket: sender(),
            began,
            shared: Arc::clone(&shared),
            agenda: BinaryHeap::new(),
            calls: Vec::new(),
            free: Vec::new(),
            numbers: 0,
            next_begin: 0,
            frame: Vec::new(),
            tell,
        };
        let thread = std::thread::Builder::new().name("callers".into());
        let thread = Some(thread.spawn(move || telephones.run()).unwrap());
        Self { began, shared, thread, ended }
    }

    /// From now on, so many calls are up at once.
    pub(crate) fn want(&self, calls: u32) {
        self.shared.wanted.store(calls, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) -> u32 {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Frames sent so far.
    pub(crate) fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// How much later than due a frame was sent, at worst.
    pub(crate) fn late(&self) -> Duration {
        Duration::from_micros(self.shared.late_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn wait_until_up(&self, calls: u32) {
        self.want(calls);
        eventually("all calls are up", || self.up() >= calls);
    }

    /// When they began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Time since they began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The calls that have ended since the last time.
    pub(crate) fn ended(&self) -> Vec<Sent> {
        self.ended.try_iter().collect()
    }

    /// No new calls; gives those that have not been given yet when all are over.
    pub(crate) fn finish(mut self) -> Vec<Sent> {
        self.shared.ending.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.ended()
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
    }
}

/// What is due: a packet of a side, or a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Packet(u8),
    Message(u8),
    End,
}

/// A call that is up.
struct Up {
    sent: Sent,
    script: Vec<(u64, Step)>,
    began: u64,
}

struct Telephones {
    random: ChaCha8Rng,
    habits: Habits,
    socket: OwnedFd,
    began: Instant,
    shared: Arc<Shared>,
    agenda: BinaryHeap<Reverse<(u64, u32, Due)>>,
    calls: Vec<Option<Up>>,
    free: Vec<u32>,
    numbers: u32,
    next_begin: u64,
    frame: Vec<u8>,
    tell: std::sync::mpsc::Sender<Sent>,
}

impl Telephones {
    fn run(mut self) {
        loop {
            let now = self.now();
            let ending = self.shared.ending.load(Ordering::Relaxed);
            if !ending {
                self.begin_calls(now);
            }
            while let Some(Reverse((due, slot, what))) = self.agenda.peek().copied()
                && due <= now
            {
                self.agenda.pop();
                let late = (now - due) / 1_000;
                self.shared.late_micros.fetch_max(late, Ordering::Relaxed);
                self.act(slot, what);
            }
            let next = self.agenda.peek().map(|Reverse((due, ..))| *due);
            if ending && next.is_none() {
                return;
            }
            let wait = next.unwrap_or(u64::MAX).saturating_sub(self.now());
            std::thread::sleep(NAP.min(Duration::from_nanos(wait)));
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn begin_calls(&mut self, now: u64) {
        if self.next_begin + 100 * BEGIN_EVERY < now {
            self.next_begin = now;
        }
        while self.next_begin <= now
            && self.shared.up.load(Ordering::Relaxed) < self.shared.wanted.load(Ordering::Relaxed)
        {
            self.begin(self.next_begin);
            self.next_begin += BEGIN_EVERY;
        }
    }

    fn begin(&mut self, now: u64) {
        let (least, most) = self.habits.seconds;
        let kind = self.habits.kinds[self.random.random_range(0..self.habits.kinds.len())];
        let mut packets = self.random.random_range(50 * least..=50 * most);
        if kind == Kind::Unanswered {
            packets = 0;
        }
        let call = Call { number: self.numbers, kind, packets };
        self.numbers += 1;
        let script = call.script();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() as u32 - 1
        });
        for (index, (due, _)) in script.iter().enumerate() {
            self.agenda.push(Reverse((now + due, slot, Due::Message(index as u8))));
        }
        let mut last = script.last().map_or(0, |(due, _)| *due);
        for side in if call.speaks() { &[CALLER, CALLEE][..] } else { &[] } {
            self.agenda.push(Reverse((
                now + call.packet_due(*side, 0),
                slot,
                Due::Packet(*side as u8),
            )));
            last = last.max(call.packet_due(*side, packets));
        }
        self.agenda.push(Reverse((now + last + 1, slot, Due::End)));
        let sent = Sent { call, messages: Vec::new(), packets: [Vec::new(), Vec::new()] };
        self.calls[slot as usize] = Some(Up { sent, script, began: now });
        self.shared.up.fetch_add(1, Ordering::Relaxed);
    }

    fn act(&mut self, slot: u32, what: Due) {
        let now = self.began.elapsed();
        let up = self.calls[slot as usize].as_mut().unwrap();
        let call = up.sent.call;
        match what {
            Due::Message(index) => {
                let (_, step) = up.script[usize::from(index)];
                let (from, to, text) = call.message(step);
                frame::udp(&mut self.frame, from, to, text.as_bytes());
                up.sent.messages.push((step, now));
            }
            Due::Packet(side) => {
                let side = usize::from(side);
                let index = up.sent.packets[side].len() as u32;
                let moved = call.is_moved(side, index);
                let (from, to) = (call.media(side, moved), call.media(1 - side, moved));
                frame::udp(&mut self.frame, from, to, &call.rtp(side, index));
                up.sent.packets[side].push(now.as_micros() as u32);
                if index + 1 < call.packets {
                    let due = up.began + call.packet_due(side, index + 1);
                    self.agenda.push(Reverse((due, slot, Due::Packet(side as u8))));
                }
            }
            Due::End => {
                let up = self.calls[slot as usize].take().unwrap();
                self.free.push(slot);
                self.shared.up.fetch_sub(1, Ordering::Relaxed);
                // Nobody may want to know any more.
                let _ = self.tell.send(up.sent);
                return;
            }
        }
        let sent = rustix::net::send(&self.socket, &self.frame, SendFlags::empty());
        assert_eq!(sent, Ok(self.frame.len()));
        self.shared.frames.fetch_add(1, Ordering::Relaxed);
    }
}
