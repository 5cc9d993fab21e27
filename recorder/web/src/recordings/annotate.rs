//! What people say of a recording: labels, free metadata, non-deletion. The recording itself stays as it was sealed.

use std::collections::BTreeMap;

use axum::extract::State;
use base::RecordingId;
use base::limits::{
    ANNOTATIONS_PER_RECORDING_MAX, HOLD_REASON_CHARACTERS_MAX, METADATA_KEY_BYTES_MAX,
    METADATA_VALUE_CHARACTERS_MAX,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::catalog::{Annotations, Hold};
use utoipa::ToSchema;

use super::one::said;
use super::query::Label;
use super::shape::{LabelCount, Labels, Said};
use super::{problem, words};
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// Puts a label on a recording. It may have it already.
#[utoipa::path(
    put,
    path = "/recordings/{id}/labels/{label}",
    tag = "recordings",
    operation_id = "setLabel",
    params(("id" = RecordingId, Path), ("label" = Label, Path)),
    responses(
        (status = 200, body = Said, description = "What is said of the recording now."),
        (status = 404, description = "There is no such recording.", body = Problem),
        (status = 409, description = "It has too many labels.", body = Problem),
    )
)]
pub(super) async fn set_label(
    State(app): State<App>,
    caller: Caller,
    Path((id, label)): Path<(RecordingId, Label)>,
) -> Answer<Json<Said>> {
    app.blocking(move |app| put_label(app, &caller, id, &label).map(Json)).await
}

/// The same for whoever asks in other words.
pub(super) fn put_label(
    app: &App,
    caller: &Caller,
    id: RecordingId,
    label: &Label,
) -> Answer<Said> {
    label.check()?;
    app.allow(caller, Right::Label, Act::Label, &id.to_string())?;
    let now = exists(app, id)?;
    if !now.labels.contains(&label.0) && now.labels.len() >= ANNOTATIONS_PER_RECORDING_MAX {
        let reason = format!("the recording has {ANNOTATIONS_PER_RECORDING_MAX} labels already");
        return Err(Problem::conflict(reason));
    }
    app.note(caller, Act::Label, &id.to_string(), json!({ "label": label.0, "on": true }))?;
    app.catalog()?.label(id, &label.0, true).map_err(problem)?;
    Ok(said(app, id)?.into())
}

/// Takes a label off a recording, if it has it.
#[utoipa::path(
    delete,
    path = "/recordings/{id}/labels/{label}",
    tag = "recordings",
    operation_id = "takeLabelOff",
    params(("id" = RecordingId, Path), ("label" = Label, Path)),
    responses(
        (status = 200, body = Said, description = "What is said of the recording now."),
        (status = 404, description = "There is no such recording.", body = Problem),
    )
)]
pub(super) async fn take_label_off(
    State(app): State<App>,
    caller: Caller,
    Path((id, label)): Path<(RecordingId, Label)>,
) -> Answer<Json<Said>> {
    label.check()?;
    app.blocking(move |app| {
        app.allow(&caller, Right::Label, Act::Label, &id.to_string())?;
        exists(app, id)?;
        app.note(&caller, Act::Label, &id.to_string(), json!({ "label": label.0, "on": false }))?;
        app.catalog()?.label(id, &label.0, false).map_err(problem)?;
        Ok(Json(said(app, id)?.into()))
    })
    .await
}

/// Every label that a recording has, and how many have it.
#[utoipa::path(
    get,
    path = "/labels",
    tag = "recordings",
    operation_id = "listLabels",
    responses(
        (status = 200, body = Labels),
    )
)]
pub(super) async fn labels(State(app): State<App>, caller: Caller) -> Answer<Json<Labels>> {
    app.allow(&caller, Right::SeeRecordings, Act::Search, "labels")?;
    let labels = app.blocking(|app| app.catalog()?.labels().map_err(problem)).await?;
    let labels = labels.into_iter().map(|(name, count)| LabelCount { name, count }).collect();
    Ok(Json(Labels { labels }))
}

/// Changes of free metadata: values to set, null to take a key out; what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({ "case": "2026-117", "agent": null }))]
pub(super) struct MetadataChanges(BTreeMap<Key, Text>);

/// A key of free metadata.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[schema(as = MetadataKey, pattern = r"^[A-Za-z0-9._-]{1,64}$")]
struct Key(String);

/// What a key of free metadata says; null: nothing any more.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = MetadataValue, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
struct Text(Option<String>);

impl MetadataChanges {
    fn check(&self) -> Answer<()> {
        for (Key(key), value) in &self.0 {
            words::check_key(key, METADATA_KEY_BYTES_MAX)?;
            if let Some(value) = &value.0 {
                let what = format!("metadata {key}");
                words::check(&what, value, METADATA_VALUE_CHARACTERS_MAX)?;
            }
        }
        Ok(())
    }

    /// How many keys there are after them.
    fn keys_after(&self, now: &BTreeMap<String, String>) -> usize {
        let set = self.0.values().filter(|value| value.0.is_some()).count();
        let named = |key: &String| self.0.keys().any(|Key(named)| named == key);
        set + now.keys().filter(|key| !named(key)).count()
    }
}

/// Sets and takes out free metadata of a recording.
#[utoipa::path(
    put,
    path = "/recordings/{id}/metadata",
    tag = "recordings",
    operation_id = "setMetadata",
    params(("id" = RecordingId, Path)),
    request_body = MetadataChanges,
    responses(
        (status = 200, body = Said, description = "What is said of the recording now."),
        (status = 404, description = "There is no such recording.", body = Problem),
        (status = 409, description = "It would have too many keys.", body = Problem),
    )
)]
pub(super) async fn set_metadata(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Json(changes): Json<MetadataChanges>,
) -> Answer<Json<Said>> {
    changes.check()?;
    app.blocking(move |app| {
        app.allow(&caller, Right::Label, Act::Metadata, &id.to_string())?;
        let now = exists(app, id)?;
        if changes.keys_after(&now.metadata) > ANNOTATIONS_PER_RECORDING_MAX {
            let reason =
                format!("a recording has at most {ANNOTATIONS_PER_RECORDING_MAX} metadata");
            return Err(Problem::conflict(reason));
        }
        app.note(&caller, Act::Metadata, &id.to_string(), json!(changes.0))?;
        for (Key(key), Text(value)) in &changes.0 {
            app.catalog()?.set_metadata(id, key, value.as_deref()).map_err(problem)?;
        }
        Ok(Json(said(app, id)?.into()))
    })
    .await
}

/// Why a recording must stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldReason {
    /// For whoever reads it years later, e.g. the number of the case.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub(super) reason: String,
}

/// Forbids that a recording is deleted, by whatever way.
#[utoipa::path(
    put,
    path = "/recordings/{id}/non-deletion",
    tag = "recordings",
    operation_id = "setNonDeletion",
    params(("id" = RecordingId, Path)),
    request_body = HoldReason,
    responses(
        (status = 200, body = Said, description = "What is said of the recording now."),
        (status = 404, description = "There is no such recording.", body = Problem),
    )
)]
pub(super) async fn hold(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
    Json(HoldReason { reason }): Json<HoldReason>,
) -> Answer<Json<Said>> {
    words::check("reason", &reason, HOLD_REASON_CHARACTERS_MAX)?;
    app.blocking(move |app| set_hold(app, &caller, id, Some(&reason)).map(Json)).await
}

/// Lifts it.
#[utoipa::path(
    delete,
    path = "/recordings/{id}/non-deletion",
    tag = "recordings",
    operation_id = "liftNonDeletion",
    params(("id" = RecordingId, Path)),
    responses(
        (status = 200, body = Said, description = "What is said of the recording now."),
        (status = 404, description = "There is no such recording.", body = Problem),
    )
)]
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
) -> Answer<Json<Said>> {
    app.blocking(move |app| set_hold(app, &caller, id, None).map(Json)).await
}

/// Sets non-deletion for a reason, or lifts it.
pub(super) fn set_hold(
    app: &App,
    caller: &Caller,
    id: RecordingId,
    reason: Option<&str>,
) -> Answer<Said> {
    let act = if reason.is_some() { Act::Hold } else { Act::Release };
    app.allow(caller, Right::Hold, act, &id.to_string())?;
    exists(app, id)?;
    app.note(caller, act, &id.to_string(), json!({ "reason": reason }))?;
    match reason {
        Some(reason) => {
            let (who, reason) = (caller.name.clone(), reason.to_owned());
            app.catalog()?.hold(id, &Hold { who, reason, time: app.now() }).map_err(problem)?;
        }
        None => {
            app.catalog()?.release(id).map_err(problem)?;
        }
    }
    Ok(said(app, id)?.into())
}

/// What is said of a recording that is there.
fn exists(app: &App, id: RecordingId) -> Answer<Annotations> {
    app.catalog()?.get(id).map_err(problem)?;
    said(app, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_after_a_change_are_counted() {
        let changes: MetadataChanges =
            serde_json::from_str(r#"{"a":"1","b":null,"c":"3"}"#).unwrap();
        let now = ["a", "b", "d"].map(|key| (key.to_owned(), String::new()));
        assert_eq!(changes.keys_after(&now.into()), 3, "a, c, d");
    }
}
