//! The journal as its users see it: written, read while written, killed, damaged, recovered.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that panics fails, as it should"
)]

mod arena;
mod common;
mod cores;
mod damage;
mod disk;
mod faults;
mod fixture;
mod held;
mod limits;
mod model;
mod release;
mod restart;
mod threads;
