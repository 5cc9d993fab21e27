//! Why sound is not given, in words for who asked.

use axum::http::StatusCode;
use media::playback::PlaybackError;
use seal::OpenError;
use store::{Finding, Problem as Found};

use crate::problem::Problem;

/// The title of what is not as it was signed: nothing of it is played.
const ALTERED: &str = "Altered";

impl From<PlaybackError> for Problem {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::Damaged { .. } | PlaybackError::Foreign(_) => altered(error.to_string()),
            _ => Self::conflict(error.to_string()),
        }
    }
}

/// What was found while a recording was opened.
pub(super) fn found(finding: &Finding) -> Problem {
    let name = finding.path.file_name().unwrap_or_default().to_string_lossy();
    match &finding.problem {
        // Of the whole folder: that has the recording's id for its name.
        Found::Missing if name.parse::<base::RecordingId>().is_ok() => {
            Problem::not_found("there is no such recording here")
        }
        Found::DoesNotOpen(error @ OpenError::NotForThisKey { .. }) => {
            let detail = format!(
                "{name} cannot be opened here: it is {error} (spanreel web --recording-key FILE)"
            );
            Problem { title: "Sealed".into(), ..Problem::conflict(detail) }
        }
        Found::Unreadable(error) => {
            Problem::unavailable(format!("{name} cannot be read now"), error)
        }
        problem => altered(format!("{name}: {problem}")),
    }
}

fn altered(what: String) -> Problem {
    let detail = format!("this recording is not as it was signed, so it is not given: {what}");
    Problem { title: ALTERED.into(), ..Problem::new(StatusCode::CONFLICT, detail) }
}
