//! A player asks for a recording many times, a range at a time. That is one entry in the audit log, not hundreds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::Timestamp;
use base::limits::{PLAYER_SITTING_SECONDS, PLAYER_SITTINGS_MAX};
use serde_json::Value;

use crate::app::{Act, App};
use crate::auth::Caller;
use crate::problem::Answer;

/// Who did what with what, and how: in the words of the audit log.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(String, IpAddr, Act, String, String);

/// Remembers what was noted lately.
#[derive(Default)]
pub(super) struct Sittings(Mutex<HashMap<Key, Timestamp>>);

impl Sittings {
    /// Notes what `caller` does, unless just the same was noted within [`PLAYER_SITTING_SECONDS`].
    ///
    /// # Errors
    /// As [`App::note`]; it is then tried again the next time.
    pub(super) fn note(
        &self,
        app: &App,
        caller: &Caller,
        act: Act,
        subject: &str,
        detail: Value,
    ) -> Answer<()> {
        let key =
            Key(caller.name.clone(), caller.address, act, subject.to_owned(), detail.to_string());
        let now = app.now();
        if self.is_under_way(&key, now) {
            return Ok(());
        }
        app.note(caller, act, subject, detail)?;
        self.began(key, now);
        Ok(())
    }

    fn is_under_way(&self, key: &Key, now: Timestamp) -> bool {
        let sittings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sittings.get(key).is_some_and(|began| is_fresh(*began, now))
    }

    fn began(&self, key: Key, now: Timestamp) {
        let mut sittings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sittings.len() >= PLAYER_SITTINGS_MAX {
            sittings.retain(|_, began| is_fresh(*began, now));
        }
        // If all are fresh, this one is noted each time: too many entries, never too few.
        if sittings.len() < PLAYER_SITTINGS_MAX {
            sittings.insert(key, now);
        }
    }
}

/// A clock that was set back begins a new one.
fn is_fresh(began: Timestamp, now: Timestamp) -> bool {
    began <= now && now.since(began) < Duration::from_secs(PLAYER_SITTING_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sitting_ends_and_a_clock_set_back_ends_it_too() {
        let sittings = Sittings::default();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let key = |who: &str| {
            Key(who.into(), IpAddr::from([192, 0, 2, 1]), Act::Play, "id".into(), "{}".into())
        };
        sittings.began(key("anna"), at(1_000));
        assert!(sittings.is_under_way(&key("anna"), at(1_599)));
        assert!(!sittings.is_under_way(&key("anna"), at(1_600)));
        assert!(!sittings.is_under_way(&key("anna"), at(999)));
        assert!(!sittings.is_under_way(&key("bert"), at(1_000)));
    }
}
