//! One recording.

use axum::extract::State;
use base::RecordingId;
use base::recording::Recording;
use store::catalog::Annotations;

use super::problem;
use super::shape::Detail;
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// All that is known of a recording but its sound.
#[utoipa::path(
    get,
    path = "/recordings/{id}",
    tag = "recordings",
    operation_id = "getRecording",
    params(("id" = RecordingId, Path)),
    responses(
        (status = 200, body = Detail),
        (status = 404, description = "There is no such recording.", body = Problem),
    )
)]
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
) -> Answer<Json<Detail>> {
    app.allow(&caller, Right::SeeRecordings, Act::See, &id.to_string())?;
    app.note(&caller, Act::See, &id.to_string(), serde_json::json!({}))?;
    let (recording, said) = app.blocking(move |app| known(app, id)).await?;
    Ok(Json(Detail { recording, said: said.into() }))
}

fn known(app: &App, id: RecordingId) -> Answer<(Recording, Annotations)> {
    Ok((app.catalog()?.get(id).map_err(problem)?, said(app, id)?))
}

/// What people said of a recording.
pub(super) fn said(app: &App, id: RecordingId) -> Answer<Annotations> {
    let mut said = app.catalog()?.annotations(&[id]).map_err(problem)?;
    Ok(said.remove(&id).unwrap_or_default())
}
