//! The interface that is captured from: how its frames are taken, what is set on it, what it counts.

use std::os::fd::AsFd as _;

use anyhow::{Result, bail};
use capture::PacketSource;
use capture::nic::{
    Counter, Link, LinkState, LinkWatch, NearMemory, Nic, OffloadsOff, Promiscuous, Statistics,
    VLAN_STRIPPING,
};
use capture::packet_socket::{Fanout, FanoutBy, Options};
use capture::xdp::{
    self, Attachment, Binding, Copies, Counters, Endpoints, Mode, Program, Socket, SocketOptions,
    XdpError,
};

use super::tap::{PacketTap, XdpTap};
use crate::config::{CaptureMode, Config, Role};

/// Bytes of the ring of copies of a shared interface: 0.3 s of G.711 of 1,000 calls.
const COPIES_BYTES: u32 = 32 * 1024 * 1024;
/// Bytes of the packet sockets' rings together.
const PACKET_RING_BYTES: u32 = 256 * 1024 * 1024;
/// And of each at least.
const PACKET_BLOCKS_MIN: u32 = 16;

/// Where the capture cores' frames come from.
pub(super) enum Taps {
    Xdp(Vec<XdpTap<Socket>>),
    Copies(Box<XdpTap<Copies>>),
    Packet(Vec<PacketTap>),
}

impl Taps {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Xdp(taps) => taps.len(),
            Self::Copies(_) => 1,
            Self::Packet(taps) => taps.len(),
        }
    }
}

/// The interface under capture. Dropping it gives the interface back as it was.
pub(super) struct Port {
    pub(super) name: String,
    /// How frames are taken, in words.
    pub(super) way: String,
    program: Option<Program>,
    /// The program's last counts, once it is detached.
    counters: Option<Counters>,
    _promiscuous: Option<Promiscuous>,
    _offloads: Option<OffloadsOff>,
    near: Option<NearMemory>,
    before: Statistics,
    watch: LinkWatch,
}

impl Port {
    /// Opens the interface as configured, and begins to capture.
    ///
    /// # Errors
    /// No such interface, no privilege, another XDP program, or what the kernel says. The interface is then as it
    /// was.
    pub(super) fn open(config: &Config) -> Result<(Self, Taps)> {
        let nic = Nic::find(&config.interface)?;
        let watch = LinkWatch::new(&config.interface)?;
        let before = nic.link.statistics;
        let near = near_memory(&nic);
        let new = |way, program, promiscuous, offloads| Self {
            name: config.interface.clone(),
            way,
            program,
            counters: None,
            _promiscuous: promiscuous,
            _offloads: offloads,
            near,
            before,
            watch,
        };
        let reason = match choice(config) {
            Choice::Packet(reason) => reason.to_owned(),
            Choice::Xdp { or_packet } => {
                // Before anything is attached: many a card begins anew when it is switched.
                let offloads = keep_tags(config, &nic.link);
                match open_xdp(config, &nic.link) {
                    Ok(Ok((program, taps, way))) => {
                        let promiscuous = Promiscuous::on(&nic.link)?;
                        return Ok((new(way, Some(program), Some(promiscuous), offloads), taps));
                    }
                    // Nobody can take its place, or nothing else would work either.
                    Err(error @ (XdpError::NotPermitted { .. } | XdpError::Occupied { .. })) => {
                        return Err(error.into());
                    }
                    Err(error) if !or_packet => return Err(error.into()),
                    Ok(Err(reason)) if !or_packet => bail!(
                        "{} has no native XDP ({reason}); use mode = \"auto\" or \"packet\"",
                        config.interface
                    ),
                    Ok(Err(reason)) => format!("no native XDP: {reason}"),
                    Err(error) => format!("no XDP: {error}"),
                }
            }
        };
        let taps = open_packet(config, &nic)?;
        let way = format!("TPACKET_V3 ({reason}), {} sockets", taps.len());
        Ok((new(way, None, None, None), Taps::Packet(taps)))
    }

    /// The threads that take frames run, with memory near the card. What is made from now on need not be.
    pub(super) fn started(&mut self) {
        self.near = None;
    }

    /// The kernel program's table of endpoints, once.
    pub(super) fn take_endpoints(&mut self) -> Option<Endpoints> {
        self.program.as_mut().and_then(Program::take_endpoints)
    }

    /// Takes nothing new by XDP. What is in the rings stays there.
    pub(super) fn detach(&mut self) {
        if let Some(program) = &mut self.program {
            program.detach();
        }
    }

    /// The program looks for other signalling ports from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn configure(&mut self, config: &Config) -> Result<()> {
        match &mut self.program {
            Some(program) => Ok(program.configure(&settings(config))?),
            None => Ok(()),
        }
    }

    /// How packets ended in the kernel's program, if one runs.
    pub(super) fn counters(&mut self) -> Option<Counters> {
        if let Some(counters) = self.program.as_ref().and_then(|program| program.counters().ok()) {
            self.counters = Some(counters);
        }
        self.counters
    }

    /// What the interface has counted since the capture began. Nothing if it is gone.
    pub(super) fn statistics(&self) -> Option<Statistics> {
        Some(Link::find(&self.name).ok()?.statistics.since(&self.before))
    }

    /// The next change of the interface's state.
    pub(super) fn change(&mut self) -> Option<LinkState> {
        // What the kernel does not tell is asked for again at the next look.
        self.watch.change().ok().flatten()
    }

    /// Whether a program must be attached anew to an interface that was removed and made again.
    pub(super) fn is_bound_to_interface(&self) -> bool {
        self.program.is_some()
    }
}

/// How frames are to be taken.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// By XDP, or if that does not work and may be, by packet sockets.
    Xdp { or_packet: bool },
    /// By packet sockets, and why.
    Packet(&'static str),
}

/// XDP sees only what comes in; of a host's own calls, one direction goes out.
fn choice(config: &Config) -> Choice {
    match (config.mode, config.role) {
        (CaptureMode::Packet, _) => Choice::Packet("as configured"),
        (CaptureMode::Xdp, _) => Choice::Xdp { or_packet: false },
        (CaptureMode::Auto, Role::Shared) => {
            Choice::Packet("shared: XDP does not see what the host sends")
        }
        (CaptureMode::Auto, Role::Span) => Choice::Xdp { or_packet: true },
    }
}

/// What is touched first while this lives is on the card's side of the machine.
fn near_memory(nic: &Nic) -> Option<NearMemory> {
    NearMemory::from_node(nic.numa_node).unwrap_or_else(|error| {
        let name = &nic.link.name;
        tracing::warn!(
            "packets of {name} may lie in memory far from the card: {error}; allow set_mempolicy"
        );
        None
    })
}

/// A tag that the card takes out of a packet is lost to XDP, and with it what tells equal addresses apart.
fn keep_tags(config: &Config, link: &Link) -> Option<OffloadsOff> {
    match OffloadsOff::switch(link, &[VLAN_STRIPPING], &config.data) {
        Ok(guard) => Some(guard),
        Err(error) => {
            let name = &link.name;
            tracing::warn!(
                "VLAN tags may be lost, because the card may take them out: {error}; \
                 `ethtool -K {name} rxvlan off` keeps them in"
            );
            None
        }
    }
}

/// Losses that the interface itself counts.
pub(super) fn losses(statistics: &Statistics) -> Vec<(Counter, u64)> {
    statistics.losses().collect()
}

fn settings(config: &Config) -> xdp::Settings {
    let mode = match config.role {
        Role::Span => Mode::Span { pass_rest: false },
        Role::Shared => Mode::Shared { copies_bytes: COPIES_BYTES },
    };
    let signalling_ports = config.signalling_ports.iter().map(|ports| ports.0.clone()).collect();
    xdp::Settings { mode, signalling_ports, ..xdp::Settings::default() }
}

type Xdp = (Program, Taps, String);

/// Attaches the program and opens its sockets. The inner error: why there is no native XDP here.
fn open_xdp(config: &Config, link: &Link) -> Result<Result<Xdp, String>, XdpError> {
    let mut program = Program::load(&settings(config))?;
    if link.xdp.is_some() {
        // Says whose program is in the way; with a socket it would only be "busy".
        let _ = program.attach(link)?;
    }
    if let Some(copies) = program.take_copies() {
        return open_copies(program, copies, link);
    }
    let options = SocketOptions { busy_poll: config.busy_poll, ..SocketOptions::default() };
    let mut sockets = xdp::open_sockets(link, &options)?;
    sockets.truncate(config.queues.map_or(usize::MAX, |queues| queues as usize));
    for socket in &sockets {
        program.set_socket(socket.queue(), socket.as_fd())?;
    }
    if let Attachment::Unsupported { reason } = program.attach(link)? {
        return Ok(Err(reason));
    }
    let way = sockets.first().map(|first| describe(first.binding(), sockets.len()));
    let Some(way) = way else { return Ok(Err("it has no queues".into())) };
    let taps = sockets.into_iter().map(XdpTap::new).collect();
    Ok(Ok((program, Taps::Xdp(taps), way)))
}

fn open_copies(
    mut program: Program,
    copies: Copies,
    link: &Link,
) -> Result<Result<Xdp, String>, XdpError> {
    if let Attachment::Unsupported { reason } = program.attach(link)? {
        return Ok(Err(reason));
    }
    let way = "XDP, native, shared with the host (incoming packets only)".to_owned();
    Ok(Ok((program, Taps::Copies(Box::new(XdpTap::new(copies))), way)))
}

fn describe(binding: Binding, queues: usize) -> String {
    let copy = if binding.zero_copy { "zero-copy" } else { "copied" };
    let pages = if binding.huge_pages { ", huge pages" } else { "" };
    let polled = if binding.busy_poll { ", busy polling" } else { "" };
    let plural = if queues == 1 { "" } else { "s" };
    format!("XDP, native, {copy}{pages}{polled}, {queues} queue{plural}")
}

fn open_packet(config: &Config, nic: &Nic) -> Result<Vec<PacketTap>> {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    let count = config.queues.unwrap_or_else(|| nic.queues_in_use().min(cpus)).max(1);
    let group = std::process::id() as u16;
    let fanout = (count > 1).then_some(Fanout { group, by: FanoutBy::Flow });
    let defaults = Options::default();
    let blocks = PACKET_RING_BYTES / defaults.block_bytes / count;
    // A shared host's own packets are half of its calls.
    let outgoing = config.role == Role::Shared;
    let blocks = blocks.clamp(PACKET_BLOCKS_MIN, defaults.blocks);
    let options = Options { blocks, fanout, outgoing, ..defaults };
    let open = |_| Ok(PacketTap::new(PacketSource::open(&config.interface, options.clone())?));
    (0..count).map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_interface_is_captured_both_ways_unless_told_otherwise() {
        let of = |mode, role| choice(&Config { mode, role, ..Config::default() });
        assert_eq!(of(CaptureMode::Auto, Role::Span), Choice::Xdp { or_packet: true });
        assert!(matches!(of(CaptureMode::Auto, Role::Shared), Choice::Packet(_)));
        for role in [Role::Span, Role::Shared] {
            assert_eq!(of(CaptureMode::Xdp, role), Choice::Xdp { or_packet: false });
            assert_eq!(of(CaptureMode::Packet, role), Choice::Packet("as configured"));
        }
    }
}
