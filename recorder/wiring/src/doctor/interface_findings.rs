//! What is known of an interface, and what that means for capturing from it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base::limits::VLAN_TAGS_MAX;
use capture::nic::{Counter, Nic, VLAN_STRIPPING};
use serde_json::{Value, json};

use super::finding::{Finding, percent};

/// Offloads that a driver may refuse XDP for, and that merge packets before XDP could see them.
const MERGING_IN_HARDWARE: [&str; 2] = ["rx-lro", "rx-gro-hw"];
/// The largest MTU whose frames fit the one page that a driver without multi-buffer XDP has for them.
const XDP_MTU_MAX: u32 = 3_498;

/// Judges an interface with these addresses.
pub(super) fn findings(nic: &Nic, addresses: &[IpAddr]) -> Vec<Finding> {
    let mut findings = vec![link(nic), driver(nic)];
    findings.extend(occupied(nic));
    findings.extend([native(nic), zero_copy(nic)].into_iter().flatten());
    findings.extend(large_frames(nic));
    findings.push(queues(nic));
    findings.extend([rss(nic), hashing(nic), ring(nic)].into_iter().flatten());
    findings.extend([merging(nic), stripping(nic), quiet(nic, addresses)].into_iter().flatten());
    findings.extend(lost_before(nic));
    findings
}

fn link(nic: &Nic) -> Finding {
    let topic = "link";
    let name = &nic.link.name;
    let speed = nic.speed_megabits.map_or_else(String::new, |speed| format!(", {speed} Mbit/s"));
    match (nic.link.up, nic.link.carrier) {
        (false, _) => Finding::problem(topic, format!("{name} is down"))
            .meaning("Nothing can be received.")
            .advice(format!("ip link set dev {name} up")),
        (true, false) => Finding::problem(topic, format!("{name} is up, but has no carrier"))
            .meaning("The cable is out, or the switch's port is off.")
            .advice("Check the cable and the mirror port's configuration on the switch."),
        (true, true) => Finding::ok(topic, format!("{name} is up{speed}, MTU {}", nic.link.mtu)),
    }
}

fn driver(nic: &Nic) -> Finding {
    let topic = "driver";
    let Some(driver) = &nic.driver else {
        return Finding::note(topic, "the kernel does not name one");
    };
    let node = nic.numa_node.map_or_else(String::new, |node| format!(", memory node {node}"));
    let firmware = if driver.firmware.is_empty() || driver.firmware == "N/A" {
        String::new()
    } else {
        format!(", firmware {}", driver.firmware)
    };
    Finding::ok(topic, format!("{} {}{firmware}{node}", driver.name, driver.version))
}

fn occupied(nic: &Nic) -> Option<Finding> {
    let program = nic.link.xdp?;
    let found = format!("program {} is attached ({} mode)", program.id, program.mode.name());
    let finding = Finding::warning("XDP attached", found)
        .meaning(
            "If that is not Spanreel itself, recording cannot begin; if it is, what it takes is not seen here.",
        )
        .advice(format!("`bpftool prog show id {}` tells whose it is; stop that service.", program.id));
    Some(finding)
}

fn native(nic: &Nic) -> Option<Finding> {
    let topic = "native XDP";
    let source = if nic.xdp.from_kernel { "" } else { ", by its name" };
    Some(match nic.xdp.native {
        Some(true) => Finding::ok(topic, format!("the driver has it{source}")),
        Some(false) => Finding::note(topic, "the driver does not have it")
            .meaning("Packets come by TPACKET_V3 instead, at about twice the CPU time.")
            .advice(
                "For thousands of calls, use a card with native XDP: ice, i40e, mlx5, igc, ...",
            ),
        None => {
            Finding::note(topic, "unknown: this kernel does not say, and the driver is not listed")
                .meaning(
                    "It is tried when recording begins; without it, packets come by TPACKET_V3.",
                )
        }
    })
}

fn zero_copy(nic: &Nic) -> Option<Finding> {
    let topic = "zero-copy";
    if nic.xdp.native != Some(true) {
        return None;
    }
    Some(match nic.xdp.zero_copy {
        Some(true) => Finding::ok(topic, "the driver has it"),
        Some(false) => Finding::note(topic, "the driver does not have it")
            .meaning("Each packet is copied once, which costs some 30 ns."),
        None => Finding::note(topic, "unknown"),
    })
}

fn large_frames(nic: &Nic) -> Option<Finding> {
    let cannot = nic.xdp.native == Some(true) && nic.xdp.multi_buffer == Some(false);
    let (name, mtu) = (&nic.link.name, nic.link.mtu);
    (cannot && mtu > XDP_MTU_MAX).then(|| {
        Finding::warning(
            "MTU",
            format!("{mtu}, and the driver's XDP takes no frames in several buffers"),
        )
        .meaning("The XDP program cannot be attached at this MTU; TPACKET_V3 is used instead.")
        .advice(format!(
            "If the mirrored network has no larger frames: ip link set dev {name} mtu 1500"
        ))
    })
}

fn queues(nic: &Nic) -> Finding {
    let topic = "queues";
    let name = &nic.link.name;
    match nic.queues {
        Some(queues) if queues.now == 1 && queues.max > 1 => {
            Finding::note(topic, format!("1 of {} in use", queues.max))
                .meaning(
                    "One worker takes all packets, which is enough for some 1,000 calls and more.",
                )
                .advice(format!("For more calls: ethtool -L {name} combined 4"))
        }
        Some(queues) => Finding::ok(topic, format!("{} of {} in use", queues.now, queues.max)),
        None => Finding::ok(topic, format!("{} in use", nic.queues_in_use())),
    }
}

fn rss(nic: &Nic) -> Option<Finding> {
    let rss = nic.rss.as_ref()?;
    let queues = nic.queues_in_use();
    if queues == 1 {
        return None;
    }
    let used = rss.indirection.iter().collect::<BTreeSet<_>>().len();
    let found = format!("packets are spread over {used} of {queues} queues");
    if used as u64 >= u64::from(queues) {
        return Some(Finding::ok("RSS", found));
    }
    let finding = Finding::note("RSS", found)
        .meaning("The other queues' workers have nothing to do.")
        .advice(format!("ethtool -X {} equal {queues}", nic.link.name));
    Some(finding)
}

fn hashing(nic: &Nic) -> Option<Finding> {
    if nic.queues_in_use() == 1 {
        return None;
    }
    let topic = "UDP hashing";
    let by_address: Vec<&str> = ["udp4", "udp6"]
        .iter()
        .zip(nic.udp_ports_hashed)
        .filter(|(_, ports)| *ports == Some(false))
        .map(|(protocol, _)| *protocol)
        .collect();
    if by_address.is_empty() {
        let known = nic.udp_ports_hashed.iter().any(Option::is_some);
        return known.then(|| Finding::ok(topic, "by addresses and ports"));
    }
    let commands: Vec<String> = by_address
        .iter()
        .map(|protocol| format!("ethtool -N {} rx-flow-hash {protocol} sdfn", nic.link.name))
        .collect();
    let finding = Finding::warning(topic, format!("{} by addresses only", by_address.join(", ")))
        .meaning("All calls between two hosts go to one queue: one worker does the work of all.")
        .advice(commands.join("; "));
    Some(finding)
}

fn ring(nic: &Nic) -> Option<Finding> {
    let ring = nic.ring.filter(|ring| ring.max > 0)?;
    let found = format!("{} of {} receive descriptors a queue", ring.now, ring.max);
    if ring.now >= ring.max {
        return Some(Finding::ok("card's ring", found));
    }
    let finding = Finding::note("card's ring", found)
        .meaning("A larger ring bridges longer pauses of the CPU before the card drops packets.")
        .advice(format!("ethtool -G {} rx {}", nic.link.name, ring.max));
    Some(finding)
}

fn merging(nic: &Nic) -> Option<Finding> {
    let features = nic.features.as_ref()?;
    let on: Vec<&str> = MERGING_IN_HARDWARE.into_iter().filter(|it| features.is_on(it)).collect();
    if on.is_empty() {
        return Some(Finding::ok("merging", "the card does not merge packets"));
    }
    let off: Vec<String> = on.iter().map(|name| format!("{name} off")).collect();
    let finding = Finding::warning("merging", format!("{} on", on.join(", ")))
        .meaning("The card merges packets before they are seen; many drivers refuse XDP with it.")
        .advice(format!("ethtool -K {} {}", nic.link.name, off.join(" ")));
    Some(finding)
}

fn stripping(nic: &Nic) -> Option<Finding> {
    let on = nic.features.as_ref()?.is_on(VLAN_STRIPPING);
    // TPACKET_V3 is told the tag beside the packet; XDP is not.
    (on && nic.xdp.native != Some(false)).then(|| {
        Finding::warning("VLAN tags", "the card takes them out of the packets")
            .meaning(
                "XDP then cannot tell VLANs apart: equal addresses in several VLANs become one party. Without \
                 VLANs on the mirror port it does not matter.",
            )
            .advice(format!("ethtool -K {} rxvlan off", nic.link.name))
    })
}

fn quiet(nic: &Nic, addresses: &[IpAddr]) -> Option<Finding> {
    if addresses.is_empty() {
        return Some(Finding::ok("silence", "the interface has no address"));
    }
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let name = &nic.link.name;
    let finding = Finding::warning(
        "silence",
        format!("the interface has addresses: {}", list.join(", ")),
    )
    .meaning("The host answers and announces them: it sends into a port that should only listen.")
    .advice(format!(
        "Unless it carries the host's own traffic too: ip address flush dev {name}; \
             sysctl -w net.ipv6.conf.{name}.disable_ipv6=1"
    ));
    Some(finding)
}

fn lost_before(nic: &Nic) -> Option<Finding> {
    let statistics = &nic.link.statistics;
    let losses: Vec<String> =
        statistics.losses().map(|(counter, count)| format!("{count} {}", counter.name())).collect();
    if losses.is_empty() {
        return None;
    }
    let lost = statistics.losses().map(|(_, count)| count).sum();
    let received = statistics.of(Counter::RxPackets);
    let share = percent(lost, received.saturating_add(lost));
    let finding = Finding::note("lost before", format!("{} ({share:.3} %)", losses.join(", ")))
        .meaning("Since the interface came up, the card or the kernel dropped packets, of whatever kind.");
    Some(finding)
}

/// Bytes above which a frame cannot have come in one piece: MTU, Ethernet header, as many tags as are understood.
pub(super) fn frame_bytes_max(mtu: u32) -> u32 {
    mtu.saturating_add(14 + 4 * VLAN_TAGS_MAX as u32)
}

/// The facts.
pub(super) fn as_json(nic: &Nic, addresses: &[IpAddr]) -> Value {
    let amount =
        |it: Option<capture::nic::Amount>| it.map(|it| json!({"now": it.now, "max": it.max}));
    let statistics: serde_json::Map<String, Value> = nic
        .link
        .statistics
        .named()
        .map(|(counter, count)| (counter.name().to_owned(), count.into()))
        .collect();
    json!({
        "name": nic.link.name,
        "index": nic.link.index,
        "kind": nic.link.kind,
        "driver": nic.driver.as_ref().map(|driver| &driver.name),
        "firmware": nic.driver.as_ref().map(|driver| &driver.firmware),
        "mtu": nic.link.mtu,
        "up": nic.link.up,
        "carrier": nic.link.carrier,
        "speedMegabits": nic.speed_megabits,
        "promiscuity": nic.link.promiscuity,
        "numaNode": nic.numa_node,
        "queues": amount(nic.queues),
        "ring": amount(nic.ring),
        "rssQueues": nic.rss.as_ref().map(|rss| rss.indirection.iter().collect::<BTreeSet<_>>()),
        "udpPortsHashed": nic.udp_ports_hashed,
        "features": nic.features.as_ref().map(|features| &features.active),
        "xdp": {
            "native": nic.xdp.native,
            "zeroCopy": nic.xdp.zero_copy,
            "multiBuffer": nic.xdp.multi_buffer,
            "fromKernel": nic.xdp.from_kernel,
            "attached": nic.link.xdp.map(|program| json!({"id": program.id, "mode": program.mode.name()})),
        },
        "addresses": addresses,
        "statistics": statistics,
    })
}

#[cfg(test)]
mod tests {
    use capture::LinkType;
    use capture::nic::{
        Amount, AttachedXdp, Driver, Features, Link, Rss, Statistics, XdpMode, XdpSupport,
    };

    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::finding::tests::{assert_complete, on};

    fn good() -> Nic {
        let link = Link {
            name: "span0".into(),
            index: 7,
            mtu: 1_500,
            link_type: Some(LinkType::Ethernet),
            kind: None,
            up: true,
            carrier: true,
            promiscuity: 0,
            rx_queues: 4,
            xdp: None,
            statistics: Statistics::from_iter([(Counter::RxPackets, 1_000_000)]),
        };
        Nic {
            link,
            driver: Some(Driver {
                name: "ice".into(),
                version: "6.12".into(),
                firmware: "4.40".into(),
            }),
            features: Some(Features { active: vec!["rx-gro".into()], changeable: Vec::new() }),
            queues: Some(Amount { now: 4, max: 16 }),
            ring: Some(Amount { now: 8_160, max: 8_160 }),
            rss: Some(Rss { indirection: [0, 1, 2, 3].repeat(32), key: vec![1; 52] }),
            udp_ports_hashed: [Some(true), Some(true)],
            speed_megabits: Some(10_000),
            numa_node: Some(0),
            xdp: XdpSupport {
                native: Some(true),
                zero_copy: Some(true),
                multi_buffer: Some(true),
                from_kernel: true,
            },
        }
    }

    #[track_caller]
    fn of(topic: &str, change: impl FnOnce(&mut Nic)) -> Finding {
        let mut nic = good();
        change(&mut nic);
        let findings = findings(&nic, &[]);
        assert_complete(&findings);
        on(&findings, topic).clone()
    }

    fn switch_on(nic: &mut Nic, feature: &str) {
        nic.features.as_mut().unwrap().active.push(feature.to_owned());
    }

    #[test]
    fn a_good_interface_is_good_in_every_respect() {
        let findings = findings(&good(), &[]);
        assert!(findings.iter().all(|it| it.severity == Severity::Ok), "{findings:#?}");
        assert_eq!(on(&findings, "link").finding, "span0 is up, 10000 Mbit/s, MTU 1500");
        assert_eq!(on(&findings, "driver").finding, "ice 6.12, firmware 4.40, memory node 0");
        let json = as_json(&good(), &[]);
        assert_eq!((&json["queues"]["now"], &json["xdp"]["native"]), (&json!(4), &json!(true)));
    }

    #[test]
    fn down_or_unplugged_is_a_problem() {
        let down = of("link", |nic| nic.link.up = false);
        assert_eq!((down.severity, down.finding.as_str()), (Severity::Problem, "span0 is down"));
        let unplugged = of("link", |nic| nic.link.carrier = false);
        assert_eq!(unplugged.severity, Severity::Problem);
        assert!(unplugged.finding.contains("no carrier"));
    }

    #[test]
    fn xdp_as_the_driver_has_it() {
        let set = |native| move |nic: &mut Nic| nic.xdp.native = native;
        assert_eq!(of("native XDP", set(Some(false))).severity, Severity::Note);
        assert!(of("native XDP", set(None)).finding.starts_with("unknown"));
        assert_eq!(of("zero-copy", |nic| nic.xdp.zero_copy = Some(false)).severity, Severity::Note);
        let attached = |nic: &mut Nic| {
            nic.link.xdp = Some(AttachedXdp { id: 31, mode: XdpMode::Native });
        };
        assert_eq!(of("XDP attached", attached).finding, "program 31 is attached (native mode)");
        let jumbo = |nic: &mut Nic| (nic.link.mtu, nic.xdp.multi_buffer) = (9_000, Some(false));
        assert_eq!(of("MTU", jumbo).severity, Severity::Warning);
    }

    #[test]
    fn packets_that_do_not_spread() {
        let one = |nic: &mut Nic| nic.queues = Some(Amount { now: 1, max: 8 });
        assert_eq!(of("queues", one).severity, Severity::Note);
        let half = |nic: &mut Nic| nic.rss.as_mut().unwrap().indirection = [0, 1].repeat(64);
        assert_eq!(of("RSS", half).finding, "packets are spread over 2 of 4 queues");
        let hashing = of("UDP hashing", |nic| nic.udp_ports_hashed = [Some(false), Some(true)]);
        assert_eq!(hashing.severity, Severity::Warning);
        assert_eq!(hashing.advice.unwrap(), "ethtool -N span0 rx-flow-hash udp4 sdfn");
        let ring = of("card's ring", |nic| nic.ring = Some(Amount { now: 512, max: 4_096 }));
        assert_eq!(ring.advice.unwrap(), "ethtool -G span0 rx 4096");
    }

    #[test]
    fn offloads_that_alter_packets() {
        let lro = of("merging", |nic| switch_on(nic, "rx-lro"));
        assert_eq!((lro.severity, lro.finding.as_str()), (Severity::Warning, "rx-lro on"));
        assert_eq!(
            of("VLAN tags", |nic| switch_on(nic, VLAN_STRIPPING)).severity,
            Severity::Warning
        );
        let mut without_xdp = good();
        without_xdp.xdp.native = Some(false);
        switch_on(&mut without_xdp, VLAN_STRIPPING);
        assert!(findings(&without_xdp, &[]).iter().all(|it| it.topic != "VLAN tags"));
    }

    #[test]
    fn an_interface_that_speaks_or_has_lost() {
        let findings = findings(&good(), &[IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(on(&findings, "silence").finding, "the interface has addresses: 192.0.2.1");
        assert_complete(&findings);
        let lossy = |nic: &mut Nic| {
            let counts = [(Counter::RxPackets, 990), (Counter::RxMissedErrors, 10)];
            nic.link.statistics = Statistics::from_iter(counts);
        };
        assert_eq!(of("lost before", lossy).finding, "10 rx_missed_errors (1.000 %)");
    }
}
