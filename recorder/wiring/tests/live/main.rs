//! `spanreel run` on virtual Ethernet, in network namespaces of the tests' own: calls that are sent in real time are
//! recorded, whatever happens to the recorder. Needs root; says so where it is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy knows only functions marked #[test] for such"
)]

mod attack;
mod callers;
mod calls;
mod doctor;
mod endpoints;
mod inspect;
mod ipv6;
mod kills;
mod load;
mod outages;
mod overload;
mod recorder;
mod refusals;
mod replayed;
mod restart;
mod rig;
mod sipp;
mod soak;
mod sound;
mod storage;
mod switch;
mod viewers;
mod window;
mod wire;
