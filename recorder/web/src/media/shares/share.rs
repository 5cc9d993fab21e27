//! A link, and whether it opens.

use axum::http::StatusCode;
use base::limits::SHARE_WRONG_PASSCODES_MAX;
use base::{RecordingId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A link to a recording; not its secret.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Share {
    /// Names it for `DELETE`.
    pub(super) id: String,
    /// What it opens.
    pub(super) recording: RecordingId,
    /// Who made it.
    pub(super) owner: String,
    /// When.
    pub(super) created: Timestamp,
    /// When it ends.
    pub(super) expires: Timestamp,
    /// How often it can be opened; null: any number of times.
    pub(super) uses: Option<u32>,
    /// How often it was.
    pub(super) used: u32,
    /// Whether it asks for a passcode.
    pub(super) passcode: bool,
    /// Whether it opens no more because of too many wrong ones.
    pub(super) locked: bool,
    /// What its maker noted.
    pub(super) note: Option<String>,
    /// When it was revoked.
    pub(super) revoked: Option<Timestamp>,
}

/// Why a link opens no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum End {
    Revoked,
    Expired,
    Locked,
    UsedUp,
}

impl Share {
    /// Why it cannot be opened once more, if it cannot.
    pub(super) fn end(&self, now: Timestamp) -> Option<End> {
        let used_up = self.uses.is_some_and(|uses| self.used >= uses);
        self.silence(now).or(used_up.then_some(End::UsedUp))
    }

    /// Why what was opened cannot be heard any more, if it cannot.
    pub(super) fn silence(&self, now: Timestamp) -> Option<End> {
        if self.revoked.is_some() {
            Some(End::Revoked)
        } else if self.expires <= now {
            Some(End::Expired)
        } else if self.locked {
            Some(End::Locked)
        } else {
            None
        }
    }
}

impl End {
    /// For who has the link.
    pub(super) fn problem(self) -> Problem {
        let detail = match self {
            Self::Revoked => "this link was revoked; ask for a new one",
            Self::Expired => "this link has expired; ask for a new one",
            Self::Locked => {
                return Problem::new(
                    StatusCode::GONE,
                    format!(
                        "this link is locked after {SHARE_WRONG_PASSCODES_MAX} wrong passcodes; ask for a new one"
                    ),
                );
            }
            Self::UsedUp => "this link was opened as often as it may be; ask for a new one",
        };
        Problem::new(StatusCode::GONE, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);

    fn share() -> Share {
        let later = NOW.plus(std::time::Duration::from_secs(3_600));
        Share {
            id: "x".into(),
            recording: RecordingId::of_call(NOW, &[]),
            owner: "anna".into(),
            created: NOW,
            expires: later,
            uses: Some(2),
            used: 1,
            passcode: true,
            locked: false,
            note: None,
            revoked: None,
        }
    }

    #[test]
    fn a_link_ends_in_four_ways() {
        let end = |change: fn(&mut Share)| {
            let mut share = share();
            change(&mut share);
            (share.end(NOW), share.silence(NOW))
        };
        assert_eq!(end(|_| {}), (None, None));
        assert_eq!(end(|share| (share.uses, share.used) = (None, 1_000)), (None, None));
        assert_eq!(end(|share| share.expires = NOW), (Some(End::Expired), Some(End::Expired)));
        assert_eq!(end(|share| share.locked = true), (Some(End::Locked), Some(End::Locked)));
        assert_eq!(
            end(|share| share.revoked = Some(NOW)),
            (Some(End::Revoked), Some(End::Revoked))
        );
        // The last opening can be heard.
        assert_eq!(end(|share| share.used = 2), (Some(End::UsedUp), None));
    }
}
