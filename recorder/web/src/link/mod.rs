//! Between recorder and window: the words ([`status`]) and how they travel.
//!
//! The recorder listens on a Unix socket in the data folder and tells its state about twice a second; it never waits
//! for a window. A window asks for calls and for sound.

pub mod status;
