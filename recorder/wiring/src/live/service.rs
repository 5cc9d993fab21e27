//! What a service owes its system: signals, systemd's notifications and watchdog.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::clock;

/// What someone wants of the running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    Reload,
    Ledger,
}

/// Wishes that come as signals.
pub(super) struct Wishes(Signals);

impl Wishes {
    /// From now on these signals end nothing by themselves.
    pub(super) fn new() -> Result<Self> {
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]);
        Ok(Self(signals.context("cannot receive signals")?))
    }

    /// The most pressing wish that has come.
    pub(super) fn next(&mut self) -> Option<Wish> {
        let pending: Vec<_> = self.0.pending().collect();
        let came = |signal| pending.contains(&signal);
        if came(SIGTERM) || came(SIGINT) {
            return Some(Wish::Stop);
        }
        if came(SIGHUP) {
            return Some(Wish::Reload);
        }
        came(SIGUSR1).then_some(Wish::Ledger)
    }
}

/// The way to systemd (sd_notify(3)), if it started this program.
pub(super) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    due: Instant,
}

impl Notify {
    pub(super) fn new() -> Self {
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        // Twice within the time, as the manual advises.
        let watchdog = watchdog.map(|micros| Duration::from_micros(micros) / 2);
        Self { socket: open(), watchdog, due: clock::instant() }
    }

    /// Tells systemd. That it does not listen is its own matter.
    pub(super) fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }

    /// This thread is alive. Only the thread whose life matters may call this.
    pub(super) fn alive(&mut self) {
        if let Some(every) = self.watchdog
            && clock::instant() >= self.due
        {
            self.tell("WATCHDOG=1");
            self.due = clock::instant() + every;
        }
    }

    /// The configuration is about to be read again (needs the time, by `CLOCK_MONOTONIC`).
    pub(super) fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic() / 1_000));
    }
}

fn open() -> Option<(UnixDatagram, SocketAddr)> {
    let path = std::env::var_os("NOTIFY_SOCKET")?;
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name).ok()?,
        None => SocketAddr::from_pathname(&path).ok()?,
    };
    Some((UnixDatagram::unbound().ok()?, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_systemd_nothing_is_told() {
        let mut notify = Notify { socket: None, watchdog: None, due: clock::instant() };
        notify.tell("READY=1");
        notify.alive();
    }

    #[test]
    fn the_watchdog_is_fed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let socket = (UnixDatagram::unbound().unwrap(), SocketAddr::from_pathname(&path).unwrap());
        let watchdog = Some(Duration::from_secs(60));
        let mut notify = Notify { socket: Some(socket), watchdog, due: clock::instant() };
        notify.alive();
        notify.alive();
        notify.tell("STOPPING=1");
        let mut buffer = [0; 64];
        let mut next = || {
            let length = systemd.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert_eq!((next(), next()), ("WATCHDOG=1".to_owned(), "STOPPING=1".to_owned()));
    }
}
