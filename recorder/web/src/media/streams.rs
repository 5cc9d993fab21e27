//! How many bodies are being sent, and to whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use base::limits::{PLAYER_STREAMS_MAX, PLAYER_STREAMS_PER_CALLER_MAX};

use crate::problem::{Answer, Problem};

/// Counts bodies.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    of: HashMap<String, usize>,
}

/// One body's place; given back when dropped.
pub(super) struct Place {
    streams: Streams,
    caller: String,
}

impl Streams {
    /// A place for a body to `caller`.
    ///
    /// # Errors
    /// 429 if he has too many, 503 if all have.
    pub(super) fn enter(&self, caller: &str) -> Answer<Place> {
        let mut counts = self.counts();
        let his = counts.of.get(caller).copied().unwrap_or(0);
        if his >= PLAYER_STREAMS_PER_CALLER_MAX {
            let detail = format!(
                "{PLAYER_STREAMS_PER_CALLER_MAX} files are being sent to you already; end one"
            );
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(5));
        }
        if counts.all >= PLAYER_STREAMS_MAX {
            let detail = "too many are listening; try again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5));
        }
        counts.all += 1;
        counts.of.insert(caller.to_owned(), his + 1);
        Ok(Place { streams: self.clone(), caller: caller.to_owned() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.streams.counts();
        counts.all -= 1;
        if let Some(his) = counts.of.get_mut(&self.caller) {
            *his -= 1;
            if *his == 0 {
                counts.of.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let streams = Streams::default();
        let refused = |caller: &str| streams.enter(caller).err().map(|problem| problem.status);
        let mut places: Vec<_> =
            (0..PLAYER_STREAMS_PER_CALLER_MAX).map(|_| streams.enter("anna").unwrap()).collect();
        assert_eq!(refused("anna"), Some(429));
        places.extend(
            (places.len()..PLAYER_STREAMS_MAX).map(|n| streams.enter(&format!("{n}")).unwrap()),
        );
        assert_eq!(refused("bert"), Some(503));
        places.clear();
        assert_eq!(refused("anna"), None);
        assert!(streams.counts().of.is_empty());
    }
}
