//! What clients of Genesys' Interaction Recording Web Services ask first, in their words: non-deletion as an
//! operation on a recording, labels by a posted name, definitions of labels.
//!
//! Their list of recordings is ours (`GET /recordings`), as is a recording (`mediaFiles` and all). Errors are ours:
//! the HTTP status is theirs, the body a [`Problem`].
//! Source: docs.genesys.com, Interaction Recording 8.5.2, "Recording Non-Deletion API", "Recording Label API".

use axum::extract::State;
use axum::http::StatusCode;
use base::RecordingId;
use base::limits::{HOLD_REASON_CHARACTERS_MAX, LABEL_CHARACTERS_MAX, LABEL_DEFINITIONS_MAX};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::DatabaseError;
use store::database::Row;
use utoipa::ToSchema;

use super::annotate::{put_label, set_hold};
use super::query::Label;
use super::words;
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// The reason of a non-deletion that was set without one.
const NO_REASON: &str = "set by applyNonDelete, without a reason";

/// What is done to a recording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Operation {
    /// What.
    operation_name: OperationName,
}

/// The operations.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum OperationName {
    /// Forbids that it is deleted.
    ApplyNonDelete,
    /// Allows it again.
    RemoveNonDelete,
}

/// How an operation went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    /// 0: it was done.
    status_code: u32,
}

const DONE: Json<Done> = Json(Done { status_code: 0 });

/// An operation on a recording, as Interaction Recording Web Services have it.
#[utoipa::path(
    post,
    path = "/recordings/{id}",
    tag = "recordings",
    operation_id = "operateOnRecording",
    params(("id" = RecordingId, Path)),
    request_body = Operation,
    responses(
        (status = 200, body = Done),
        (status = 404, description = "There is no such recording.", body = Problem),
    )
)]
pub(super) async fn operate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Json(operation): Json<Operation>,
) -> Answer<Json<Done>> {
    let reason = match operation.operation_name {
        OperationName::ApplyNonDelete => Some(NO_REASON),
        OperationName::RemoveNonDelete => None,
    };
    app.blocking(move |app| set_hold(app, &caller, id, reason)).await?;
    Ok(DONE)
}

/// Which label.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLabel {
    /// Its name.
    name: Label,
}

/// Puts a label on a recording, as Interaction Recording Web Services have it.
#[utoipa::path(
    post,
    path = "/recordings/{id}/labels",
    tag = "recordings",
    operation_id = "addLabel",
    params(("id" = RecordingId, Path)),
    request_body = NewLabel,
    responses(
        (status = 201, body = Done),
        (status = 404, description = "There is no such recording.", body = Problem),
        (status = 409, description = "It has too many labels.", body = Problem),
    )
)]
pub(super) async fn add_label(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Json(NewLabel { name }): Json<NewLabel>,
) -> Answer<(StatusCode, Json<Done>)> {
    app.blocking(move |app| put_label(app, &caller, id, &name)).await?;
    Ok((StatusCode::CREATED, DONE))
}

/// What a label means.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Definition {
    /// The label.
    name: Label,
    /// How it is shown; the name if it is not given.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    display_name: Option<String>,
    /// For people.
    #[serde(default)]
    #[schema(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    description: String,
}

impl Definition {
    fn check(&self) -> Answer<()> {
        self.name.check()?;
        if let Some(shown) = &self.display_name {
            words::check("displayName", shown, LABEL_CHARACTERS_MAX)?;
        }
        match self.description.as_str() {
            "" => Ok(()),
            words => words::check("description", words, HOLD_REASON_CHARACTERS_MAX),
        }
    }
}

/// What labels mean.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definitions {
    /// 0.
    status_code: u32,
    /// Sorted by name.
    label_definitions: Vec<Definition>,
}

/// Says what a label means, as Interaction Recording Web Services have it. A label can be put on recordings without.
#[utoipa::path(
    post,
    path = "/recording-label-definitions",
    tag = "recordings",
    operation_id = "defineLabel",
    request_body = Definition,
    responses(
        (status = 201, body = Done),
        (status = 409, description = "It is defined already, or too many are.", body = Problem),
    )
)]
pub(super) async fn define(
    State(app): State<App>,
    caller: Caller,
    Json(definition): Json<Definition>,
) -> Answer<(StatusCode, Json<Done>)> {
    definition.check()?;
    app.blocking(move |app| insert(app, &caller, &definition)).await?;
    Ok((StatusCode::CREATED, DONE))
}

fn insert(app: &App, caller: &Caller, new: &Definition) -> Answer<()> {
    let Label(name) = &new.name;
    app.allow(caller, Right::Label, Act::Label, name)?;
    app.note(caller, Act::Label, name, json!({ "defined": new.description }))?;
    let sql = "INSERT INTO web_label_definitions (name, shown, description) SELECT $1, $2, $3 \
               WHERE (SELECT count(*) FROM web_label_definitions) < $4 ON CONFLICT (name) DO NOTHING";
    let shown = new.display_name.as_ref().unwrap_or(name);
    let values =
        [name.into(), shown.into(), (&new.description).into(), LABEL_DEFINITIONS_MAX.into()];
    match app.database().execute(sql, &values)? {
        0 => Err(Problem::conflict(format!(
            "the label is defined already, or there are {LABEL_DEFINITIONS_MAX} definitions"
        ))),
        _ => Ok(()),
    }
}

/// What labels mean, as far as somebody said so.
#[utoipa::path(
    get,
    path = "/recording-label-definitions",
    tag = "recordings",
    operation_id = "listLabelDefinitions",
    responses(
        (status = 200, body = Definitions),
    )
)]
pub(super) async fn definitions(
    State(app): State<App>,
    caller: Caller,
) -> Answer<Json<Definitions>> {
    app.allow(&caller, Right::SeeRecordings, Act::Search, "label definitions")?;
    let sql = "SELECT name, shown, description FROM web_label_definitions ORDER BY name";
    let definition = |row: &Row| -> Result<_, DatabaseError> {
        Ok(Definition {
            name: Label(row.text("name")?.to_owned()),
            display_name: Some(row.text("shown")?.to_owned()),
            description: row.text("description")?.to_owned(),
        })
    };
    let label_definitions = app
        .blocking(move |app| {
            let rows = app.database().query(sql, &[])?;
            Ok(rows.iter().map(definition).collect::<Result<_, _>>()?)
        })
        .await?;
    Ok(Json(Definitions { status_code: 0, label_definitions }))
}
