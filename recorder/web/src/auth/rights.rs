//! Roles, and the one table of what each may.
//!
//! (OpenID Connect, and roles for each profile, would come in here and in [`super::Caller`].)

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody is. A user may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees whether all is well.
    Viewer,
    /// Finds, hears and shares calls, live and later.
    Supervisor,
    /// Proves, holds, and sees who did what.
    Compliance,
    /// Manages users and tokens. Hears nothing.
    Administrator,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// The status page, history, nodes, metrics.
    SeeStatus,
    /// The list of calls that are up.
    SeeCalls,
    /// Listening to a call that is up.
    ListenLive,
    /// Search, and all that is known of a recording but its sound.
    SeeRecordings,
    /// Playing, and downloading audio.
    Play,
    /// Downloading packets and sealed bundles.
    DownloadEvidence,
    /// Labels and free metadata.
    Label,
    /// Setting and lifting non-deletion.
    Hold,
    /// Making links, and revoking one's own.
    Share,
    /// Seeing and revoking everybody's links.
    ManageShares,
    /// The audit log.
    SeeAudit,
    /// Users and API tokens.
    ManageUsers,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] =
        [Self::Viewer, Self::Supervisor, Self::Compliance, Self::Administrator];

    /// What it may.
    #[must_use]
    pub const fn rights(self) -> &'static [Right] {
        match self {
            Self::Viewer => &[Right::SeeStatus],
            Self::Supervisor => &[
                Right::SeeStatus,
                Right::SeeCalls,
                Right::ListenLive,
                Right::SeeRecordings,
                Right::Play,
                Right::Label,
                Right::Share,
            ],
            Self::Compliance => &[
                Right::SeeStatus,
                Right::SeeCalls,
                Right::SeeRecordings,
                Right::Play,
                Right::DownloadEvidence,
                Right::Label,
                Right::Hold,
                Right::ManageShares,
                Right::SeeAudit,
            ],
            Self::Administrator => {
                &[Right::SeeStatus, Right::ManageUsers, Right::ManageShares, Right::SeeAudit]
            }
        }
    }
}
