//! How far apart two times are, whichever comes first.
//!
//! A clock that is set back, or one frame with a time of its own, must not make anything immortal: what
//! was last touched "in the future" is as old as what was touched as long ago.

use base::Timestamp;

/// Milliseconds between the two.
pub(crate) fn millis(a: Timestamp, b: Timestamp) -> u64 {
    a.as_nanos().abs_diff(b.as_nanos()) / 1_000_000
}
