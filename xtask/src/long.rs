//! `cargo xtask kills`, `attack`, `soak`, `viewers`: the tests that take long, at full length. Root only: they record
//! from a wire that they make.

use anyhow::{Result, bail};

use crate::setup::is_root;
use crate::shell::{self, cargo};

/// Calls that are up at once.
const CALLS: u32 = 500;
/// How often what is compared takes turns.
const ROUNDS: u32 = 9;

/// Kills a recorder so often under live calls.
pub(crate) fn kills(count: u32) -> Result<()> {
    run("kills", "SPANREEL_KILLS", &format!("{count}x{CALLS}"))
}

/// Attacks a recorder for so many seconds.
pub(crate) fn attack(seconds: u32) -> Result<()> {
    run("attack", "SPANREEL_ATTACK", &format!("{seconds}x{CALLS}"))
}

/// Load that changes for so many minutes.
pub(crate) fn soak(minutes: f64) -> Result<()> {
    run("soak", "SPANREEL_SOAK", &minutes.to_string())
}

/// 100 viewers, 50 players and 10 live listeners beside calls; phases of so many seconds without and with them, in turn.
pub(crate) fn viewers(seconds: u32) -> Result<()> {
    run("viewers", "SPANREEL_VIEWERS", &format!("{}x{seconds}x{ROUNDS}", CALLS + 20))
}

/// Runs the tests of a module of the live tests.
fn run(module: &str, variable: &str, extent: &str) -> Result<()> {
    if !is_root() {
        bail!("{module} needs root, to make a network namespace with a wire in it; try sudo");
    }
    crate::setup::run()?;
    let filter = format!("{module}::");
    let test = [
        "test",
        "--release",
        "--package",
        "wiring",
        "--test",
        "live",
        "--",
        &filter,
        "--nocapture",
    ];
    shell::run_with((variable, extent), cargo(), &test)
}
