//! A recording's files: packets, single media files, and all as they lie there.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base::RecordingId;
use serde_json::json;

use super::content::{Content, Joined};
use super::errand::Errand;
use super::send::{self, Label, Request};
use super::source::{Source, is_audio};
use super::tar::Tar;
use crate::app::{Act, App, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

const FLAC: &str = "audio/flac";
const PCAPNG: &str = "application/x-pcapng";
const TAR: &str = "application/x-tar";

/// One media file in the clear, by its `mediaId`.
#[utoipa::path(get, path = "/recordings/{id}/mediaFiles/{mediaId}", operation_id = "mediaFile", tag = "recordings",
    params(("id" = RecordingId, Path, description = "the recording"),
           ("mediaId" = String, Path, description = "the media file, `audio.flac`")),
    responses((status = 200, description = "All of it", content((Vec<u8> = "audio/flac"), (Vec<u8> = "application/x-pcapng"))),
              (status = 206, description = "The range that was asked for", content((Vec<u8> = "audio/flac"), (Vec<u8> = "application/x-pcapng"))),
              (status = 404, description = "There is no such recording, or no such file in it", body = Problem),
              (status = 409, description = "It is not as it was signed, or cannot be opened here", body = Problem),
              (status = 416, description = "The range has nothing of it", body = Problem)))]
pub(super) async fn media_file(
    State(app): State<App>,
    caller: Caller,
    Path((id, media)): Path<(RecordingId, String)>,
    headers: HeaderMap,
) -> Answer<Response> {
    let audio = is_audio(&media);
    let errand = Errand::new(app, caller, Act::Download, id);
    errand.allow(if audio { Right::Play } else { Right::DownloadEvidence })?;
    errand.note(json!({ "media": media }))?;
    let media_type = if audio { FLAC } else { PCAPNG };
    let find = move |app: &App| {
        let source = Source::media_file(app, id, &media)?;
        let file = source.files().first().map_or_else(String::new, |file| file.plain_name.clone());
        let label = Label { media_type, file: format!("{id}-{file}"), save: true };
        Ok(found(source, label))
    };
    serve(errand, &headers, find).await
}

/// The packets that could not be decoded and were kept as they were: pcapng.
#[utoipa::path(get, path = "/recordings/{id}/packets", operation_id = "packets", tag = "recordings",
    params(("id" = RecordingId, Path, description = "the recording")),
    responses((status = 200, description = "All of them", body = Vec<u8>, content_type = "application/x-pcapng"),
              (status = 206, description = "The range that was asked for", body = Vec<u8>, content_type = "application/x-pcapng"),
              (status = 404, description = "There is no such recording, or no packets were kept of it", body = Problem),
              (status = 409, description = "They are not as they were signed, or cannot be opened here", body = Problem),
              (status = 416, description = "The range has nothing of it", body = Problem)))]
pub(super) async fn packets(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    headers: HeaderMap,
) -> Answer<Response> {
    let errand = Errand::new(app, caller, Act::Download, id);
    errand.allow(Right::DownloadEvidence)?;
    errand.note(json!({ "packets": true }))?;
    let label = Label { media_type: PCAPNG, file: format!("{id}.pcapng"), save: true };
    // Sections of a pcapng file may follow each other, so files may.
    let find = move |app: &App| Ok(found(Source::packets(app, id)?, label));
    serve(errand, &headers, find).await
}

/// All files as they lie there, sealed and signed: a tar archive, also of a recording that is not as it was signed.
#[utoipa::path(get, path = "/recordings/{id}/bundle", operation_id = "bundle", tag = "recordings",
    params(("id" = RecordingId, Path, description = "the recording")),
    responses((status = 200, description = "All of it", body = Vec<u8>, content_type = "application/x-tar"),
              (status = 206, description = "The range that was asked for", body = Vec<u8>, content_type = "application/x-tar"),
              (status = 404, description = "There is no such recording", body = Problem),
              (status = 416, description = "The range has nothing of it", body = Problem)))]
pub(super) async fn bundle(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    headers: HeaderMap,
) -> Answer<Response> {
    let errand = Errand::new(app, caller, Act::Download, id);
    errand.allow(Right::DownloadEvidence)?;
    errand.note(json!({ "bundle": true }))?;
    let find = move |app: &App| {
        let settings = app.settings();
        let tar = Tar::of(&settings.recordings.join(id.to_string()), id)?;
        let label = Label { media_type: TAR, file: format!("{id}.tar"), save: true };
        Ok(Found { tag: tar.digest().to_string(), content: Arc::new(tar), label })
    };
    serve(errand, &headers, find).await
}

/// What is to be sent.
struct Found {
    content: Arc<dyn Content>,
    tag: String,
    label: Label,
}

fn found(source: Source, label: Label) -> Found {
    Found { tag: source.digest().to_string(), content: Arc::new(Joined(source)), label }
}

async fn serve(
    errand: Errand,
    headers: &HeaderMap,
    find: impl FnOnce(&App) -> Answer<Found> + Send + 'static,
) -> Answer<Response> {
    let app = errand.app.clone();
    let place = app.player().streams.enter(&errand.caller.name)?;
    // What is altered is said before anything is sent.
    let find = |app: &App| {
        let found = find(app)?;
        found.content.read(0, 1)?;
        Ok(found)
    };
    let found = app.player().work(&app, find).await.map_err(|problem| errand.failed(problem))?;
    let request = Request { errand, headers, place, watch: None };
    Ok(send::content(request, &found.label, &found.tag, found.content))
}
