//! Signalling: each call once, its parties, its times, how it ended.

use base::Timestamp;
use base::recording::Recording;

use super::{Check, Kind, is_of};
use crate::expected::{Call, moment};

impl Check<'_> {
    pub(super) fn calls(&mut self, recordings: &[Recording]) {
        for call in &self.case.answers.calls {
            let found: Vec<&Recording> =
                recordings.iter().filter(|r| is_of(r, &call.call_id)).collect();
            let id = &call.call_id;
            match found.as_slice() {
                [] if !self.is_wanted(call) => {}
                [] => self.problem(Kind::Missing, format!("no recording of call {id}")),
                [recording] => self.call(call, recording),
                more => {
                    self.problem(Kind::Wrong, format!("{} recordings of call {id}", more.len()))
                }
            }
        }
        for id in recordings.iter().filter_map(|recording| recording.call_id.as_ref()) {
            if !self.case.answers.calls.iter().any(|call| call.call_id == *id) {
                self.problem(Kind::Wrong, format!("a recording of call {id}, which is not in it"));
            }
        }
    }

    fn call(&mut self, call: &Call, recording: &Recording) {
        let id = &call.call_id;
        let times = [
            ("start", call.invite_time, Some(recording.start_time)),
            ("answer", call.answer_time, recording.answer_time),
            ("end", call.end_time, Some(recording.stop_time)),
        ];
        for (what, expected, found) in times {
            if let Some(expected) = expected.map(moment)
                && !found.is_some_and(|found| same(found, expected))
            {
                let text = format!("{what} of call {id}: {found:?}, not {expected}");
                self.problem(Kind::Wrong, text);
            }
        }
        let number = |header: &Option<String>| header.as_deref().map(user_part).unwrap_or_default();
        let words = [
            ("caller", number(&call.from), &recording.caller_phone_number),
            ("dialed number", number(&call.to), &recording.dialed_phone_number),
            (
                "end reason",
                call.end_by.clone().unwrap_or_else(|| recording.end_reason.clone()),
                &recording.end_reason,
            ),
        ];
        for (what, expected, found) in words {
            if expected != *found {
                let text = format!("{what} of call {id}: {found}, not {expected}");
                self.problem(Kind::Wrong, text);
            }
        }
    }
}

/// To the microsecond that the answers give.
fn same(a: Timestamp, b: Timestamp) -> bool {
    a.signed_nanos_since(b).abs() <= 1_000
}

/// What stands before the `@` of the URI in a From or To header field, without password and parameters
/// (RFC 3261, 25.1 and 19.1.6), or the whole URI.
fn user_part(header: &str) -> String {
    let uri = match header.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => header.split(';').next().unwrap_or(header).trim(),
    };
    let bare = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = bare.split_once('@').map(|(user, _)| user.split([':', ';']).next().unwrap_or(user));
    user.unwrap_or(uri).to_owned()
}
