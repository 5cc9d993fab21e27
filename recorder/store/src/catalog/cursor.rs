//! Places in the order of recordings.

use std::fmt;
use std::str::FromStr;

use base::RecordingId;
use base::recording::Recording;

use super::row::microseconds;

/// A place in the order: behind one recording. As text it is opaque: what an earlier answer gave is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) start_time: i64,
    pub(super) id: RecordingId,
}

impl Cursor {
    /// The place behind `recording`.
    #[must_use]
    pub fn behind(recording: &Recording) -> Self {
        Self { start_time: microseconds(recording.start_time), id: recording.id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.start_time, self.id)
    }
}

/// That a text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no cursor: give one as an earlier answer gave it, or none to begin at the beginning"
)]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (start_time, id) = text.split_once('.').ok_or(BadCursor)?;
        let start_time = i64::from_str_radix(start_time, 16).map_err(|_| BadCursor)?;
        let id: RecordingId = id.parse().map_err(|_| BadCursor)?;
        let cursor = Self { start_time, id };
        // One place has one text.
        if start_time >= 0 && cursor.to_string() == text { Ok(cursor) } else { Err(BadCursor) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_from_its_text(start_time in 0..=i64::MAX, id in any::<u128>()) {
            let id: RecordingId = format!("{id:032x}").parse().unwrap();
            let cursor = Cursor { start_time, id };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn no_text_panics_and_only_our_own_are_taken(text in ".*|[0-9a-fA-F+]{0,20}[.][0-9a-fA-F-]{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
