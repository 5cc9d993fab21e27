//! Whether one line follows from the one before.

use std::fmt;

use super::entry::{self, Entry};
use super::log::Head;

/// Why a line does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not as it was written: its hash is not that of its bytes.
    Altered,
    /// It was written as it is, but entries before it are gone, or it stands in the wrong place.
    OutOfOrder {
        /// The number that follows.
        expected: u64,
        /// The line's.
        found: u64,
    },
    /// Its number follows, but the entry before is not the one that it was written after.
    OtherPast(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered => f.write_str("was altered: its hash is not that of its bytes"),
            Self::OutOfOrder { expected, found } if found > expected => {
                write!(
                    f,
                    "is entry {found}, but entry {expected} follows: what is between was removed"
                )
            }
            Self::OutOfOrder { expected, found } => {
                write!(f, "is entry {found}, but entry {expected} follows: it was moved or added")
            }
            Self::OtherPast(number) => {
                write!(
                    f,
                    "is entry {number}, but was written after another entry {} than the one before it",
                    number - 1
                )
            }
        }
    }
}

/// Takes lines in order.
#[derive(Clone)]
pub(super) struct Chain {
    /// The number that follows.
    next: u64,
    /// The hash that the next line says it follows; `None` where that cannot be known.
    head: Option<Head>,
}

impl Chain {
    /// From this entry on.
    pub(super) fn after(head: Head) -> Self {
        Self { next: head.number + 1, head: Some(head) }
    }

    /// From entry `number` on, whatever is before it.
    pub(super) const fn from(number: u64) -> Self {
        Self { next: number, head: None }
    }

    /// The last entry, if it was one.
    pub(super) const fn head(&self) -> Option<Head> {
        self.head
    }

    /// The number that follows.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The next line, without its line feed. After a fault the chain goes on from this line.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<Entry, Fault> {
        let Some(entry) = entry::read(line) else {
            *self = Self::from(self.next.saturating_add(1));
            return Err(Fault::Altered);
        };
        let expected = std::mem::replace(self, Self::after(entry.head()));
        if entry.number != expected.next {
            return Err(Fault::OutOfOrder { expected: expected.next, found: entry.number });
        }
        match expected.head {
            Some(head) if head.hash != entry.previous => Err(Fault::OtherPast(entry.number)),
            _ => Ok(entry),
        }
    }
}
