//! What the facts about the machine mean.

use std::time::Duration;

use base::limits::COMMIT_AGE_MILLISECONDS_MAX;
use capture::nic::Availability;

use super::disk::Disk;
use super::finding::Finding;
use super::machine::Machine;

/// The oldest kernel that is tested.
const KERNEL_TESTED: (u32, u32) = (6, 1);
/// The oldest on which XDP programs are held by links, so that a killed process leaves none behind.
const KERNEL_NEEDED: (u32, u32) = (5, 9);
/// What a worker's frame memory and chunks take, roughly.
const WORKER_BYTES: u64 = 384 * 1024 * 1024;
/// Frame memory of one receive queue: 16,384 chunks of 2 KiB.
const QUEUE_BYTES: u64 = 16_384 * 2_048;
/// A disk that flushes faster than this keeps a wide margin to the journal's commit age.
const FLUSH_MILLISECONDS_GOOD: f64 = COMMIT_AGE_MILLISECONDS_MAX as f64 / 5.0;
/// Both directions of a G.711 call in the journal: 100 packets a second of 172 bytes and some 20 around them.
const CALL_MEGABYTES_PER_SECOND: f64 = 100.0 * 192.0 / 1e6;
/// Beyond this, times of two systems cannot be put beside each other message by message.
const CLOCK_ERROR_GOOD: Duration = Duration::from_millis(100);

/// Judges a machine that is to capture from this many receive queues.
pub(crate) fn findings(machine: &Machine, queues: u32) -> Vec<Finding> {
    let mut findings = vec![
        kernel(&machine.kernel),
        privileges(machine),
        xdp("XDP programs", "runs XDP programs", &machine.xdp_programs),
        xdp("AF_XDP", "has AF_XDP sockets", &machine.xdp_sockets),
        memory(machine, queues),
        huge_pages(machine, queues),
    ];
    findings.extend(memlock(machine, queues));
    findings.push(cpus(machine, queues));
    findings.push(clock(machine));
    findings.extend(disk(machine));
    findings
}

fn kernel(release: &str) -> Finding {
    let topic = "kernel";
    let found = format!("Linux {release}");
    match version(release) {
        Some(version) if version >= KERNEL_TESTED => Finding::ok(topic, found),
        Some(version) if version >= KERNEL_NEEDED => Finding::note(topic, found)
            .meaning("Spanreel is tested on Linux 6.1 and later.")
            .advice("Prefer a kernel that is tested, such as that of Debian 12 or later."),
        Some(_) => Finding::problem(topic, found)
            .meaning("Live capture needs Linux 5.9, and is tested from 6.1 on.")
            .advice("Install a newer kernel, such as that of Debian 12 or later."),
        None => Finding::note(topic, found).meaning("Its version cannot be told from that."),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn privileges(machine: &Machine) -> Finding {
    let topic = "privileges";
    if machine.missing_capabilities.is_empty() {
        return Finding::ok(topic, "all that capturing needs");
    }
    Finding::problem(topic, format!("{} missing", machine.missing_capabilities.join(", ")))
        .meaning(
            "As this user, no interface can be captured from, and some questions are not answered.",
        )
        .advice("Run as root, or by the systemd unit, which gives these capabilities.")
}

fn xdp(topic: &'static str, can: &str, availability: &Availability) -> Finding {
    let fallback = "Packets come by TPACKET_V3 instead, at about twice the CPU time.";
    match availability {
        Availability::Available => Finding::ok(topic, format!("this kernel {can}")),
        Availability::NotPermitted => Finding::note(topic, "not permitted to this process")
            .meaning("Whether the kernel has it was not found out.")
            .advice("Run as root to find out."),
        Availability::Missing => {
            Finding::warning(topic, "not built into this kernel").meaning(fallback).advice(
                "Use a kernel with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS, such as Debian's.",
            )
        }
        Availability::Unknown(reason) => Finding::note(topic, format!("unknown: {reason}")),
    }
}

fn memory(machine: &Machine, queues: u32) -> Finding {
    let topic = "memory";
    let available = machine.memory_available_bytes;
    let needed = WORKER_BYTES.saturating_mul(queues.into());
    let found = format!("{} available", bytes(available));
    if available >= needed {
        return Finding::ok(topic, found);
    }
    Finding::warning(topic, found)
        .meaning(format!("{} at full load take up to {}.", of(queues), bytes(needed)))
        .advice("Add memory, or use fewer receive queues (`ethtool -L INTERFACE combined N`).")
}

fn huge_pages(machine: &Machine, queues: u32) -> Finding {
    let topic = "huge pages";
    let needed_bytes = QUEUE_BYTES.saturating_mul(queues.into());
    let needed = needed_bytes.checked_div(machine.huge_page_bytes).unwrap_or(0);
    if needed == 0 {
        return Finding::note(topic, "this kernel has none").meaning("Capturing works without.");
    }
    let found =
        format!("{} free of {} each", machine.huge_pages_free, bytes(machine.huge_page_bytes));
    if machine.huge_pages_free >= needed {
        return Finding::ok(topic, found);
    }
    Finding::note(topic, found)
        .meaning(format!(
            "Memory for packets from {} would take {needed}. Without, capturing works and takes a little more \
             CPU time.",
            of(queues)
        ))
        .advice(format!(
            "sysctl -w vm.nr_hugepages={needed}, and the same line in /etc/sysctl.d/ to keep it."
        ))
}

fn memlock(machine: &Machine, queues: u32) -> Option<Finding> {
    let limit = machine.memlock_bytes?;
    let topic = "locked memory";
    let needed = QUEUE_BYTES.saturating_mul(queues.into());
    let found = format!("{} allowed", bytes(limit));
    if limit >= needed {
        return Some(Finding::ok(topic, found));
    }
    let finding = Finding::warning(topic, found)
        .meaning(format!("AF_XDP locks {} for packets from {}.", bytes(needed), of(queues)))
        .advice(
            "Run with CAP_IPC_LOCK, or raise the limit (LimitMEMLOCK=infinity in a systemd unit).",
        );
    Some(finding)
}

fn cpus(machine: &Machine, queues: u32) -> Finding {
    let topic = "CPU";
    let slow: u32 = ["powersave", "conservative", "ondemand", "userspace"]
        .iter()
        .filter_map(|name| machine.governors.get(*name))
        .sum();
    let found = format!("{} CPUs", machine.cpus);
    if slow > 0 {
        let names: Vec<&str> = machine.governors.keys().map(String::as_str).collect();
        return Finding::warning(
            topic,
            format!("{found}, frequency governor {}", names.join(", ")),
        )
        .meaning("A CPU that has to speed up first is late for a burst of packets.")
        .advice("cpupower frequency-set -g performance");
    }
    if machine.cpus <= queues {
        return Finding::note(topic, found)
            .meaning(format!(
                "As many receive queues as CPUs ({queues}) leave none for turning calls into recordings."
            ))
            .advice("Use fewer receive queues (`ethtool -L INTERFACE combined N`).");
    }
    Finding::ok(topic, found)
}

fn clock(machine: &Machine) -> Finding {
    let topic = "clock";
    let Some(clock) = machine.clock else {
        return Finding::note(topic, "the kernel does not say whether it is synchronised");
    };
    let error = format!("{:.1} ms", clock.error_max.as_secs_f64() * 1e3);
    let meaning =
        "Times of calls do not match those of other systems, which matters when they are evidence.";
    let advice =
        "Have a time service run: `apt-get install chrony`, or `timedatectl set-ntp true`.";
    if !clock.synchronised {
        return Finding::warning(topic, "not synchronised").meaning(meaning).advice(advice);
    }
    if clock.error_max > CLOCK_ERROR_GOOD {
        return Finding::warning(topic, format!("synchronised, but up to {error} off"))
            .meaning(meaning)
            .advice("Use a time server that is nearer (`chronyc sources` shows those in use).");
    }
    Finding::ok(topic, format!("synchronised, at most {error} off"))
}

fn disk(machine: &Machine) -> Vec<Finding> {
    let disk = match &machine.disk {
        Ok(disk) => disk,
        Err(reason) => {
            return vec![
                Finding::problem("disk", format!("cannot be written to: {reason}"))
                    .meaning("Nothing can be recorded there.")
                    .advice("Name the data folder with --data, and make it this user's."),
            ];
        }
    };
    vec![flush(disk), throughput(disk), space(disk)]
}

fn flush(disk: &Disk) -> Finding {
    let topic = "disk flush";
    let Disk { flush_median, flush_worst, .. } = disk;
    let folder = disk.folder.display();
    let found = format!("{flush_median:.1} ms, at worst {flush_worst:.1} ms, at {folder}");
    let meaning =
        "While the disk flushes, what was captured waits in memory; a power cut loses it.";
    let advice = "Use an SSD with power-loss protection, and nothing else on it that writes much.";
    if *flush_worst > COMMIT_AGE_MILLISECONDS_MAX as f64 {
        return Finding::problem(topic, found).meaning(meaning).advice(advice);
    }
    if *flush_worst > FLUSH_MILLISECONDS_GOOD {
        return Finding::warning(topic, found).meaning(meaning).advice(advice);
    }
    Finding::ok(topic, found)
}

fn throughput(disk: &Disk) -> Finding {
    let topic = "disk speed";
    // The journal is written, read once, and the recordings written beside it.
    let calls = (disk.megabytes_per_second / (3.0 * CALL_MEGABYTES_PER_SECOND)) as u64;
    let found =
        format!("{:.0} MB/s with flushes: some {calls} calls at once", disk.megabytes_per_second);
    if calls < 500 {
        return Finding::warning(topic, found)
            .meaning("With more calls than that, the journal fills up, and packets are dropped.")
            .advice("Use a faster disk for the data folder.");
    }
    Finding::ok(topic, found)
}

fn space(disk: &Disk) -> Finding {
    let topic = "disk space";
    // A recording of G.711 as FLAC takes about a third of 16-bit stereo.
    let hours = disk.free_bytes / (16_000 * 2 / 3 * 3_600);
    let found = format!("{} free: some {hours} hours of calls", bytes(disk.free_bytes));
    if disk.free_bytes < 10 << 30 {
        return Finding::warning(topic, found)
            .meaning("The journal alone can grow by gigabytes while many calls are under way.")
            .advice("Free some space, or name a larger disk's folder with --data.");
    }
    Finding::ok(topic, found)
}

/// `4 receive queues`.
fn of(queues: u32) -> String {
    if queues == 1 { "1 receive queue".to_owned() } else { format!("{queues} receive queues") }
}

/// `384 MiB`.
fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", count >> 20),
        _ => format!("{} GiB", count >> 30),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use capture::nic::ClockQuality;

    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::finding::tests::{assert_complete, on};

    fn good_disk() -> Disk {
        Disk {
            folder: PathBuf::from("/var/lib/spanreel"),
            free_bytes: 500 << 30,
            flush_median: 0.4,
            flush_worst: 3.0,
            megabytes_per_second: 600.0,
        }
    }

    fn good() -> Machine {
        Machine {
            kernel: "6.12.95-amd64".into(),
            xdp_programs: Availability::Available,
            xdp_sockets: Availability::Available,
            missing_capabilities: Vec::new(),
            memlock_bytes: None,
            memory_available_bytes: 32 << 30,
            huge_page_bytes: 2 << 20,
            huge_pages_free: 512,
            cpus: 16,
            governors: BTreeMap::from([("performance".into(), 16)]),
            clock: Some(ClockQuality {
                synchronised: true,
                error_max: Duration::from_millis(3),
                ..ClockQuality::default()
            }),
            disk: Ok(good_disk()),
        }
    }

    /// How bad the topic is on a machine that differs from a good one.
    #[track_caller]
    fn severity(topic: &str, change: impl FnOnce(&mut Machine)) -> Severity {
        let mut machine = good();
        change(&mut machine);
        let findings = findings(&machine, 4);
        assert_complete(&findings);
        on(&findings, topic).severity
    }

    #[test]
    fn a_good_machine_is_good_in_every_respect() {
        let findings = findings(&good(), 4);
        assert!(findings.iter().all(|it| it.severity == Severity::Ok), "{findings:#?}");
        assert_eq!(
            on(&findings, "disk speed").finding,
            "600 MB/s with flushes: some 10416 calls at once"
        );
    }

    #[test]
    fn kernels_by_age() {
        let of = |release: &str| severity("kernel", |it| it.kernel = release.into());
        assert_eq!(of("6.1.0-50-amd64"), Severity::Ok);
        assert_eq!(of("7.3"), Severity::Ok);
        assert_eq!(of("5.15.0-1-generic"), Severity::Note);
        assert_eq!(of("5.4.0"), Severity::Problem);
        assert_eq!(of("custom"), Severity::Note);
    }

    #[test]
    fn privileges_and_what_the_kernel_has() {
        let missing = |it: &mut Machine| it.missing_capabilities = vec!["CAP_BPF", "CAP_NET_RAW"];
        assert_eq!(severity("privileges", missing), Severity::Problem);
        let refused = |it: &mut Machine| it.xdp_programs = Availability::NotPermitted;
        assert_eq!(severity("XDP programs", refused), Severity::Note);
        let lacking = |it: &mut Machine| it.xdp_sockets = Availability::Missing;
        assert_eq!(severity("AF_XDP", lacking), Severity::Warning);
    }

    #[test]
    fn memory_for_four_queues() {
        assert_eq!(severity("memory", |it| it.memory_available_bytes = 1 << 30), Severity::Warning);
        assert_eq!(severity("huge pages", |it| it.huge_pages_free = 64), Severity::Ok);
        assert_eq!(severity("huge pages", |it| it.huge_pages_free = 63), Severity::Note);
        assert_eq!(severity("huge pages", |it| it.huge_page_bytes = 0), Severity::Note);
        assert_eq!(
            severity("locked memory", |it| it.memlock_bytes = Some(8 << 20)),
            Severity::Warning
        );
        assert_eq!(severity("locked memory", |it| it.memlock_bytes = Some(1 << 30)), Severity::Ok);
    }

    #[test]
    fn cpus_that_sleep_or_are_few() {
        let powersave =
            |it: &mut Machine| it.governors = BTreeMap::from([("powersave".into(), 16)]);
        assert_eq!(severity("CPU", powersave), Severity::Warning);
        assert_eq!(severity("CPU", |it| it.governors = BTreeMap::new()), Severity::Ok);
        assert_eq!(severity("CPU", |it| it.cpus = 4), Severity::Note);
    }

    #[test]
    fn clocks() {
        let of = |synchronised, milliseconds| {
            let error_max = Duration::from_millis(milliseconds);
            severity("clock", |it| {
                it.clock =
                    Some(ClockQuality { synchronised, error_max, ..ClockQuality::default() });
            })
        };
        assert_eq!(of(true, 99), Severity::Ok);
        assert_eq!(of(true, 900), Severity::Warning);
        assert_eq!(of(false, 16_000), Severity::Warning);
        assert_eq!(severity("clock", |it| it.clock = None), Severity::Note);
    }

    #[test]
    fn disks() {
        let of = |topic, change: fn(&mut Disk)| {
            let mut disk = good_disk();
            change(&mut disk);
            severity(topic, |it| it.disk = Ok(disk))
        };
        assert_eq!(of("disk flush", |it| it.flush_worst = 120.0), Severity::Warning);
        assert_eq!(of("disk flush", |it| it.flush_worst = 700.0), Severity::Problem);
        assert_eq!(of("disk speed", |it| it.megabytes_per_second = 20.0), Severity::Warning);
        assert_eq!(of("disk space", |it| it.free_bytes = 1 << 30), Severity::Warning);
        assert_eq!(
            severity("disk", |it| it.disk = Err("Permission denied".into())),
            Severity::Problem
        );
    }
}
