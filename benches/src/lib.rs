//! What the benches share: CPU time by thread, medians, a virtual wire in a namespace of its own.
//!
//! Benches print figures; they assert only that what was measured did its work. Where a machine cannot run one,
//! it says "skipped: why". Machines are busy and virtual: CPU time is what is measured, and who is compared is
//! run in alternation.
#![forbid(unsafe_code)]

pub mod alone;
pub mod child;
pub mod cpu;
pub mod machine;
pub mod spread;
pub mod wire;
