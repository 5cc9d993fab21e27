//! Two hosts, and between them a switch that mirrors what they send to each other to the far end of the wire.
//!
//! Each host is a network namespace with one interface. The switch has no bridge, which would take kernels that have
//! one: each frame that comes in on a port is copied to the mirror port and sent out of the other port.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Child, Command};

use rustix::thread::LinkNameSpaceType;

use crate::wire::{FAR, bring_up, enter_namespace, ip, output_of, skip, with_wire};

/// The caller's address.
pub(crate) const CALLER: &str = "10.9.0.1";
/// The callee's address.
pub(crate) const CALLEE: &str = "10.9.0.2";
/// The switch's ports, and the interfaces of the hosts behind them.
const PORTS: [(&str, &str); 2] = [("port0", "host0"), ("port1", "host1")];
/// A BPF program that says yes: its one instruction returns -1.
const EVERYTHING: &str = "1,6 0 0 4294967295";

/// A host, which is there as long as this is.
pub(crate) struct Host {
    namespace: OwnedFd,
    pub(crate) address: &'static str,
}

/// Runs a test with a caller and a callee on the switch.
pub(crate) fn with_hosts(test: impl FnOnce(&[Host; 2]) + Send + 'static) {
    if let Err(why) = output_of("tc", &["-V"]) {
        return skip(&format!("needs tc, of iproute2: {why}"));
    }
    with_wire(move || {
        let hosts = [Host::new(CALLER, PORTS[0]), Host::new(CALLEE, PORTS[1])];
        match mirror(PORTS[0].0, PORTS[1].0).and_then(|()| mirror(PORTS[1].0, PORTS[0].0)) {
            Ok(()) => test(&hosts),
            Err(why) => skip(&format!("this kernel does not mirror: {why}")),
        }
    });
}

impl Host {
    /// Plugs a new host into a port of its own.
    fn new(address: &'static str, (port, interface): (&str, &str)) -> Self {
        ip(&["link", "add", port, "type", "veth", "peer", "name", interface]);
        bring_up(port);
        let namespace = elsewhere(|| {
            enter_namespace();
            File::open("/proc/thread-self/ns/net").unwrap().into()
        });
        let host = Self { namespace, address };
        let path = format!("/proc/{}/fd/{}", std::process::id(), host.namespace.as_raw_fd());
        ip(&["link", "set", interface, "netns", &path]);
        host.inside(|| {
            ip(&["link", "set", "lo", "up"]);
            bring_up(interface);
            ip(&["address", "add", &format!("{address}/24"), "dev", interface]);
        });
        host
    }

    /// Starts a program on the host.
    pub(crate) fn start(&self, command: &mut Command) -> Child {
        self.inside(|| command.spawn().unwrap())
    }

    fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        elsewhere(|| {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(self.namespace.as_fd(), kind).unwrap();
            act()
        })
    }
}

/// In a thread of its own, which may change its namespace.
fn elsewhere<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

/// What comes in on one port goes to the mirror port, and out of the other port.
fn mirror(from: &str, to: &str) -> Result<(), String> {
    output_of("tc", &["qdisc", "add", "dev", from, "clsact"])?;
    let filter = ["filter", "add", "dev", from, "ingress", "bpf", "bytecode", EVERYTHING];
    let copy = ["action", "mirred", "egress", "mirror", "dev", FAR, "pipe"];
    let forward = ["action", "mirred", "egress", "redirect", "dev", to];
    output_of("tc", &[&filter[..], &copy, &forward].concat()).map(drop)
}
