//! The program in the kernel, and what comes out of it.
//!
//! First rung: `BPF_PROG_TEST_RUN`, packet by packet, for every header shape and every way to break it
//! (`shapes`, `tunnels`, `fragments`, `broken`, `policy`, `shared`). Second rung: veth pairs in network
//! namespaces that the test makes (`wire`). Nothing is sent anywhere else.
//!
//! Where the machine cannot (not root, no BPF, no `ip`), a test says "skipped" and why, with a count of all
//! so far, past the harness that would swallow it.

mod broken;
mod fragments;
mod frames;
mod policy;
mod rig;
mod shapes;
mod shared;
mod tunnels;
mod wire;
