//! `POST /shared/{token}`: who has a link opens it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use base::limits::SHARE_OPENING_SECONDS_MAX;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::kept::{self, Found};
use super::share::{End, Share};
use super::shown::{self, Shown};
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Client, Password, secret};
use crate::media::source::Source;
use crate::problem::{Answer, Problem};

/// What is asked of who opens a link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    /// The link's passcode, if it has one.
    #[serde(default)]
    passcode: Option<Password>,
}

/// Open a link. This counts as one use; the key in the answer gives the sound.
#[utoipa::path(post, path = "/shared/{token}", operation_id = "openShare", tag = "shares", security(()), request_body = Opening,
    params(("token" = String, Path, description = "the end of the link")),
    responses((status = 200, description = "Opened", body = Shown),
              (status = 401, description = "The passcode is missing, or wrong", body = Problem),
              (status = 404, description = "There is no such link, or no recording behind it any more", body = Problem),
              (status = 409, description = "The recording is not as it was signed, or cannot be opened here", body = Problem),
              (status = 410, description = "The link opens no more: revoked, expired, locked, or opened often enough", body = Problem)))]
pub(super) async fn open(
    State(app): State<App>,
    client: Client,
    Path(token): Path<String>,
    Json(opening): Json<Opening>,
) -> Answer<Json<Shown>> {
    app.hashing(move |app| Attempt::new(app, client, &token).open(&opening).map(Json)).await
}

/// Somebody at the door.
struct Attempt<'a> {
    app: &'a App,
    client: Client,
    /// What is kept of the link's secret; guesses at its passcode are counted under it.
    hash: String,
}

impl<'a> Attempt<'a> {
    fn new(app: &'a App, client: Client, token: &str) -> Self {
        Self { app, client, hash: secret::hash(token) }
    }

    fn open(&self, opening: &Opening) -> Answer<Shown> {
        let (app, now) = (self.app, self.app.now());
        if let Err(problem) = app.throttle().attempt(self.client, &self.hash, now) {
            self.refused(None, json!({ "why": "tooOften" }))?;
            return Err(problem);
        }
        let Some(found) = kept::by_hash(app.database(), &self.hash)? else {
            app.throttle().failed(self.client, &self.hash, now);
            self.refused(None, json!({ "why": "unknown" }))?;
            return Err(Problem::not_found("there is no such link"));
        };
        if let Some(end) = found.share.end(now) {
            return Err(self.ended(&found.share, end)?);
        }
        self.prove(&found, opening.passcode.as_ref())?;
        self.enter(&found.share)
    }

    /// Asks for the passcode.
    fn prove(
        &self,
        Found { share, passcode: hash }: &Found,
        given: Option<&Password>,
    ) -> Answer<()> {
        let Some(hash) = hash else { return Ok(()) };
        let database = self.app.database();
        let wrong = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
        let Some(given) = given else {
            self.refused(Some(share), json!({ "why": "noPasscode" }))?;
            return Err(wrong("this link asks for a passcode"));
        };
        if !kept::begin_try(database, &share.id)? {
            return Err(self.ended(share, End::Locked)?);
        }
        if !given.is(Some(hash)) {
            self.app.throttle().failed(self.client, &self.hash, self.app.now());
            self.refused(Some(share), json!({ "why": "wrongPasscode" }))?;
            return Err(wrong("the passcode is wrong"));
        }
        kept::was_right(database, &share.id)?;
        self.app.throttle().succeeded(self.client, &self.hash);
        Ok(())
    }

    /// Shows the recording, and counts that.
    fn enter(&self, share: &Share) -> Answer<Shown> {
        let (app, now) = (self.app, self.app.now());
        // What cannot be shown is no use of the link.
        let parts = || -> Answer<_> {
            Ok((shown::metadata(app, share.recording)?, Source::audio(app, share.recording, None)?))
        };
        let (recording, source) = match parts() {
            Ok(parts) => parts,
            Err(problem) => {
                self.refused(Some(share), json!({ "why": problem.title, "what": problem.detail }))?;
                return Err(problem);
            }
        };
        let key = secret::new()?;
        let until = now.plus(Duration::from_secs(SHARE_OPENING_SECONDS_MAX)).min(share.expires);
        if !kept::open(app.database(), &share.id, &secret::hash(&key), now, until)? {
            // Another was faster.
            let share = kept::by_id(app.database(), &share.id)?;
            let end = share.as_ref().and_then(|share| share.end(now)).unwrap_or(End::UsedUp);
            return Err(end.problem());
        }
        let detail = json!({ "share": share.id, "sharedBy": share.owner });
        app.note(&self.caller(Some(share)), Act::OpenShare, &share.recording.to_string(), detail)?;
        Ok(Shown::new(recording, &source, share, key.to_string()))
    }

    fn ended(&self, share: &Share, end: End) -> Answer<Problem> {
        self.refused(Some(share), json!({ "why": end }))?;
        Ok(end.problem())
    }

    fn refused(&self, share: Option<&Share>, mut detail: Value) -> Answer<()> {
        if let (Some(share), Some(detail)) = (share, detail.as_object_mut()) {
            detail.insert("share".to_owned(), share.id.clone().into());
        }
        let subject = share.map_or_else(String::new, |share| share.recording.to_string());
        self.app.note_refusal(&self.caller(share), Act::OpenShare, &subject, detail)
    }

    fn caller(&self, share: Option<&Share>) -> Caller {
        outsider(share, self.client)
    }
}

/// Who has a link, as the audit log calls him.
pub(super) fn outsider(share: Option<&Share>, client: Client) -> Caller {
    let name = share.map_or_else(String::new, |share| format!("share:{}", share.id));
    Caller::outsider(name, client)
}
