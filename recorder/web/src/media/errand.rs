//! Who asks for what, as the audit log has it.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::{Act, App};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// Who asks for what.
#[derive(Clone)]
pub(super) struct Errand {
    pub(super) app: App,
    pub(super) caller: Caller,
    act: Act,
    /// The recording's id.
    subject: String,
}

impl Errand {
    pub(super) fn new(app: App, caller: Caller, act: Act, subject: impl ToString) -> Self {
        Self { app, caller, act, subject: subject.to_string() }
    }

    /// Asks for a right.
    ///
    /// # Errors
    /// As [`App::allow`].
    pub(super) fn allow(&self, right: Right) -> Answer<()> {
        self.app.allow(&self.caller, right, self.act, &self.subject)
    }

    /// Notes it, once for a sitting.
    ///
    /// # Errors
    /// As [`App::note`].
    pub(super) fn note(&self, detail: Value) -> Answer<()> {
        let sittings = &self.app.player().sittings;
        sittings.note(&self.app, &self.caller, self.act, &self.subject, detail)
    }

    /// Notes that a recording was not given because it is not as it was signed, or cannot be opened. What is only
    /// absent, or busy, is no entry. Gives the problem back.
    pub(super) fn failed(&self, problem: Problem) -> Problem {
        if problem.status != StatusCode::CONFLICT.as_u16() {
            return problem;
        }
        let detail = json!({ "why": problem.title, "what": problem.detail });
        tracing::warn!("recording {}: {}", self.subject, problem.detail);
        let noted = self.app.note_refusal(&self.caller, self.act, &self.subject, detail);
        noted.err().unwrap_or(problem)
    }
}
