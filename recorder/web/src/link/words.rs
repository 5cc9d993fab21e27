//! What the two ends say to each other. Numbers that a window chooses name its questions and its listeners; they are
//! its own, no other window's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::status::{LiveCall, Status};

/// A window asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "ask")]
pub enum Ask {
    /// For calls that are up: answered by [`Tell::Calls`] with the same number.
    Calls {
        /// The question's number.
        question: u32,
        /// Only calls of which a party or the Call-ID contains this, whatever the case of its letters.
        party: Option<String>,
        /// At most this many; the newest.
        limit: u32,
    },
    /// To hear a call: answered by [`Tell::Hears`] or [`Tell::Ended`].
    Listen {
        /// The listener's number.
        listener: u32,
        /// [`LiveCall::id`].
        call: String,
    },
    /// To hear it no longer.
    Leave {
        /// The listener's number.
        listener: u32,
    },
}

/// The recorder tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "tell")]
pub enum Tell {
    /// Its state.
    Status {
        /// As it is now.
        status: Box<Status>,
    },
    /// Calls that are up.
    Calls {
        /// The question's number.
        question: u32,
        /// The newest first.
        calls: Vec<LiveCall>,
        /// How many there are in all.
        total: u64,
    },
    /// A call began, ended, or is another than it was.
    News {
        /// Which, and what became of it.
        news: CallNews,
    },
    /// Some news were not told: what the window knows of calls may be out of date.
    NewsLost,
    /// Sound of this call follows.
    Hears {
        /// The listener's number.
        listener: u32,
        /// Samples a second, of each channel.
        rate: u32,
        /// Interleaved: caller, callee.
        channels: u8,
        /// Call-ID.
        call_id: Option<String>,
    },
    /// No more sound follows.
    Ended {
        /// The listener's number.
        listener: u32,
        /// Why: `ended` (the call is over), `unknown` (no such call is up), `inaudible` (its audio cannot be decoded),
        /// `full` (as many listen as may), `slow` (the window took too little), `stopping` (the recorder ends).
        reason: String,
    },
}

/// What became of a call that is up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallNews {
    /// `began`, `changed` (answered, or its media are others) or `ended`.
    pub what: String,
    /// The call.
    pub call: LiveCall,
}
