//! The facts about the machine, without judging them.

use std::collections::BTreeMap;
use std::path::Path;

use capture::nic::{Availability, ClockQuality, clock_quality, xdp_programs, xdp_sockets};
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use super::disk::{self, Disk};

/// What capturing needs, and its names.
const CAPABILITIES: [(CapabilitySet, &str); 4] = [
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
];

/// What is known of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The kernel's release, as `uname -r` says it.
    pub(crate) kernel: String,
    pub(crate) xdp_programs: Availability,
    pub(crate) xdp_sockets: Availability,
    /// Capabilities that capturing needs and this process does not have.
    pub(crate) missing_capabilities: Vec<&'static str>,
    /// Memory that this process may lock; `None` for any amount.
    pub(crate) memlock_bytes: Option<u64>,
    pub(crate) memory_available_bytes: u64,
    pub(crate) huge_page_bytes: u64,
    pub(crate) huge_pages_free: u64,
    pub(crate) cpus: u32,
    /// Frequency governors, and how many CPUs have each. Empty where the frequency is not Linux' to set.
    pub(crate) governors: BTreeMap<String, u32>,
    pub(crate) clock: Option<ClockQuality>,
    /// Of the data folder, or why that cannot be measured.
    pub(crate) disk: Result<Disk, String>,
}

impl Machine {
    /// Looks at it. Writes 8 MiB to `data`'s disk for a moment.
    pub(crate) fn look(data: &Path) -> Self {
        let memory = read("/proc/meminfo");
        let kibibytes = |name| field(&memory, name).unwrap_or(0).saturating_mul(1024);
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            xdp_programs: xdp_programs(),
            xdp_sockets: xdp_sockets(),
            missing_capabilities: missing_capabilities(),
            memlock_bytes: memlock(),
            memory_available_bytes: available_bytes(&memory),
            huge_page_bytes: kibibytes("Hugepagesize"),
            huge_pages_free: field(&memory, "HugePages_Free").unwrap_or(0),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
            governors: governors(),
            clock: clock_quality().ok(),
            disk: disk::measure(data).map_err(|error| format!("{}: {error}", data.display())),
        }
    }

    pub(crate) fn as_json(&self) -> Value {
        let disk = self.disk.as_ref().ok().map(|disk| {
            json!({
                "folder": disk.folder,
                "freeBytes": disk.free_bytes,
                "flushMedianMs": disk.flush_median,
                "flushWorstMs": disk.flush_worst,
                "megabytesPerSecond": disk.megabytes_per_second,
            })
        });
        json!({
            "kernel": self.kernel,
            "xdpPrograms": availability(&self.xdp_programs),
            "xdpSockets": availability(&self.xdp_sockets),
            "missingCapabilities": self.missing_capabilities,
            "memlockBytes": self.memlock_bytes,
            "memoryAvailableBytes": self.memory_available_bytes,
            "hugePageBytes": self.huge_page_bytes,
            "hugePagesFree": self.huge_pages_free,
            "cpus": self.cpus,
            "governors": self.governors,
            "clockSynchronised": self.clock.map(|clock| clock.synchronised),
            "clockErrorMaxMs": self.clock.map(|clock| clock.error_max.as_secs_f64() * 1e3),
            "disk": disk,
        })
    }
}

fn availability(of: &Availability) -> Value {
    match of {
        Availability::Available => json!("available"),
        Availability::NotPermitted => json!("notPermitted"),
        Availability::Missing => json!("missing"),
        Availability::Unknown(_) => json!("unknown"),
    }
}

fn missing_capabilities() -> Vec<&'static str> {
    let sets = rustix::thread::capabilities(None);
    let effective = sets.map_or(CapabilitySet::empty(), |sets| sets.effective);
    CAPABILITIES.iter().filter(|it| !effective.contains(it.0)).map(|it| it.1).collect()
}

/// What may be locked: any amount with `CAP_IPC_LOCK`, else what the limit says.
fn memlock() -> Option<u64> {
    let sets = rustix::thread::capabilities(None);
    if sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK)) {
        return None;
    }
    getrlimit(Resource::Memlock).current
}

fn governors() -> BTreeMap<String, u32> {
    let mut governors = BTreeMap::new();
    let Ok(folders) = std::fs::read_dir("/sys/devices/system/cpu") else { return governors };
    for folder in folders.flatten() {
        if let Ok(text) = std::fs::read_to_string(folder.path().join("cpufreq/scaling_governor")) {
            *governors.entry(text.trim().to_owned()).or_default() += 1;
        }
    }
    governors
}

/// Memory that can be had; 0 if the kernel does not say.
pub(crate) fn memory_available_bytes() -> u64 {
    available_bytes(&read("/proc/meminfo"))
}

fn available_bytes(memory: &str) -> u64 {
    field(memory, "MemAvailable").unwrap_or(0).saturating_mul(1024)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name in `/proc/meminfo`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_name() {
        let text =
            "MemTotal:       24563712 kB\nMemAvailable:   22000000 kB\nHugePages_Free:       12\n";
        assert_eq!(field(text, "MemAvailable"), Some(22_000_000));
        assert_eq!(field(text, "HugePages_Free"), Some(12));
        assert_eq!(field(text, "Mem"), None);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::look(folder.path());
        assert!(
            machine.cpus > 0 && machine.memory_available_bytes > 0 && !machine.kernel.is_empty()
        );
        assert_eq!(machine.disk.as_ref().unwrap().folder, folder.path());
        let json = machine.as_json();
        assert_eq!(json["kernel"], machine.kernel.as_str());
        assert!(
            json["disk"]["flushMedianMs"].as_f64().is_some_and(|median| median > 0.0),
            "{json}"
        );
    }
}
