//! Making, listing and revoking links.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use base::limits::{
    PASSWORD_BYTES_MAX, SHARE_NOTE_CHARACTERS_MAX, SHARE_PASSCODE_CHARACTERS_MIN,
    SHARE_SECONDS_MAX, SHARE_USES_MAX,
};
use base::{RecordingId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::kept;
use super::share::Share;
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Password, Right, secret};
use crate::media::errand::Errand;
use crate::media::source::Source;
use crate::problem::{Answer, Problem};

/// A new link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewShare {
    /// When it ends: in 90 days at the latest.
    expires: Timestamp,
    /// How often it can be opened; null: any number of times.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    uses: Option<u32>,
    /// What is asked of who opens it; null: nothing.
    #[serde(default)]
    passcode: Option<Password>,
    /// For the list of links; who opens it does not see it.
    #[serde(default)]
    #[schema(max_length = 200)]
    note: Option<String>,
}

/// A link that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MadeShare {
    #[serde(flatten)]
    about: Share,
    /// The link itself. It is shown this once.
    url: String,
}

/// Links to recordings.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Shares {
    /// The newest first, 1,000 at most.
    shares: Vec<Share>,
}

/// Make a link to a recording.
#[utoipa::path(post, path = "/recordings/{id}/shares", operation_id = "share", tag = "shares", request_body = NewShare,
    params(("id" = RecordingId, Path, description = "the recording")),
    responses((status = 201, description = "Made", body = MadeShare),
              (status = 404, description = "There is no such recording, or no sound of it", body = Problem),
              (status = 409, description = "It is not as it was signed, or there are too many links to it", body = Problem)))]
pub(super) async fn make(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Json(new): Json<NewShare>,
) -> Answer<(StatusCode, Json<MadeShare>)> {
    let errand = Errand::new(app.clone(), caller, Act::Share, id);
    errand.allow(Right::Share)?;
    // Who could share without being allowed to hear would hear what he shares.
    errand.allow(Right::Play)?;
    let made = app.hashing(move |app| {
        check(&new, app.now())?;
        Source::audio(app, id, None).map_err(|problem| errand.failed(problem))?;
        let secret = secret::new()?;
        let share = Share {
            id: secret::id()?,
            recording: id,
            owner: errand.caller.name.clone(),
            created: app.now(),
            expires: new.expires,
            uses: new.uses,
            used: 0,
            passcode: new.passcode.is_some(),
            locked: false,
            note: new.note.clone().filter(|note| !note.is_empty()),
            revoked: None,
        };
        let passcode = new.passcode.as_ref().map(Password::hash).transpose()?;
        app.note(&errand.caller, Act::Share, &id.to_string(), json!({ "share": share.id,
            "expires": share.expires, "uses": share.uses, "passcode": share.passcode, "note": share.note }))?;
        let hash = secret::hash(&secret);
        app.database().transaction(|t| kept::insert(t, &share, &hash, passcode))?;
        let url = format!("{}/s/{}", app.settings().url, *secret);
        Ok(MadeShare { about: share, url })
    });
    Ok((StatusCode::CREATED, Json(made.await?)))
}

fn check(new: &NewShare, now: Timestamp) -> Answer<()> {
    let latest = now.plus(Duration::from_secs(SHARE_SECONDS_MAX));
    if new.expires <= now || new.expires > latest {
        let days = SHARE_SECONDS_MAX / 86_400;
        return Err(Problem::bad_request(format!("expires: from now to {days} days, please")));
    }
    if new.uses.is_some_and(|uses| uses == 0 || uses > SHARE_USES_MAX) {
        return Err(Problem::bad_request(format!("uses: 1 to {SHARE_USES_MAX}, please, or null")));
    }
    if new.note.as_ref().is_some_and(|note| note.chars().count() > SHARE_NOTE_CHARACTERS_MAX) {
        let detail = format!("note: at most {SHARE_NOTE_CHARACTERS_MAX} characters, please");
        return Err(Problem::bad_request(detail));
    }
    match &new.passcode {
        Some(passcode) if !passcode.has(SHARE_PASSCODE_CHARACTERS_MIN, PASSWORD_BYTES_MAX) => {
            let detail =
                format!("passcode: at least {SHARE_PASSCODE_CHARACTERS_MIN} characters, please");
            Err(Problem::bad_request(detail))
        }
        _ => Ok(()),
    }
}

/// Links to a recording: one's own; everybody's for those who manage links.
#[utoipa::path(get, path = "/recordings/{id}/shares", operation_id = "listSharesOfRecording", tag = "shares",
    params(("id" = RecordingId, Path, description = "the recording")),
    responses((status = 200, description = "Links", body = Shares)))]
pub(super) async fn of_recording(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
) -> Answer<Json<Shares>> {
    listed(app, caller, Some(id)).await
}

/// Links to all recordings: one's own; everybody's for those who manage links.
#[utoipa::path(get, path = "/shares", operation_id = "listShares", tag = "shares",
    responses((status = 200, description = "Links", body = Shares)))]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Answer<Json<Shares>> {
    listed(app, caller, None).await
}

async fn listed(app: App, caller: Caller, id: Option<RecordingId>) -> Answer<Json<Shares>> {
    let subject = id.map_or_else(String::new, |id| id.to_string());
    app.blocking(move |app| {
        let owner = owner(app, &caller, Act::See, &subject)?;
        app.note(&caller, Act::See, &subject, json!({ "shares": "list" }))?;
        Ok(Json(Shares { shares: kept::list(app.database(), id, owner)? }))
    })
    .await
}

/// Revoke a link: one's own; anybody's for those who manage links. What is being heard with it ends too.
#[utoipa::path(delete, path = "/shares/{id}", operation_id = "revokeShare", tag = "shares",
    params(("id" = String, Path, description = "the link's id")),
    responses((status = 204, description = "Revoked, now or before"),
              (status = 404, description = "There is no such link, or it is another's", body = Problem)))]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    app.blocking(move |app| {
        let owner = owner(app, &caller, Act::RevokeShare, &id)?;
        let share = kept::by_id(app.database(), &id)?;
        let share = share.filter(|share| owner.is_none_or(|owner| share.owner == owner));
        let Some(share) = share else {
            app.note_refusal(&caller, Act::RevokeShare, "", json!({ "share": id }))?;
            return Err(Problem::not_found("there is no such link"));
        };
        let detail = json!({ "share": id, "owner": share.owner });
        app.note(&caller, Act::RevokeShare, &share.recording.to_string(), detail)?;
        kept::revoke(app.database(), &id, app.now())?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Whose links the caller may see and revoke: his own, or all (`None`).
fn owner<'c>(app: &App, caller: &'c Caller, act: Act, subject: &str) -> Answer<Option<&'c str>> {
    if caller.may(Right::ManageShares) {
        return Ok(None);
    }
    app.allow(caller, Right::Share, act, subject)?;
    Ok(Some(&caller.name))
}
