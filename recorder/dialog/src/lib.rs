//! SIP and SDP to calls, legs and expected media.
//!
//! In: SIP messages as bytes, each with its time and addresses ([`SipInput`]), the passing of capture
//! time, and the news that a call's media was seen. Out: [`Action`]s (a call started, announced media,
//! ended), and each [`Call`] with its parties, legs, announced media and ladder of messages.
//!
//! An observer cannot ask again: it takes what real devices send, in any order, from any point of a call
//! on, once or several times and on several hops, and makes the most of it. Invariants:
//!
//! - Sans-I/O: no socket, file, clock, thread or log. Equal input gives equal output.
//! - No input panics, loops, or grows memory without bound: `base::limits` bounds everything kept.
//! - Every call that is started ends at most once, and nothing about its end changes afterwards.
//! - A call is one Call-ID. A proxy repeats it on every hop: one call. A B2BUA makes a new one: another call.
#![forbid(unsafe_code)]

mod call;
mod dialogs;
mod holds;
mod keys;
mod ladder;
pub mod sdp;
pub mod sip;
mod text;
mod track;

pub use call::{Announced, Call, EndReason, Leg, Party};
pub use dialogs::{Action, CallKey, Dialogs, Handled, SipInput};
pub use holds::Hold;
pub use keys::{KeyPress, key_in};
pub use ladder::{Ladder, LadderMessage};
pub use sdp::{Direction, Keying, MediaKind, Profile};
pub use sip::SipError;
