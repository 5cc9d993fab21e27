//! The window's end: the recorder's latest state, its calls, and their sound.
//!
//! One connection serves the whole window. It is made anew as often as it ends, and that the recorder is silent is
//! said as soon as two of its reports are missing ([`Latest::silent_since`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::Timestamp;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::status::{LiveCall, Status};
use super::wire::{self, Decoder, Frame, Sound};
use super::words::{Ask, CallNews, Tell};

/// Without a report for so long the recorder is silent: it sends one every half a second.
const SILENT_AFTER: Duration = Duration::from_millis(1_500);
/// How long to wait before it is tried to connect again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long an answer may take, and a question to go out.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Requests on their way to the connection.
const REQUESTS_MAX: usize = 256;
/// News of calls that a reader may be behind.
const NEWS_MAX: usize = 4_096;
/// Blocks of sound that a listener may be behind: some seconds.
const BLOCKS_MAX: usize = 128;
const READ_BYTES: usize = 64 * 1024;

/// What is known of the recorder.
#[derive(Clone, Debug)]
pub struct Latest {
    /// What it said last; it may be long ago.
    pub status: Option<Arc<Status>>,
    /// When that came, by this window's clock.
    pub came: Option<Timestamp>,
    /// Since when nothing comes, if nothing does: then `status` is no longer known to be true.
    pub silent_since: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LinkError {
    /// There is no connection.
    #[error("no recorder runs on this data folder, or it does not answer")]
    NotRunning,
    /// It did not answer in time.
    #[error("the recorder did not answer in time")]
    Late,
    /// It said no, for one of the reasons of [`Tell::Ended`].
    #[error("the recorder says: {0}")]
    Refused(String),
}

/// Calls that are up.
#[derive(Clone, Debug)]
pub struct CallPage {
    /// The newest first.
    pub calls: Vec<LiveCall>,
    /// How many there are in all.
    pub total: u64,
}

/// The recorder, as a window has it. A clone is the same.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    socket: PathBuf,
    now: fn() -> Timestamp,
    latest: watch::Sender<Latest>,
    news: broadcast::Sender<CallNews>,
    requests: mpsc::Sender<Request>,
    /// Until it is run.
    inbox: Mutex<Option<mpsc::Receiver<Request>>>,
}

enum Request {
    Calls { party: Option<String>, limit: u32, answer: oneshot::Sender<CallPage> },
    Listen { call: String, listener: Listener },
    Leave { listener: u32 },
}

/// Who waits for a call's sound, and then hears it.
struct Listener {
    begun: Option<oneshot::Sender<Result<Begun, LinkError>>>,
    pieces: mpsc::Sender<Piece>,
}

struct Begun {
    listener: u32,
    rate: u32,
    channels: u8,
    call_id: Option<String>,
}

/// A part of what is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A block of sound.
    Sound(Sound),
    /// No more follows, for one of the reasons of [`Tell::Ended`], or `silent`: the recorder is gone.
    Ended(String),
}

impl Recorder {
    /// That which listens on `socket`. [`Recorder::run`] makes the connection.
    #[must_use]
    pub fn new(socket: PathBuf, now: fn() -> Timestamp) -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let silent = Latest { status: None, came: None, silent_since: Some(now()) };
        Self(Arc::new(Inner {
            socket,
            now,
            latest: watch::Sender::new(silent),
            news: broadcast::Sender::new(NEWS_MAX),
            requests,
            inbox: Mutex::new(Some(inbox)),
        }))
    }

    /// Keeps the connection, for ever. Once is enough: a second run ends at once.
    pub async fn run(self) {
        let inbox = self.0.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut inbox) = inbox else { return };
        loop {
            if let Ok(stream) = UnixStream::connect(&self.0.socket).await {
                if let Err(error) = Connection::new(&self.0, stream).serve(&mut inbox).await {
                    tracing::warn!("the recorder is gone: {error}");
                }
                self.silent();
            }
            // Who asks meanwhile need not wait: what is dropped here is an answer.
            let again = Instant::now() + AGAIN_AFTER;
            while let Ok(Some(request)) = tokio::time::timeout_at(again, inbox.recv()).await {
                drop(request);
            }
        }
    }

    /// Whether there is something to connect to: a recorder that ends in good order takes its socket away.
    #[must_use]
    pub fn has_socket(&self) -> bool {
        self.0.socket.exists()
    }

    /// What is known of the recorder now.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.0.latest.borrow().clone()
    }

    /// The same, with each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Latest> {
        self.0.latest.subscribe()
    }

    /// Calls that begin, change and end from now on. Who is slow misses some, and is told.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<CallNews> {
        self.0.news.subscribe()
    }

    /// The newest calls that are up, at most `limit`; of those with `party` in a party or the Call-ID.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn calls(&self, party: Option<String>, limit: u32) -> Result<CallPage, LinkError> {
        let (answer, page) = oneshot::channel();
        self.send(Request::Calls { party, limit, answer })?;
        answered(page).await
    }

    /// Begins to listen to a call ([`LiveCall::id`]).
    ///
    /// # Errors
    /// There is no answer, or it is no.
    pub async fn listen(&self, call: &str) -> Result<Listening, LinkError> {
        let (begun, hears) = oneshot::channel();
        let (to, pieces) = mpsc::channel(BLOCKS_MAX);
        let listener = Listener { begun: Some(begun), pieces: to };
        self.send(Request::Listen { call: call.to_owned(), listener })?;
        let Begun { listener, rate, channels, call_id } = answered(hears).await??;
        Ok(Listening {
            rate,
            channels,
            call_id,
            listener,
            pieces,
            requests: self.0.requests.clone(),
        })
    }

    fn send(&self, request: Request) -> Result<(), LinkError> {
        self.0.requests.try_send(request).map_err(|_| LinkError::NotRunning)
    }

    fn silent(&self) {
        self.0.silent();
    }
}

async fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T, LinkError> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(LinkError::NotRunning),
        Err(_) => Err(LinkError::Late),
    }
}

impl Inner {
    fn heard(&self, status: Box<Status>) {
        let came = Some((self.now)());
        let status = Some(Arc::new(*status));
        self.latest.send_replace(Latest { status, came, silent_since: None });
    }

    /// Nothing came for a while: since the last report, that is.
    fn silent(&self) {
        self.latest.send_if_modified(|latest| {
            let is_news = latest.silent_since.is_none();
            if is_news {
                latest.silent_since = Some(latest.came.unwrap_or_else(self.now));
            }
            is_news
        });
    }
}

/// A call's sound, as it comes. Dropping it ends the listening.
pub struct Listening {
    /// Samples a second, of each channel.
    pub rate: u32,
    /// Interleaved: caller, callee.
    pub channels: u8,
    /// Call-ID.
    pub call_id: Option<String>,
    listener: u32,
    pieces: mpsc::Receiver<Piece>,
    requests: mpsc::Sender<Request>,
}

impl Listening {
    /// The next piece.
    pub async fn next(&mut self) -> Piece {
        // Nothing is sent any more to who takes too little.
        self.pieces.recv().await.unwrap_or_else(|| Piece::Ended("slow".into()))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // If it cannot be said now, it is when its next block has nowhere to go.
        let _ = self.requests.try_send(Request::Leave { listener: self.listener });
    }
}

/// Why a connection ended.
#[derive(Debug, Error)]
enum Gone {
    #[error(transparent)]
    Wire(#[from] wire::WireError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("it takes no questions")]
    Deaf,
}

/// One connection, as long as it lasts.
struct Connection<'a> {
    inner: &'a Inner,
    stream: Option<UnixStream>,
    questions: HashMap<u32, oneshot::Sender<CallPage>>,
    listeners: HashMap<u32, Listener>,
    /// The last number given to a question or a listener.
    number: u32,
}

impl<'a> Connection<'a> {
    fn new(inner: &'a Inner, stream: UnixStream) -> Self {
        let (questions, listeners) = (HashMap::new(), HashMap::new());
        Self { inner, stream: Some(stream), questions, listeners, number: 0 }
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<Request>) -> Result<(), Gone> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let (mut from, mut to) = stream.into_split();
        let (mut decoder, mut bytes) = (Decoder::default(), vec![0; READ_BYTES]);
        let mut silent_at = Instant::now() + SILENT_AFTER;
        loop {
            tokio::select! {
                read = from.read(&mut bytes) => {
                    let read = read?;
                    decoder.push(bytes.get(..read).filter(|bytes| !bytes.is_empty()).ok_or(Gone::Closed)?);
                    while let Some(frame) = decoder.frame::<Tell>()? {
                        if let Some(ask) = self.frame(frame, &mut silent_at) {
                            send(&mut to, &ask).await?;
                        }
                    }
                }
                Some(request) = inbox.recv() => {
                    if let Some(ask) = self.request(request) {
                        send(&mut to, &ask).await?;
                    }
                }
                () = tokio::time::sleep_until(silent_at) => {
                    self.inner.silent();
                    silent_at = Instant::now() + SILENT_AFTER;
                }
            }
        }
    }

    fn request(&mut self, request: Request) -> Option<Ask> {
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        match request {
            Request::Calls { party, limit, answer } => {
                self.questions.retain(|_, waiting| !waiting.is_closed());
                self.questions.insert(number, answer);
                Some(Ask::Calls { question: number, party, limit })
            }
            Request::Listen { call, listener } => {
                self.listeners.insert(number, listener);
                Some(Ask::Listen { listener: number, call })
            }
            Request::Leave { listener } => {
                self.listeners.remove(&listener).map(|_| Ask::Leave { listener })
            }
        }
    }

    /// Hands over what came. What is to be said to it, if anything.
    fn frame(&mut self, frame: Frame<Tell>, silent_at: &mut Instant) -> Option<Ask> {
        match frame {
            Frame::Sound(sound) => return self.sound(sound),
            Frame::Words(Tell::Status { status }) => {
                *silent_at = Instant::now() + SILENT_AFTER;
                self.inner.heard(status);
            }
            Frame::Words(Tell::Calls { question, calls, total }) => {
                if let Some(answer) = self.questions.remove(&question) {
                    // Who asked may have gone.
                    let _ = answer.send(CallPage { calls, total });
                }
            }
            Frame::Words(Tell::News { news }) => {
                // Nobody may be interested.
                let _ = self.inner.news.send(news);
            }
            Frame::Words(Tell::NewsLost) => tracing::debug!("news of calls were lost"),
            Frame::Words(Tell::Hears { listener, rate, channels, call_id }) => {
                let begun = Begun { listener, rate, channels, call_id };
                let waiting = self.listeners.get_mut(&listener)?.begun.take()?;
                if waiting.send(Ok(begun)).is_err() {
                    self.listeners.remove(&listener);
                    return Some(Ask::Leave { listener });
                }
            }
            Frame::Words(Tell::Ended { listener, reason }) => self.ended(listener, reason),
        }
        None
    }

    fn sound(&mut self, sound: Sound) -> Option<Ask> {
        let listener = sound.listener;
        let heard = self.listeners.get(&listener)?.pieces.try_send(Piece::Sound(sound));
        if heard.is_ok() {
            return None;
        }
        // He has gone, or takes less than comes.
        self.listeners.remove(&listener);
        Some(Ask::Leave { listener })
    }

    fn ended(&mut self, listener: u32, reason: String) {
        let Some(Listener { begun, pieces }) = self.listeners.remove(&listener) else { return };
        // He may have gone; or be so far behind that he counts as slow.
        match begun {
            Some(begun) => drop(begun.send(Err(LinkError::Refused(reason)))),
            None => drop(pieces.try_send(Piece::Ended(reason))),
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let listeners: Vec<_> = self.listeners.keys().copied().collect();
        listeners.into_iter().for_each(|listener| self.ended(listener, "silent".into()));
    }
}

async fn send(to: &mut OwnedWriteHalf, ask: &Ask) -> Result<(), Gone> {
    // One that is too long is the asker's own fault: he gets no answer.
    let Some(frame) = wire::encode(ask) else { return Ok(()) };
    match tokio::time::timeout(ANSWER_WITHIN, to.write_all(&frame)).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Gone::Deaf),
    }
}
