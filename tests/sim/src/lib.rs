//! The recorder in one thread: every step of every part in an order, and at times, that a seed decides.
//!
//! [`run`] makes calls ([`traffic`]), lets a bad network have them, and steps a [`wiring::machine::Machine`] (capture
//! cores, journals, dialogs, finishing: the code that `spanreel run` runs) over a disk in memory ([`disk`]) that is
//! slow, full, failing, or loses its power at any call. After every step the invariants of docs/ARCHITECTURE.md are
//! looked at ([`check`]); in the end, when everything has been given time to settle, all of them.
//!
//! The same seed gives the same run. What is random in the recorder itself (salts, content keys) is in no decision.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a test: a mistake of its own may well panic")]

pub mod check;
pub mod disk;
pub mod packet;
pub mod plan;
pub mod traffic;
mod world;

pub use plan::Plan;
pub use world::{Report, Violation, Workshop, run};
