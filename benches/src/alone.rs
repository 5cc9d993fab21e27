//! A capture core beside which there is nobody else.

use wiring::worker::{Seen, Surroundings};

/// Nobody listens to what the core sees, and nobody waits.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Surroundings for Alone {
    #[inline]
    fn seen(&mut self, _: Seen<'_>) -> bool {
        true
    }

    fn wait_for_journal(&mut self) -> bool {
        false
    }
}
