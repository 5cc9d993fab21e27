//! What is down around the recorder while calls are finished: nothing is lost, nothing comes twice.

mod faults;
mod job;
mod rig;
mod storing;
