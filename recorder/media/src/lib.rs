//! One call's packets become audio: decoded, both parties on one clock, encoded, with an account of what
//! was lost.
//!
//! In: each flow's datagrams in the order of arrival, with what was announced about them ([`FlowInput`]).
//! Out: finished files in memory and reports ([`Finished`]). [`finish`] is a pure function; it does no I/O
//! and reads no clock.
//!
//! On the way: datagrams are told apart ([`rtp`], [`rtcp`]), each stream's packets put in order without a
//! limit to lateness, their sound placed on one timeline, the streams given to channels, and each channel
//! decoded ([`g711`]) and encoded to FLAC block by block. What cannot be decoded is kept as packets.
//!
//! The way back, from a recording's files to what a player takes, is [`playback`].
//!
//! Invariants:
//! - Every sample of every unique packet of a decoded stream is in the audio, bit-exact, in the order of
//!   sending; silence is inserted between them, never anything taken out.
//! - Every packet is in the audio, in a packet file, or counted as a copy ([`Tally`] balances).
//! - Memory and time are bounded by the packets given and `limits::RECORDING_HOURS_MAX`, whatever their
//!   sequence numbers, timestamps and arrival times say.
#![deny(unsafe_code)] // but for `vector`

pub mod error;
mod finish;
mod flac;
pub mod g711;
mod heard;
pub mod input;
mod kept;
mod keys;
mod lanes;
pub mod output;
pub mod parts;
pub mod playback;
mod quality;
mod render;
mod report;
pub mod rtcp;
pub mod rtp;
mod sequence;
mod sound;
mod srtp;
mod streams;
#[cfg(test)]
mod tests;
mod timeline;
mod vector;
mod work;

pub use error::MediaError;
pub use finish::{finish, keep_packets};
pub use input::{CallInput, FlowInput, Layout, Params};
pub use keys::KeyPress;
pub use output::{Correction, File, Finished, Reason, StreamReport, Tally};
