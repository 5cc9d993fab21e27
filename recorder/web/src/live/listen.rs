//! Listening to a call that is up.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::calls::unheard;
use crate::app::{Act, App, Path};
use crate::auth::{Caller, Right};
use crate::link::wire::Sound;
use crate::link::{LinkError, Listening, Piece};
use crate::problem::{Answer, Problem};

/// A listener has nothing to say but that he leaves.
const SAID_BYTES_MAX: usize = 1_024;

/// How often it is asked whether a listener still may: his log-in ends, or the right is taken from him.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// Listen to a call that is up, less than half a second behind the wire: a WebSocket. First comes a text frame
/// `{"rate": 8000, "channels": 2, "callId": ...}`, then binary frames: milliseconds since 1970 (64 bits, little endian)
/// at which the first sample was sent, and interleaved samples (16 bits, little endian; caller, callee) of 40 ms; at
/// the end a text frame `{"ended": reason}`. A browser's handshake must come from these pages.
#[utoipa::path(get, path = "/calls/{id}/listen", operation_id = "listenToCall", tag = "calls",
    params(("id" = String, Path, description = "the call's id")),
    responses((status = 101, description = "What follows is a WebSocket"),
              (status = 400, description = "This is no handshake of a WebSocket", body = Problem),
              (status = 404, description = "No such call is up", body = Problem),
              (status = 409, description = "Its audio cannot be decoded, or is encrypted", body = Problem)))]
pub(super) async fn listen(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    handshake: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    app.allow(&caller, Right::ListenLive, Act::ListenLive, &id)?;
    let handshake = handshake.map_err(|error| Problem::bad_request(error.body_text()))?;
    let listening = app.recorder().listen(&id).await.map_err(refused)?;
    app.note(&caller, Act::ListenLive, &id, json!({ "callId": listening.call_id }))?;
    let handshake = handshake.max_message_size(SAID_BYTES_MAX);
    Ok(handshake.on_upgrade(move |socket| async move {
        // He has left: what there is to say, he does not hear.
        let _ = serve(socket, listening, &app, &caller).await;
    }))
}

fn refused(error: LinkError) -> Problem {
    let LinkError::Refused(reason) = &error else { return unheard(error) };
    match reason.as_str() {
        "unknown" => Problem::not_found("no such call is up"),
        "inaudible" => Problem::new(
            StatusCode::CONFLICT,
            "its audio cannot be heard live: it is encrypted, or of an encoding that is not decoded",
        ),
        "full" => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "as many calls are listened to as may be; try again when somebody has left",
        )
        .retry_after(10),
        _ => unheard(error),
    }
}

async fn serve(
    mut socket: WebSocket,
    mut listening: Listening,
    app: &App,
    caller: &Caller,
) -> Result<(), axum::Error> {
    let begin = json!({
        "rate": listening.rate,
        "channels": listening.channels,
        "callId": listening.call_id,
    });
    socket.send(text(&begin)).await?;
    let mut asked = tokio::time::interval(ASKED_EVERY);
    loop {
        tokio::select! {
            piece = listening.next() => match piece {
                Piece::Sound(sound) => socket.send(Message::Binary(bytes(&sound))).await?,
                Piece::Ended(reason) => {
                    socket.send(text(&json!({ "ended": reason }))).await?;
                    return socket.send(Message::Close(None)).await;
                }
            },
            _ = asked.tick() => if !app.still_may(caller, Right::ListenLive).await {
                socket.send(text(&json!({ "ended": "forbidden" }))).await?;
                return socket.send(Message::Close(None)).await;
            },
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
        }
    }
}

fn text(json: &serde_json::Value) -> Message {
    Message::Text(Utf8Bytes::from(json.to_string()))
}

fn bytes(sound: &Sound) -> Bytes {
    let mut bytes = Vec::with_capacity(8 + sound.samples.len() * 4);
    bytes.extend(sound.time.to_le_bytes());
    sound.samples.iter().flatten().for_each(|sample| bytes.extend(sample.to_le_bytes()));
    bytes.into()
}
