//! `GET /shared/{token}/audio`: the sound behind a link that was opened.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::kept;
use super::open::outsider;
use super::share::Share;
use crate::app::{App, Path, Query};
use crate::auth::{Client, secret};
use crate::media::audio::{Format, How, Order, Who};
use crate::media::errand::Errand;
use crate::media::send::Watch;
use crate::problem::{Answer, Problem};

/// How often it is looked whether a link still holds while its sound is sent.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The query.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SharedQuery {
    /// What opening the link gave.
    #[param(min_length = 1)]
    key: String,
    /// In which format.
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// Who is heard.
    #[serde(default)]
    #[param(inline)]
    side: Who,
    /// To be saved rather than played.
    #[serde(default)]
    download: bool,
}

/// The sound of a recording that was shared, as GET /recordings/{id}/audio gives it. Each file says who shared it.
#[utoipa::path(get, path = "/shared/{token}/audio", operation_id = "sharedAudio", tag = "shares", security(()),
    params(("token" = String, Path, description = "the end of the link"), SharedQuery),
    responses((status = 200, description = "All of it", content(
                  (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"))),
              (status = 206, description = "The range that was asked for", content(
                  (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/wav"))),
              (status = 401, description = "The key does not hold: the link is to be opened first", body = Problem),
              (status = 404, description = "There is no recording behind it any more", body = Problem),
              (status = 409, description = "It is not as it was signed, or cannot be opened here", body = Problem),
              (status = 410, description = "The link holds no more: revoked, expired or locked", body = Problem),
              (status = 416, description = "The range has nothing of it", body = Problem)))]
pub(super) async fn play(
    State(app): State<App>,
    client: Client,
    Path(token): Path<String>,
    Query(query): Query<SharedQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let pass = Pass { hash: secret::hash(&token), key_hash: secret::hash(&query.key) };
    let (share, pass) = app.blocking(move |app| Ok((pass.check(app, app.now())?, pass))).await?;
    let how = How { format: query.format, side: query.side, download: query.download };
    let errand =
        Errand::new(app.clone(), outsider(Some(&share), client), how.act(), share.recording);
    errand.note(json!({ "share": share.id, "format": how.format, "side": how.side }))?;
    let remarks = vec![("COMMENT".to_owned(), watermark(&share))];
    let watch = Some(pass.watch(app));
    Order { id: share.recording, media: None, how, remarks, watch }.serve(errand, &headers).await
}

/// Who shared it, and when: the day, in UTC.
fn watermark(share: &Share) -> String {
    let time = share.created.to_string();
    let day = time.split('T').next().unwrap_or_default();
    format!("shared by {} on {day}", share.owner)
}

/// A link and a key of it.
struct Pass {
    hash: String,
    key_hash: String,
}

impl Pass {
    /// The link, if both hold.
    ///
    /// # Errors
    /// 401 if the key does not, 410 if the link does not.
    fn check(&self, app: &App, now: Timestamp) -> Answer<Share> {
        if let Some(share) = kept::by_key(app.database(), &self.hash, &self.key_hash, now)? {
            return share.silence(now).map_or(Ok(share), |end| Err(end.problem()));
        }
        // Revoking a link takes its keys away.
        let found = kept::by_hash(app.database(), &self.hash)?;
        match found.and_then(|found| found.share.silence(now)) {
            Some(end) => Err(end.problem()),
            None => {
                let detail = "this link is to be opened first: POST /shared/{token} gives the key";
                Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
            }
        }
    }

    /// Looks again and again, while the sound is sent.
    fn watch(self, app: App) -> Watch {
        let mut looked = app.now();
        Box::new(move || {
            let now = app.now();
            if now < looked || now.since(looked) >= LOOK_EVERY {
                looked = now;
                self.check(&app, now)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use base::RecordingId;

    use super::*;

    #[test]
    fn a_watermark_names_who_shared_it_and_the_day() {
        let time = Timestamp::from_nanos(1_795_392_000_000_000_000);
        let share = Share {
            id: "x".into(),
            recording: RecordingId::of_call(time, &[]),
            owner: "anna".into(),
            created: time,
            expires: time,
            uses: None,
            used: 0,
            passcode: false,
            locked: false,
            note: None,
            revoked: None,
        };
        assert_eq!(watermark(&share), "shared by anna on 2026-11-23");
    }
}
