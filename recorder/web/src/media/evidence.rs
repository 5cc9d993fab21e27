//! `GET /recordings/{id}/evidence`: whether a recording is as it was signed, checked now.

use axum::extract::State;
use base::{RecordingId, Timestamp};
use seal::{Certificate, OpenError};
use serde::Serialize;
use serde_json::json;
use store::{Finding, Problem as Found, Report};
use utoipa::ToSchema;

use super::errand::Errand;
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// What came of checking a recording.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Evidence {
    /// Signature and every file were found to be as they were signed by a node that is trusted, and nothing is there
    /// besides.
    verified: bool,
    /// When that was.
    checked_at: Timestamp,
    /// The subject of the certificate under the signature, if one holds.
    signer: Option<String>,
    /// SHA-256 of that certificate.
    signer_sha256: Option<String>,
    /// When it was signed, as the signer says.
    signed_at: Option<Timestamp>,
    /// Files that are as they were signed.
    files: usize,
    /// Of these, sealed ones that were opened, and whose content is what was signed too.
    opened: usize,
    /// Everything that is wrong.
    findings: Vec<String>,
}

/// Check that a recording is as it was signed: now, every file of it.
#[utoipa::path(get, path = "/recordings/{id}/evidence", operation_id = "evidence", tag = "recordings",
    params(("id" = RecordingId, Path, description = "the recording")),
    responses((status = 200, description = "What was found", body = Evidence),
              (status = 404, description = "There is no such recording", body = Problem)))]
pub(super) async fn evidence(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<RecordingId>,
) -> Answer<Json<Evidence>> {
    let errand = Errand::new(app.clone(), caller, Act::Verify, id);
    errand.allow(Right::SeeRecordings)?;
    let evidence = app.player().work(&app, move |app| check(app, id)).await?;
    // The log says what was found.
    errand.note(json!({ "verified": evidence.verified, "findings": evidence.findings }))?;
    Ok(Json(evidence))
}

fn check(app: &App, id: RecordingId) -> Answer<Evidence> {
    let settings = app.settings();
    let folder = settings.recordings.join(id.to_string());
    if !folder.is_dir() {
        return Err(Problem::not_found("there is no such recording here"));
    }
    let trusted = Some(settings.node_certificates.as_slice()).filter(|all| !all.is_empty());
    let key = settings.recording_key.as_deref();
    let mut report = app.player().verifying(&folder, || store::verify(&folder, trusted, key));
    if report.findings.iter().any(is_for_another_key) {
        // That the key here opens it not says nothing against the recording.
        report = app.player().verifying(&folder, || store::verify(&folder, trusted, None));
    }
    Ok(told(app.now(), report, trusted))
}

fn is_for_another_key(finding: &Finding) -> bool {
    matches!(finding.problem, Found::DoesNotOpen(OpenError::NotForThisKey { .. }))
}

fn told(now: Timestamp, report: Report, trusted: Option<&[Certificate]>) -> Evidence {
    let mut findings: Vec<String> = report.findings.iter().map(words).collect();
    if trusted.is_none() {
        findings.push(
            "whose signature counts is not known: this server has no node certificate".to_owned(),
        );
    }
    let signer = report.signed_by;
    Evidence {
        verified: findings.is_empty() && signer.as_ref().is_some_and(|signer| signer.trusted),
        checked_at: now,
        signer_sha256: signer.as_ref().map(|signer| signer.fingerprint.to_string()),
        signed_at: signer.as_ref().map(|signer| signer.time),
        signer: signer.map(|signer| signer.subject),
        files: report.files_good,
        opened: report.files_opened,
        findings,
    }
}

/// Without the folders of this machine.
fn words(finding: &Finding) -> String {
    let name = finding.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}: {}", finding.problem)
}
