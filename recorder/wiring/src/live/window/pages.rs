//! The process that serves the pages: `spanreel web --keep`, started before this one gives up the power to start any.
//!
//! It ends with this one, whatever ends it, and starts its server again when that ends. Nothing here waits for it.

use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::config::Config;

/// Starts it, if pages are wanted.
///
/// # Errors
/// It cannot be started: recording goes on without.
pub(in crate::live) fn start(config: &Config) -> Result<()> {
    let Some(web) = &config.web else { return Ok(()) };
    let context = "cannot start the process that serves the pages";
    let program = std::env::current_exe().context(context)?;
    // What this one prints is its result; what that one prints is for people.
    let console = std::io::stderr().as_fd().try_clone_to_owned().context(context)?;
    let mut command = Command::new(program);
    command.args(["web", "--keep", "--parent", &std::process::id().to_string(), "--data"]);
    command.arg(&config.data).arg("--listen").arg(web.listen.to_string());
    if let Some(redirect) = web.redirect {
        command.arg("--redirect").arg(redirect.to_string());
    }
    let catalog = &config.catalog;
    for (option, value) in [
        // Users are there too, and the rows of all nodes.
        ("--postgres", catalog.postgres.as_ref().map(AsRef::as_ref)),
        ("--postgres-password-file", catalog.password_file.as_deref().map(AsRef::as_ref)),
        ("--postgres-ca", catalog.ca.as_deref().map(AsRef::as_ref)),
        ("--url", web.url.as_ref().map(AsRef::as_ref)),
        ("--cert", web.certificate.as_deref().map(AsRef::as_ref)),
        ("--key", web.key.as_deref().map(AsRef::as_ref)),
        ("--recording-key", web.recording_key.as_deref().map(AsRef::as_ref)),
    ] {
        let value: Option<&std::ffi::OsStr> = value;
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    // systemd is told of the recorder alone.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    command.stdin(Stdio::null()).stdout(Stdio::from(console));
    // Not waited for: it ends with this process (PR_SET_PDEATHSIG, which it asks for itself).
    command.spawn().map(drop).context(context)
}
