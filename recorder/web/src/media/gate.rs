//! So many bytes at once: who needs more waits. For threads that may wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets through who needs memory while there is some.
pub(super) struct Gate {
    bytes_max: usize,
    inside: Mutex<usize>,
    left: Condvar,
}

/// Somebody's memory; given back when dropped.
pub(super) struct Inside<'g> {
    gate: &'g Gate,
    bytes: usize,
}

impl Gate {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inside: Mutex::new(0), left: Condvar::new() }
    }

    /// Waits until so many bytes are free. Who needs more than there are goes in alone.
    pub(super) fn enter(&self, bytes: usize) -> Inside<'_> {
        let full =
            |inside: &mut usize| *inside > 0 && inside.saturating_add(bytes) > self.bytes_max;
        let inside = self.left.wait_while(self.inside(), full);
        *inside.unwrap_or_else(PoisonError::into_inner) += bytes;
        Inside { gate: self, bytes }
    }

    fn inside(&self) -> MutexGuard<'_, usize> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.gate.inside() -= self.bytes;
        self.gate.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn never_more_than_the_limit_unless_alone() {
        let gate = Gate::new(100);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for n in 0..16 {
                let (gate, inside, most) = (&gate, &inside, &most);
                scope.spawn(move || {
                    let bytes = if n == 7 { 1_000 } else { 40 };
                    let _inside = gate.enter(bytes);
                    let now = inside.fetch_add(bytes, Ordering::SeqCst) + bytes;
                    assert!(now <= 100 || now == 1_000, "{now}");
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(bytes, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.into_inner(), 1_000);
        assert_eq!(*gate.inside(), 0);
    }
}
