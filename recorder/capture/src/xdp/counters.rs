//! How packets ended in the program.

use std::fmt;

use abi::{COUNTERS, Reason, SEEN};

/// The program's counts, summed over the CPUs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Counters([u64; COUNTERS]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counters {
    /// The sum of the counts of each CPU.
    #[must_use]
    pub(super) fn sum<'a>(cpus: impl Iterator<Item = &'a [u64; COUNTERS]>) -> Self {
        cpus.fold(Self::default(), |mut sum, cpu| {
            sum.0.iter_mut().zip(cpu).for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
            sum
        })
    }

    /// Packets that the program saw.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.0[SEEN]
    }

    /// Packets that ended so.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the array has a place for every reason")]
    pub const fn of(&self, reason: Reason) -> u64 {
        self.0[reason.counter()]
    }

    /// Packets handed over.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.total(Reason::is_delivery)
    }

    /// Packets of interest that were lost: more than zero is an alarm.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.total(Reason::is_loss)
    }

    /// Whether every packet seen ended. A packet that is just being looked at can be between the two.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.seen() == self.total(|_| true)
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        difference
            .0
            .iter_mut()
            .zip(earlier.0)
            .for_each(|(now, then)| *now = now.wrapping_sub(then));
        difference
    }

    fn total(&self, counts: impl Fn(Reason) -> bool) -> u64 {
        Reason::ALL.iter().filter(|reason| counts(**reason)).map(|reason| self.of(*reason)).sum()
    }
}

/// A table: a line per count that is not zero.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12}  packets seen by the kernel program", self.seen())?;
        for reason in Reason::ALL.iter().filter(|reason| self.of(**reason) > 0) {
            write!(f, "\n{:>12}  {}", self.of(*reason), reason.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
