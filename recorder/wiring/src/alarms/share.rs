//! Shares over a sliding window: of so many, so many were bad.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back shares look.
const WINDOW: Duration = Duration::from_secs(300);
/// How finely: the window holds this many steps.
const STEP: Duration = Duration::from_secs(5);

/// Sums that only grow, remembered over the window. `N` of them.
#[derive(Clone, Debug)]
pub(super) struct Window<const N: usize> {
    past: VecDeque<(Duration, [u64; N])>,
}

impl<const N: usize> Window<N> {
    pub(super) const fn new() -> Self {
        Self { past: VecDeque::new() }
    }

    /// What came within the window before `now`, of sums that have reached `sums`.
    pub(super) fn add(&mut self, now: Duration, sums: [u64; N]) -> [u64; N] {
        if self.past.back().is_none_or(|(time, _)| now.saturating_sub(*time) >= STEP) {
            self.past.push_back((now, sums));
        }
        // The newest of those that are old enough is what is compared with.
        while self.past.get(1).is_some_and(|(time, _)| now.saturating_sub(*time) >= WINDOW) {
            self.past.pop_front();
        }
        let mut came = sums;
        if let Some((_, before)) = self.past.front() {
            came.iter_mut().zip(before).for_each(|(sum, before)| {
                *sum = sum.saturating_sub(*before);
            });
        }
        came
    }
}

/// Whether a share is too high, with hysteresis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Of fewer, a share says nothing.
    least: u64,
    is_up: bool,
}

impl Share {
    pub(super) const fn new(least: u64) -> Self {
        Self { least, is_up: false }
    }

    /// Up from `percent` on, down again below half of that. Of too few it stays as it was, unless none is bad.
    pub(super) fn is_up(&mut self, bad: u64, all: u64, percent: u8) -> bool {
        let share = u128::from(bad) * 100;
        let limit = u128::from(all) * u128::from(percent);
        if all >= self.least {
            self.is_up = if self.is_up { share * 2 >= limit } else { share >= limit };
        } else if all > 0 && bad == 0 {
            self.is_up = false;
        }
        self.is_up
    }
}

/// In percent, of nothing 0.
pub(super) fn percent(bad: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { bad as f64 * 100.0 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_forgets_what_is_old() {
        let mut window = Window::new();
        let at = Duration::from_secs;
        assert_eq!(window.add(at(0), [100]), [0], "what was before the start does not count");
        assert_eq!(window.add(at(1), [110]), [10]);
        assert_eq!(window.add(at(200), [150]), [50]);
        assert_eq!(window.add(at(301), [150]), [50]);
        assert_eq!(window.add(at(501), [151]), [1]);
        assert!(window.past.len() <= 61);
    }

    #[test]
    fn a_share_has_a_gap_between_up_and_down() {
        let mut share = Share::new(5);
        assert!(!share.is_up(4, 4, 50), "too few");
        assert!(share.is_up(3, 6, 50));
        assert!(share.is_up(2, 6, 50), "not below half of the limit yet");
        assert!(share.is_up(1, 2, 50), "too few to change anything");
        assert!(!share.is_up(1, 6, 50));
        assert!(share.is_up(6, 6, 50));
        assert!(share.is_up(0, 0, 50), "that nothing came proves nothing");
        assert!(!share.is_up(0, 1, 50));
    }
}
