//! One window's connection: what it asks comes in, what it is told goes out as far as it takes it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base::limits::WINDOW_BACKLOG_BYTES_MAX;
use web::link::wire::{self, Decoder, Frame};
use web::link::words::{Ask, Tell};

/// Beyond this much of a backlog a window is not told what is of no use when it is old: states, news, sound.
const PERISHABLE_BYTES_MAX: usize = 1024 * 1024;
/// A window that takes nothing for so long is disconnected.
const STUCK_MAX: Duration = Duration::from_secs(5);
/// Questions taken in one turn, and bytes of them.
const ASKS_PER_TURN: usize = 64;
const READ_BYTES: usize = 16 * 1024;

/// One window.
pub(super) struct Peer {
    pub(super) number: u64,
    pub(super) stream: UnixStream,
    decoder: Decoder,
    out: VecDeque<u8>,
    /// Since when nothing of `out` was taken.
    stuck: Option<Instant>,
    /// News were left out, and the window was not told so.
    news_lost: bool,
    /// It is to be disconnected.
    pub(super) gone: bool,
}

impl Peer {
    pub(super) fn new(number: u64, stream: UnixStream) -> Self {
        Self {
            number,
            stream,
            decoder: Decoder::default(),
            out: VecDeque::new(),
            stuck: None,
            news_lost: false,
            gone: false,
        }
    }

    /// What it asks. A window that does not keep to the rules is done with.
    pub(super) fn asks(&mut self) -> Vec<Ask> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.gone = true,
            Ok(read) => self.decoder.push(bytes.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.gone = true,
        }
        let mut asks = Vec::new();
        while asks.len() < ASKS_PER_TURN {
            match self.decoder.frame::<Ask>() {
                Ok(Some(Frame::Words(ask))) => asks.push(ask),
                Ok(Some(Frame::Sound(_)) | None) => break,
                Err(error) => {
                    tracing::warn!("a window is disconnected: {error}");
                    self.gone = true;
                    break;
                }
            }
        }
        asks
    }

    /// Whether it has room for what is of no use when it is old.
    fn is_quick(&self) -> bool {
        self.out.len() <= PERISHABLE_BYTES_MAX
    }

    /// An answer.
    pub(super) fn tell(&mut self, tell: &Tell) {
        match wire::encode(tell) {
            Some(frame) => self.send(&frame),
            None => tracing::warn!("an answer to a window is too long; it gets none"),
        }
    }

    /// A frame that is of no use when it is old. False if it was left out.
    pub(super) fn offer(&mut self, frame: &[u8]) -> bool {
        let room = self.is_quick();
        if room {
            self.send(frame);
        }
        room
    }

    /// News of calls.
    pub(super) fn offer_news(&mut self, frame: &[u8]) {
        if self.news_lost && self.is_quick() {
            self.news_lost = false;
            self.tell(&Tell::NewsLost);
        }
        self.news_lost |= !self.offer(frame);
    }

    fn send(&mut self, frame: &[u8]) {
        self.gone |= self.out.len() + frame.len() > WINDOW_BACKLOG_BYTES_MAX;
        if !self.gone {
            self.out.extend(frame);
        }
    }

    /// Whether something waits for it.
    pub(super) fn has_backlog(&self) -> bool {
        !self.out.is_empty()
    }

    /// Hands over what it takes now.
    pub(super) fn flush(&mut self, now: Instant) {
        while !self.out.is_empty() && !self.gone {
            let (front, _) = self.out.as_slices();
            match self.stream.write(front) {
                Ok(0) => self.gone = true,
                Ok(written) => {
                    self.out.drain(..written);
                    self.stuck = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let since = *self.stuck.get_or_insert(now);
                    if now.duration_since(since) >= STUCK_MAX {
                        tracing::warn!("a window that takes nothing is disconnected");
                        self.gone = true;
                    }
                    return;
                }
                Err(_) => self.gone = true,
            }
        }
    }
}
