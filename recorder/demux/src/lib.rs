//! From frames to SIP messages and media datagrams.
//!
//! In: [`capture::Frame`]s, in the order of capture. Out, through a closure: [`Packet`]s (SIP messages, UDP
//! datagrams) with their flow and capture domain, and for each frame who says how it ended ([`Handled`]).
//!
//! The layers, a module each: link, IPv4, IPv6, fragments, UDP, TCP; then SIP and RTP are told by their
//! content, on any port. Tunnels are not entered.
//!
//! Invariants:
//! - Each frame either ends here under one outcome, or gives one UDP datagram whose taker decides.
//! - A plain UDP datagram is neither copied nor allocated for; it is borrowed from its frame.
//! - Nothing that the wire carries makes this panic, loop or grow without bound (`base::limits`); what has
//!   waited too long expires, on the capture clock, whichever way that clock leaps.
//! - What was seen depends only on the frames and their times: the same capture gives the same packets.
#![forbid(unsafe_code)]

mod age;
mod demux;
mod fragments;
mod guess;
mod ip;
mod ipv4;
mod ipv6;
mod link;
mod packet;
mod sip;
mod table;
mod tcp;
mod udp;

pub use demux::{Demux, Held, udp_flow};
pub use packet::{Guess, Handled, Packet};
