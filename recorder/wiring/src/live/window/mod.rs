//! The window's door: a Unix socket in the data folder, on which this run tells its state, its calls, and lets those
//! be listened to whom the window lets ([`web::link`]).
//!
//! ```text
//! capture cores ── packets of listened-to flows ──────────────┐
//!      ▲ orders                                               ▼
//! dialog thread ── snapshot twice a second, news of calls ──► thread "window" ◄──► recorder.sock
//!      ▲──────────── calls to be listened to ────────────────────┘
//! ```
//!
//! Everything between the threads is bounded, and nobody waits for this one: a snapshot that it has not taken is
//! replaced, news that do not fit make it ask for the whole list anew, packets that it is too slow for are counted
//! and not heard.

mod calls;
mod ears;
mod listeners;
mod mixer;
mod pages;
mod peer;
mod report;
mod serve;
mod shared;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use base::limits::LIVE_CALL_NAME_BYTES_MAX;
use dialog::CallKey;
use web::link::SOCKET_NAME;
use web::link::status::LiveCall;

use self::ears::Ears;
pub(super) use self::pages::start as start_pages;
pub(super) use self::report::Sources;
use self::serve::Server;
use self::shared::News;
pub(super) use self::shared::{Shared, Snapshot};
use super::exchange::Exchange;
use super::lines::{Lines, ListenerEnd};
use crate::engine::UpCall;
use crate::priority;
use crate::wall_clock::WallClock;

/// News told in one turn of the dialog thread.
const NEWS_PER_TURN: usize = 64;

/// The socket, open.
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Opens it. What a killed run left under its name is replaced.
    ///
    /// # Errors
    /// It cannot be made: recording goes on without.
    pub(super) fn open(data: &Path) -> Result<Self> {
        let path = data.join(SOCKET_NAME);
        let new = data.join(format!(".{SOCKET_NAME}.new"));
        let context = || format!("cannot listen on {}", path.display());
        // What an earlier start left; if it is not there, all the better.
        let _ = std::fs::remove_file(&new);
        let listener = UnixListener::bind(&new).with_context(context)?;
        // Nobody connects to it before it has its mode.
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))
            .with_context(context)?;
        listener.set_nonblocking(true).with_context(context)?;
        std::fs::rename(&new, &path).with_context(context)?;
        Ok(Self { listener, path })
    }
}

/// The dialog thread's side of it.
pub(super) struct Window {
    shared: Arc<Shared>,
    wall_clock: Arc<WallClock>,
    ears: Ears,
    /// What there was no room for.
    pending: Option<News>,
    /// All calls are told anew.
    anew: Option<std::vec::IntoIter<CallKey>>,
    /// With the socket's path, if there is one.
    thread: Option<(JoinHandle<()>, PathBuf)>,
}

impl Window {
    /// Starts the thread, if there is a door.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        door: Option<Door>,
        listening: Vec<(Arc<Lines>, ListenerEnd)>,
        sources: Sources,
        exchange: &mut Exchange,
    ) -> Result<Self> {
        let (lines, overheard) = listening.into_iter().unzip();
        let shared = Arc::new(Shared::new(lines));
        let wall_clock = Arc::clone(&sources.wall_clock);
        let mut thread = None;
        if let Some(Door { listener, path }) = door {
            exchange.conductor.engine.watch_calls();
            let server = Server::new(listener, Arc::clone(&shared), overheard, sources);
            let started = std::thread::Builder::new()
                .name("window".into())
                .spawn(|| {
                    priority::like_others();
                    server.run();
                })
                .context("cannot start the thread that serves windows")?;
            thread = Some((started, path));
        }
        let (ears, pending, anew) = (Ears::default(), None, None);
        Ok(Self { shared, wall_clock, ears, pending, anew, thread })
    }

    /// Tells what became of calls, and hears who is to be listened to. Each turn of the dialog thread.
    pub(super) fn turn(&mut self, exchange: &mut Exchange) {
        if self.thread.is_none() {
            return;
        }
        self.tell_news(exchange);
        if self.ears.take_wishes(&self.shared) {
            self.ears.look(exchange, &self.shared);
        }
    }

    /// Follows the voices of calls that are listened to. A few times a second.
    pub(super) fn look(&mut self, exchange: &mut Exchange) {
        self.ears.look(exchange, &self.shared);
    }

    /// This is what is known now.
    pub(super) fn show(&self, snapshot: Snapshot) {
        self.shared.show(snapshot);
    }

    /// For who is to say while this thread is busy that it lives.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Nothing is taken any more.
    pub(super) fn stopping(&self) {
        self.shared.stop();
    }

    fn tell_news(&mut self, exchange: &mut Exchange) {
        for _ in 0..NEWS_PER_TURN {
            let news = self.pending.take().or_else(|| self.next_news(exchange));
            let Some(news) = news else { return };
            if let Err(news) = self.shared.tell(news) {
                self.pending = Some(news);
                return;
            }
        }
    }

    fn next_news(&mut self, exchange: &mut Exchange) -> Option<News> {
        let engine = &mut exchange.conductor.engine;
        if engine.has_forgotten_changes() {
            self.anew = Some(engine.calls_up().into_iter());
            return Some(News::Anew);
        }
        let key = match &mut self.anew {
            Some(keys) => match keys.next() {
                Some(key) => key,
                None => {
                    self.anew = None;
                    return Some(News::Whole);
                }
            },
            None => engine.next_changed()?,
        };
        Some(match engine.up_call(key) {
            Some(call) => News::Up(key, Box::new(told(call, &self.wall_clock))),
            None => News::Gone(key),
        })
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.end();
        if let Some((thread, path)) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
            // Whoever comes now finds that no recorder runs, with or without it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// As windows are told of it: names of bounded length, times by the wall clock.
fn told(call: UpCall, wall_clock: &WallClock) -> LiveCall {
    let start_time = wall_clock.shown_at(call.started);
    LiveCall {
        id: call.id.to_string(),
        call_id: Some(shortened(call.call_id)),
        caller: shortened(call.caller),
        callee: shortened(call.callee),
        start_time,
        answer_time: call.answered.map(|time| wall_clock.shown_at(time)),
        codecs: call.codecs.into_iter().take(CODECS_MAX).collect(),
        packets: call.packets,
        audible: call.audible,
    }
}

/// Encodings named of one call.
const CODECS_MAX: usize = 8;

fn shortened(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(LIVE_CALL_NAME_BYTES_MAX));
    name
}
