//! A capture core beside which there is nobody else, but for who prepares its memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::Preparer;
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

/// What the thread does beside a live core that brings the journal's memory into being, until it is to stop.
pub fn prepare(preparer: &Preparer, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if !preparer.prepare() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
