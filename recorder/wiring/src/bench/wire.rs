//! A mirror port of the bench's own: two virtual Ethernet interfaces, joined like the ends of a cable, in a network
//! namespace without a name. Nothing outside can be touched from in there, and the kernel takes all of it away when the
//! last thread and program in it ends, whatever ended them.

use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use capture::transmit::enter_own_namespace;

/// The end that is recorded.
pub(super) const SPAN: &str = "span0";
/// The end that is sent on.
pub(super) const FAR: &str = "far0";

/// Runs something on a thread that is in such a namespace, with both ends up. Programs that it starts are there too.
///
/// # Errors
/// No root, no `ip` (package iproute2), or what `run` says.
pub(super) fn within<T: Send>(queues: u32, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // Threads of the shared pool belong to no bench: they are started outside.
    rayon::join(|| (), || ());
    let run = || {
        enter_own_namespace().context(
            "cannot make a network namespace; run as root, or measure without a wire (--from-memory)",
        )?;
        make_pair(queues)?;
        run()
    };
    let joined = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("bench".into());
        Ok::<_, anyhow::Error>(thread.spawn_scoped(scope, run)?.join())
    });
    joined?.map_err(|_| anyhow!("the bench's own thread panicked; please report it"))?
}

fn make_pair(queues: u32) -> Result<()> {
    let queues = queues.to_string();
    let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
    let pair = [&["link", "add", SPAN], &queues[..], &["type", "veth", "peer", "name", FAR]];
    ip(&[&pair.concat()[..], &queues[..]].concat())?;
    for interface in [SPAN, FAR] {
        // Without an IPv6 address of its own it sends nothing of its own.
        ip(&["link", "set", interface, "addrgenmode", "none"])?;
        ip(&["link", "set", interface, "up"])?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("`ip` does not run; install the package iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
