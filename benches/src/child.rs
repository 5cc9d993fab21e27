//! What a program of its own uses from its begin to its end.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// In `/proc/*/stat`, on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// CPU seconds that a program takes, user and system, which is run in `folder` and ended after `limit`.
///
/// # Errors
/// It cannot be started, fails, or is not over in time.
pub fn cpu_seconds(
    program: &Path,
    arguments: &[String],
    folder: &Path,
    limit: Duration,
) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| program.display().to_string())?;
    let used = used_at_end(&child, limit);
    if used.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let used = used?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(used)
}

/// CPU seconds of a process when it has ended, before its end is taken note of.
#[expect(clippy::disallowed_methods, reason = "a program of its own: how long another one takes")]
fn used_at_end(child: &Child, limit: Duration) -> Result<f64> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let began = Instant::now();
    while waitid(WaitId::Pid(Pid::from_child(child)), options)?.is_none() {
        if began.elapsed() > limit {
            bail!("it did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    // The name in parentheses may have spaces in it. User, system, and both of children that it waited for.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
    let ticks: u64 = fields.filter_map(|it| it.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}
