//! `GET /recordings/{id}/audio`: the whole sound of a recording, whatever files it is in.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base::RecordingId;
use media::playback::{Converter, Remarks, Track, View, Voices};
use seal::sha256;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::content::{Content, Sound};
use super::errand::Errand;
use super::send::{self, Label, Next, Request, Watch};
use super::source::Source;
use crate::app::{Act, App, Path, Query};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// Changes whenever the same recording would give other bytes, for those who hold the beginning of some.
const EDITION: u32 = 1;

/// A format of sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// As recorded; of one part, byte for byte as it was signed.
    #[default]
    Flac,
    /// The same samples, 16 bits.
    Wav,
    /// Small, for listening: 24 kbit/s for each party.
    Opus,
}

/// Who is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    /// Caller left, callee right.
    #[default]
    Both,
    /// The caller alone.
    Caller,
    /// The callee alone.
    Callee,
}

/// How sound is wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(super) struct How {
    /// In which format.
    #[param(inline)]
    pub(super) format: Format,
    /// Who is heard.
    #[param(inline)]
    pub(super) side: Who,
    /// To be saved rather than played.
    pub(super) download: bool,
}

/// The query.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AudioQuery {
    /// In which format.
    #[param(inline)]
    format: Format,
    /// Who is heard.
    #[param(inline)]
    side: Who,
    /// To be saved rather than played.
    download: bool,
    /// The `mediaId` of the first file of other sound than the main one (`audio-2.flac`: parties that spoke at the same
    /// time), or of a later part, which then comes alone.
    #[param(max_length = 255)]
    media: Option<String>,
}

/// The sound of a recording, all parts joined. WAV, and FLAC with both sides, come by range; Opus, and FLAC with one
/// side, are made while they are sent. Nothing is given that is not as it was signed.
#[utoipa::path(get, path = "/recordings/{id}/audio", operation_id = "audio", tag = "recordings",
    params(("id" = RecordingId, Path, description = "the recording"), AudioQuery),
    responses((status = 200, description = "All of it", content(
                  (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"))),
              (status = 206, description = "The range that was asked for", content(
                  (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/wav"))),
              (status = 404, description = "There is no such recording, or no sound of it", body = Problem),
              (status = 409, description = "It is not as it was signed, cannot be opened here, or not so", body = Problem),
              (status = 416, description = "The range has nothing of it", body = Problem)))]
pub(super) async fn audio(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Query(query): Query<AudioQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let how = How { format: query.format, side: query.side, download: query.download };
    let errand = Errand::new(app, caller, how.act(), id);
    errand.allow(Right::Play)?;
    errand.note(json!({ "format": how.format, "side": how.side, "media": query.media }))?;
    let order = Order { id, media: query.media, how, remarks: Vec::new(), watch: None };
    order.serve(errand, &headers).await
}

impl How {
    pub(super) const fn act(&self) -> Act {
        if self.download { Act::Download } else { Act::Play }
    }

    fn label(&self, id: RecordingId) -> Label {
        let (media_type, ending) = match self.format {
            Format::Flac => ("audio/flac", "flac"),
            Format::Wav => ("audio/wav", "wav"),
            Format::Opus => ("audio/ogg; codecs=opus", "opus"),
        };
        let side = match self.side {
            Who::Both => "",
            Who::Caller => "-caller",
            Who::Callee => "-callee",
        };
        Label { media_type, file: format!("{id}{side}.{ending}"), save: self.download }
    }
}

impl From<Who> for Voices {
    fn from(who: Who) -> Self {
        match who {
            Who::Both => Self::Both,
            Who::Caller => Self::Caller,
            Who::Callee => Self::Callee,
        }
    }
}

/// Which sound, and how.
pub(super) struct Order {
    pub(super) id: RecordingId,
    pub(super) media: Option<String>,
    pub(super) how: How,
    /// What is to be said in the file.
    pub(super) remarks: Vec<(String, String)>,
    /// Whether it may still be heard.
    pub(super) watch: Option<Watch>,
}

/// What an order becomes.
enum Dish {
    Ready { content: Arc<dyn Content>, tag: String },
    ToOrder(Next),
}

impl Order {
    /// The answer.
    ///
    /// # Errors
    /// 404, 409 as [`Source`]; 429 and 503 if too much is being sent.
    pub(super) async fn serve(self, errand: Errand, headers: &HeaderMap) -> Answer<Response> {
        let Self { id, media, how, remarks, watch } = self;
        let app = errand.app.clone();
        let place = app.player().streams.enter(&errand.caller.name)?;
        let label = how.label(id);
        let cook = move |app: &App| cook(Source::audio(app, id, media.as_deref())?, &how, &remarks);
        let dish = app.player().work(&app, cook).await.map_err(|problem| errand.failed(problem))?;
        let request = Request { errand, headers, place, watch };
        Ok(match dish {
            Dish::Ready { content, tag } => send::content(request, &label, &tag, content),
            Dish::ToOrder(next) => send::made(request, &label, next),
        })
    }
}

fn cook(source: Source, how: &How, remarks: &Remarks) -> Answer<Dish> {
    let track: Arc<Track> = source.track()?;
    let voices = how.side.into();
    let view = match (how.format, voices) {
        (Format::Wav, _) => View::wav(track, voices, remarks)?,
        (Format::Flac, Voices::Both) => View::flac(track, remarks),
        (Format::Flac, _) => {
            return Ok(to_order(source, Converter::flac(track, voices, remarks)?));
        }
        (Format::Opus, _) => {
            return Ok(to_order(source, Converter::opus(track, voices, remarks)?));
        }
    };
    let what = json!([EDITION, source.digest().to_string(), how.format, how.side, remarks]);
    let tag = sha256(what.to_string().as_bytes()).to_string();
    Ok(Dish::Ready { content: Arc::new(Sound { source, view }), tag })
}

fn to_order(source: Source, mut converter: Converter) -> Dish {
    Dish::ToOrder(Box::new(move || converter.next(|part| source.part(part))))
}
