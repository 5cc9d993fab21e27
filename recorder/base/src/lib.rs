//! Words that cross a stage border, and nothing else.
//!
//! Every other crate names this one; this one names none of them. What is here is plain data: times,
//! addresses, ids, limits, counters, and the shape of a recording's metadata. No clock, no thread, and no I/O
//! but [`disk`], the one border between the stages and the file system.
#![forbid(unsafe_code)]

pub mod disk;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod net;
pub mod packet;
pub mod recording;
#[cfg(feature = "schema")]
mod schema;
pub mod sound;
pub mod time;

pub use ids::RecordingId;
pub use ledger::{Ledger, Outcome};
pub use net::{Domain, Endpoint, FlowKey, Transport};
pub use packet::MediaPacket;
pub use sound::{Encoding, Format, Formats, Side};
pub use time::Timestamp;
