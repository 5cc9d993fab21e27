//! The thread that serves the windows: it accepts them, answers what they ask, tells them what is new, and hands sound
//! to those who listen. It has the least claim on the CPU of all, and no other thread waits for it.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::limits::{LIVE_CALLS_LISTED_MAX, WINDOWS_MAX};
use dialog::CallKey;
use rustix::event::{PollFd, PollFlags, Timespec};
use web::link::CallNews;
use web::link::status::LiveCall;
use web::link::wire;
use web::link::words::{Ask, Tell};

use super::calls::Calls;
use super::listeners::{Ears, Listener};
use super::mixer::RATE;
use super::peer::Peer;
use super::report::{Reporter, Sources};
use super::shared::{News, Shared};
use crate::clock;
use crate::live::lines::ListenerEnd;

/// How long it sleeps when nothing comes, and while somebody listens.
const NAP: Duration = Duration::from_millis(50);
const NAP_LISTENING: Duration = Duration::from_millis(10);
/// After so long without a snapshot it is asked why.
const SNAPSHOT_DUE: Duration = Duration::from_millis(900);
/// News taken in one turn.
const NEWS_PER_TURN: usize = 1_024;
/// Of all threads the last: least claim on the CPU but for what is idle altogether.
const NICE: i32 = 10;

/// What the thread has.
pub(super) struct Server {
    listener: UnixListener,
    shared: Arc<Shared>,
    reporter: Reporter,
    peers: Vec<Peer>,
    /// The last window's number.
    number: u64,
    calls: Calls,
    ears: Ears,
    shown: Instant,
    is_stopping: bool,
}

impl Server {
    pub(super) fn new(
        listener: UnixListener,
        shared: Arc<Shared>,
        overheard: Vec<ListenerEnd>,
        sources: Sources,
    ) -> Self {
        let wall_clock = Arc::clone(&sources.wall_clock);
        Self {
            listener,
            ears: Ears::new(Arc::clone(&shared), overheard, wall_clock),
            shared,
            reporter: Reporter::new(sources),
            peers: Vec::new(),
            number: 0,
            calls: Calls::default(),
            shown: clock::instant(),
            is_stopping: false,
        }
    }

    pub(super) fn run(mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!("the thread that serves windows has no lower priority: {error}");
        }
        while !self.shared.has_ended() {
            self.wait();
            self.turn();
        }
        self.turn();
    }

    /// Until a window says something, or it is time to look.
    fn wait(&self) {
        let nap = if self.ears.is_idle() { NAP } else { NAP_LISTENING };
        let listener = self.listener.as_fd();
        let mut fds = vec![PollFd::from_borrowed_fd(listener, PollFlags::IN)];
        for peer in &self.peers {
            let out = if peer.has_backlog() { PollFlags::OUT } else { PollFlags::empty() };
            fds.push(PollFd::from_borrowed_fd(peer.stream.as_fd(), PollFlags::IN | out));
        }
        let nap = Timespec { tv_sec: 0, tv_nsec: nap.subsec_nanos().into() };
        // Interrupted, or out of memory: the next turn comes a moment earlier or later.
        if rustix::event::poll(&mut fds, Some(&nap)).is_err() {
            std::thread::sleep(NAP_LISTENING);
        }
    }

    fn turn(&mut self) {
        self.accept();
        self.take_news();
        self.answer();
        self.take_snapshot();
        let Self { ears, peers, .. } = self;
        for listener in ears.turn(|listener, frame| offer(peers, listener, frame)) {
            self.tell_ended(listener, "ended");
        }
        self.send();
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.peers.len() >= WINDOWS_MAX {
                tracing::warn!("a window is turned away: {WINDOWS_MAX} are connected");
                continue;
            }
            if stream.set_nonblocking(true).is_ok() {
                self.number += 1;
                self.peers.push(Peer::new(self.number, stream));
            }
        }
    }

    fn take_news(&mut self) {
        for _ in 0..NEWS_PER_TURN {
            match self.shared.next_news() {
                None => return,
                Some(News::Up(key, call)) => {
                    let news = self.calls.up(key, *call);
                    self.tell_news(news);
                }
                Some(News::Gone(key)) => self.gone(key),
                Some(News::Anew) => self.calls.begin_anew(),
                Some(News::Whole) => {
                    for news in self.calls.whole() {
                        self.tell_news(news);
                    }
                    self.end_forgotten();
                }
                Some(News::Voices(key, voices)) => self.ears.voices(key, &voices),
            }
        }
    }

    fn gone(&mut self, key: CallKey) {
        if let Some(news) = self.calls.gone(key) {
            self.tell_news(news);
        }
        self.ears.call_is_over(key);
    }

    /// Calls whose end was among the news that were lost.
    fn end_forgotten(&mut self) {
        let over: Vec<_> = self.ears.calls().filter(|key| !self.calls.is_up(*key)).collect();
        over.into_iter().for_each(|key| self.gone(key));
    }

    fn tell_news(&mut self, news: CallNews) {
        if self.peers.is_empty() {
            return;
        }
        if let Some(frame) = wire::encode(&Tell::News { news }) {
            self.peers.iter_mut().for_each(|peer| peer.offer_news(&frame));
        }
    }

    fn take_snapshot(&mut self) {
        let now = clock::instant();
        let stopping = self.shared.is_stopping();
        if stopping && !self.is_stopping {
            self.is_stopping = true;
            for listener in self.ears.end_all() {
                self.tell_ended(listener, "stopping");
            }
        }
        let snapshot = self.shared.next_snapshot();
        let is_due = now.duration_since(self.shown) >= SNAPSHOT_DUE;
        let status = match snapshot {
            Some(snapshot) if !stopping => {
                let known = (&self.calls, self.ears.listeners().count());
                Some(self.reporter.report(snapshot, &self.shared, known))
            }
            // It may be busy with calls that end: packets are not taken any more in any case.
            _ if stopping && is_due => self.reporter.meanwhile(true),
            // Packets are taken while it is busy with what an earlier run left, and says that it is.
            _ if is_due && self.shared.was_taking_up() => self.reporter.meanwhile(false),
            _ => None,
        };
        let Some(status) = status else { return };
        self.shown = now;
        if let Some(frame) = wire::encode(&Tell::Status { status: Box::new(status) }) {
            // Left out for who is slow: the next one comes soon.
            for peer in &mut self.peers {
                let _ = peer.offer(&frame);
            }
        }
    }

    fn answer(&mut self) {
        let asked: Vec<_> = self.peers.iter_mut().map(|peer| (peer.number, peer.asks())).collect();
        for (window, asks) in asked {
            asks.into_iter().for_each(|ask| self.answer_one(window, ask));
        }
    }

    fn answer_one(&mut self, window: u64, ask: Ask) {
        match ask {
            Ask::Calls { question, party, limit } => {
                let limit = LIVE_CALLS_LISTED_MAX.min(limit as usize);
                let (mut calls, total) = self.calls.page(party.as_deref(), limit);
                shorten(&mut calls);
                self.tell(window, &Tell::Calls { question, calls, total });
            }
            Ask::Listen { listener, call } => {
                let listener = Listener { window, listener };
                match self.listen(listener, &call) {
                    Ok(begun) => self.tell(window, &begun),
                    Err(reason) => self.tell_ended(listener, reason),
                }
            }
            Ask::Leave { listener } => self.ears.leave(Listener { window, listener }),
        }
    }

    fn listen(&mut self, listener: Listener, id: &str) -> Result<Tell, &'static str> {
        if self.is_stopping {
            return Err("stopping");
        }
        let (key, call) = self.calls.by_id(id).ok_or("unknown")?;
        if !call.audible {
            return Err("inaudible");
        }
        let call_id = call.call_id.clone();
        self.ears.listen(listener, key)?;
        Ok(Tell::Hears { listener: listener.listener, rate: RATE, channels: 2, call_id })
    }

    fn tell(&mut self, window: u64, tell: &Tell) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.number == window) {
            peer.tell(tell);
        }
    }

    fn tell_ended(&mut self, listener: Listener, reason: &str) {
        let Listener { window, listener } = listener;
        self.tell(window, &Tell::Ended { listener, reason: reason.to_owned() });
    }

    fn send(&mut self) {
        let now = clock::instant();
        self.peers.iter_mut().for_each(|peer| peer.flush(now));
        let ears = &mut self.ears;
        self.peers.retain(|peer| {
            if peer.gone {
                ears.window_is_gone(peer.number);
            }
            !peer.gone
        });
    }
}

/// A block of sound for a listener.
fn offer(peers: &mut [Peer], listener: Listener, frame: &[u8]) {
    if let Some(peer) = peers.iter_mut().find(|peer| peer.number == listener.window) {
        // Left out for who is slow: late sound is of no use.
        let _ = peer.offer(frame);
    }
}

/// Names can be made of what takes six bytes a letter in JSON: then the answer holds fewer calls.
fn shorten(calls: &mut Vec<LiveCall>) {
    let probe = |calls: &[LiveCall]| {
        wire::encode(&Tell::Calls { question: 0, calls: calls.to_vec(), total: 0 }).is_some()
    };
    while !calls.is_empty() && !probe(calls) {
        calls.truncate(calls.len() / 2);
    }
}
