//! Between recorder and window: the words ([`status`], [`words`]) and how they travel ([`wire`]).
//!
//! The recorder listens on a Unix socket in the data folder ([`SOCKET_NAME`]), tells its state twice a second and
//! calls that begin and end as they do; it never waits for a window. A window ([`Recorder`]) asks for calls and for
//! sound. Times are by the recorder's wall clock; no key and no recording goes this way.

mod client;
pub mod status;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod words;

pub use client::{CallPage, Latest, LinkError, Listening, Piece, Recorder};
pub use words::CallNews;

/// The socket's name in the data folder.
pub const SOCKET_NAME: &str = "recorder.sock";
