//! One alarm, and the news that it rose or cleared.

use base::Timestamp;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::AlarmId;

/// An alarm that is up, or was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Which.
    pub id: AlarmId,
    /// Since when its condition holds.
    pub since: Timestamp,
    /// When it rose: later than `since` by the time for which the condition had to hold.
    pub raised: Timestamp,
    /// When it cleared.
    pub cleared: Option<Timestamp>,
    /// What exactly is wrong, as last said.
    pub detail: String,
    /// How often its condition came while it was up, at least 1; more if it flaps.
    pub count: u64,
}

/// With what belongs to the id: severity, meaning, what to do.
impl Serialize for Alarm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shape = serializer.serialize_struct("Alarm", 9)?;
        shape.serialize_field("id", &self.id)?;
        shape.serialize_field("severity", &self.id.severity())?;
        shape.serialize_field("detail", &self.detail)?;
        shape.serialize_field("since", &self.since)?;
        shape.serialize_field("raised", &self.raised)?;
        shape.serialize_field("cleared", &self.cleared)?;
        shape.serialize_field("count", &self.count)?;
        shape.serialize_field("meaning", self.id.meaning())?;
        shape.serialize_field("action", self.id.action())?;
        shape.end()
    }
}

/// What became of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It rose.
    Raised,
    /// It cleared.
    Cleared,
}

impl Change {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
        }
    }
}

/// News of one alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What became of it.
    pub change: Change,
    /// The alarm as it is now.
    pub alarm: Alarm,
}

impl Event {
    /// When it rose or cleared.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self.change {
            Change::Raised => self.alarm.raised,
            Change::Cleared => self.alarm.cleared.unwrap_or(self.alarm.raised),
        }
    }
}
