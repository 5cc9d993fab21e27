//! Runs the program on single packets and looks at all that comes of it.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::{META_BYTES, Meta, Reason};
use aya::programs::{TestRun as _, TestRunOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use zerocopy::FromBytes as _;

use crate::nic::Link;
use crate::xdp::{Endpoints, Program, Settings, Socket, SocketOptions, XdpError, open_sockets};

pub(super) const DROP: u32 = 1;
pub(super) const PASS: u32 = 2;
pub(super) const REDIRECT: u32 = 4;

/// A network namespace of the test's own.
pub(super) struct Namespace {
    pub(super) name: String,
}

impl Namespace {
    pub(super) fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanreel-{}-{number}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// Runs something on a thread that is in it.
    pub(super) fn within<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let name = std::thread::current().name().unwrap_or("test").to_owned();
        let joined = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(name);
            let run = || {
                self.enter();
                run()
            };
            thread.spawn_scoped(scope, run).unwrap().join()
        });
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn enter(&self) {
        let file = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `ip` in it.
    pub(super) fn ip(&self, arguments: &[&str]) -> Result<(), String> {
        ip(&[&["-n", self.name.as_str()], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

pub(super) fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output =
        output.map_err(|error| format!("`ip` (package iproute2) does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Says past the test harness that a test could not run here, and how many so far.
pub(super) fn skipped(why: &str) {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why} ({count} skipped so far)");
}

/// What a machine must not be able to do for a test to be skipped; anything else is a failure.
fn is_inability(error: &XdpError) -> bool {
    matches!(error, XdpError::NotPermitted { .. } | XdpError::Missing { .. })
}

/// A loaded program with a socket for queue 0.
pub(super) struct Rig {
    pub(super) program: Program,
    pub(super) endpoints: Endpoints,
    _sockets: Vec<Socket>,
}

/// Runs a test in a namespace of its own, on a thread of its own, if the machine can.
pub(super) fn in_namespace(test: impl FnOnce(&Namespace) -> Result<(), XdpError> + Send) {
    let own = match Namespace::new() {
        Ok(own) => own,
        Err(why) => return skipped(&why),
    };
    match own.within(|| test(&own)) {
        Ok(()) => {}
        Err(error) if is_inability(&error) => skipped(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// Runs a test with a program loaded for `settings`, in a namespace of its own, if the machine can.
pub(super) fn with(settings: &Settings, test: impl FnOnce(&mut Rig) + Send) {
    in_namespace(|_| {
        test(&mut Rig::new(settings)?);
        Ok(())
    });
}

impl Rig {
    fn new(settings: &Settings) -> Result<Self, XdpError> {
        let mut program = Program::load(settings)?;
        let options =
            SocketOptions { ring_size: 4096, zero_copy: false, ..SocketOptions::default() };
        // A test run comes by queue 0 of the namespace's own loopback.
        let sockets = open_sockets(&Link::find("lo")?, &options)?;
        program.set_socket(0, sockets[0].as_fd())?;
        let endpoints = program.take_endpoints().unwrap();
        Ok(Self { program, endpoints, _sockets: sockets })
    }

    /// Runs the program on one packet.
    pub(super) fn run(&mut self, frame: &[u8]) -> Ran {
        let before = self.program.counters().unwrap();
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let result = self.program.xdp().test_run(options).unwrap();
        out.truncate(result.data_size_out as usize);
        let counts = self.program.counters().unwrap().since(&before);
        assert_eq!(counts.seen(), 1);
        assert!(counts.balances(), "{counts}");
        let reason = *Reason::ALL.iter().find(|reason| counts.of(**reason) == 1).unwrap();
        Ran { action: result.return_value, reason, meta: described(frame, &out) }
    }

    /// Runs the program on a packet that must be redirected; what is said about it.
    #[track_caller]
    pub(super) fn selected(&mut self, frame: &[u8], reason: Reason) -> Meta {
        let ran = self.run(frame);
        assert_eq!((ran.action, ran.reason), (REDIRECT, reason));
        ran.meta.unwrap()
    }

    /// Runs the program on a packet that must be dropped.
    #[track_caller]
    pub(super) fn refused(&mut self, frame: &[u8], reason: Reason) {
        let ran = self.run(frame);
        assert_eq!((ran.action, ran.reason, ran.meta), (DROP, reason, None));
    }
}

/// What the program did with a packet.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) action: u32,
    pub(super) reason: Reason,
    /// What it put in front.
    pub(super) meta: Option<Meta>,
}

/// What stands in front of the packet, which must be unchanged.
fn described(frame: &[u8], out: &[u8]) -> Option<Meta> {
    if out.len() == frame.len() {
        assert_eq!(out, frame);
        return None;
    }
    assert_eq!(&out[META_BYTES..], frame);
    Some(Meta::read_from_bytes(&out[..META_BYTES]).unwrap())
}
