//! A pair of virtual Ethernet interfaces in a namespace of its own: what is sent on [`FAR`] comes in on [`NEAR`].

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The end that is captured on.
pub const NEAR: &str = "near0";
/// The end that is sent on.
pub const FAR: &str = "far0";

/// Runs something on a thread in a namespace with the pair, both ends up, one queue each. Threads that it starts
/// are there too. The namespace is gone afterwards.
///
/// # Errors
/// No root, no `ip`, or what the closure says.
pub fn within<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = Namespace::new()?;
    let run = || {
        namespace.enter()?;
        ip(&["link", "add", NEAR, "type", "veth", "peer", "name", FAR])?;
        for link in [NEAR, FAR] {
            // No packets but the bench's.
            ip(&["link", "set", link, "addrgenmode", "none"])?;
            ip(&["link", "set", link, "up"])?;
        }
        run()
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .map_err(|_| anyhow!("the bench panicked"))?
}

struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self> {
        let name = format!("spanreel-bench-{}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self(name))
    }

    fn enter(&self) -> Result<()> {
        let path = format!("/run/netns/{}", self.0);
        let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("cannot enter {path}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("`ip` (package iproute2) does not run")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
