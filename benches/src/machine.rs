//! What a figure was measured on.

use std::fs;

/// Processor, CPUs, kernel, in a line.
#[must_use]
pub fn described() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = rustix::system::uname();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    let (cpus, release) = (crate::cpu::count(), kernel.release().to_string_lossy());
    format!("{model}, {cpus} CPUs, Linux {release}, load {load}")
}
