//! Content as an answer: whole, a range of it, or a body whose length is known when it is made.
//!
//! A body is made by a task of its own, a piece at a time, a piece ahead of what the client takes. A client that takes
//! nothing for [`PLAYER_STALL_SECONDS_MAX`] loses it, and with it its place; a player asks again from where it is. A
//! body that is not all there ends with an error, never as if that were all.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base::limits::{PLAYER_PIECE_BYTES, PLAYER_STALL_SECONDS_MAX};
use futures_util::stream;
use tokio::sync::mpsc;

use super::content::{Content, cut_short};
use super::errand::Errand;
use super::range::{Wanted, wanted};
use super::streams::Place;
use crate::problem::{Answer, Problem};

const STALL: Duration = Duration::from_secs(PLAYER_STALL_SECONDS_MAX);

/// What a body is to be called.
pub(super) struct Label {
    /// Media type.
    pub(super) media_type: &'static str,
    /// A file's name: letters, digits, `.`, `-`.
    pub(super) file: String,
    /// Whether it is to be saved, not played.
    pub(super) save: bool,
}

/// Asks, before each piece, whether it may still be given.
pub(super) type Watch = Box<dyn FnMut() -> Answer<()> + Send>;

/// Gives one piece after the other.
pub(super) type Next = Box<dyn FnMut() -> Answer<Option<Vec<u8>>> + Send>;

/// What is asked for, and by whom.
pub(super) struct Request<'h> {
    pub(super) errand: Errand,
    pub(super) headers: &'h HeaderMap,
    pub(super) place: Place,
    pub(super) watch: Option<Watch>,
}

/// Content of known length, or the range of it that the request wants (RFC 9110, 14). `tag` names its bytes.
pub(super) fn content(
    request: Request<'_>,
    label: &Label,
    tag: &str,
    content: Arc<dyn Content>,
) -> Response {
    let length = content.bytes();
    let tag = format!("\"{tag}\"");
    let (status, from, until) = match asked(request.headers, &tag, length) {
        Wanted::Whole => (StatusCode::OK, 0, length),
        Wanted::Part(from, until) => (StatusCode::PARTIAL_CONTENT, from, until),
        Wanted::Nothing => {
            let detail = format!("there are {length} bytes");
            let mut response =
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).into_response();
            put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let mut at = from;
    let next = move || {
        if at == until {
            return Ok(None);
        }
        let max = usize::try_from(until - at).unwrap_or(usize::MAX).min(PLAYER_PIECE_BYTES);
        let piece = content.read(at, max)?;
        at += piece.len() as u64;
        if piece.is_empty() { Err(cut_short()) } else { Ok(Some(piece)) }
    };
    let mut response = (status, body(request, Box::new(next))).into_response();
    let headers = response.headers_mut();
    label.put(headers);
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::ETAG, &tag);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(until - from));
    if status == StatusCode::PARTIAL_CONTENT {
        put(headers, header::CONTENT_RANGE, &format!("bytes {from}-{}/{length}", until - 1));
    }
    response
}

/// A body whose length is known when it is made. Ranges of it are not to be had.
pub(super) fn made(request: Request<'_>, label: &Label, next: Next) -> Response {
    let mut response = body(request, next).into_response();
    label.put(response.headers_mut());
    put(response.headers_mut(), header::ACCEPT_RANGES, "none");
    response
}

/// What of a content is wanted: a range only of the very bytes that the client has the beginning of.
fn asked(headers: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(header::RANGE), text(header::IF_RANGE)) {
        (Some(range), None) => wanted(range, length),
        (Some(range), Some(condition)) if condition == tag => wanted(range, length),
        _ => Wanted::Whole,
    }
}

impl Label {
    fn put(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        let how = if self.save { "attachment" } else { "inline" };
        put(headers, header::CONTENT_DISPOSITION, &format!("{how}; filename=\"{}\"", self.file));
    }
}

/// Values of ours: printable ASCII.
fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What goes from the task to the body.
enum Piece {
    Bytes(Vec<u8>),
    /// That was all.
    End,
}

fn body(request: Request<'_>, next: Next) -> Body {
    let (pieces, taken) = mpsc::channel(1);
    let Request { errand, place, watch, .. } = request;
    tokio::spawn(make(errand, place, watch, next, pieces));
    Body::from_stream(stream::unfold(Some(taken), async |taken| {
        let mut taken = taken?;
        match taken.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(Bytes::from(bytes)), Some(taken))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("cut off")), None)),
        }
    }))
}

/// Makes piece after piece until there is none, nobody takes them, or something is wrong.
async fn make(
    errand: Errand,
    place: Place,
    mut watch: Option<Watch>,
    mut next: Next,
    pieces: mpsc::Sender<Piece>,
) {
    loop {
        let step = move || {
            watch.as_mut().map_or(Ok(()), |watch| watch())?;
            let piece = next()?;
            Ok((piece, watch, next))
        };
        let app = &errand.app;
        let piece = match app.player().work(app, |_| step()).await {
            Ok((piece, given_watch, given_next)) => {
                (watch, next) = (given_watch, given_next);
                piece.map_or(Piece::End, Piece::Bytes)
            }
            Err(problem) => {
                errand.failed(problem);
                break;
            }
        };
        let is_end = matches!(piece, Piece::End);
        let sent = tokio::time::timeout(STALL, pieces.send(piece)).await;
        if is_end || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    drop(place);
}
