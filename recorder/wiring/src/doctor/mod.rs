//! `spanreel doctor`: what this machine and this mirror port can do, and what is wrong.
//!
//! Facts first (`machine`, `disk`, [`capture::nic`], `listen` with its `observer`), then what they mean: the
//! `*_findings` modules are pure functions of the facts. It looks and listens only: nothing is sent, attached
//! or set, except for promiscuous mode while it listens, and a file without a name on the data folder's disk.

mod copies;
pub(crate) mod disk;
mod finding;
mod interface_findings;
mod listen;
pub(crate) mod machine;
mod machine_findings;
mod observer;
mod streams;
#[cfg(test)]
mod tests;
mod traffic_findings;

use anyhow::Result;
use capture::nic::Nic;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Data;
use crate::commands::Verdict;
use crate::output;
use finding::{Finding, Severity};
use machine::Machine;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel doctor\n  spanreel doctor eth1 --seconds 30\n\n\
                        The disk that is measured is that of the data folder. Ends 1 if something is found that keeps\n\
                        calls from being recorded.")]
pub(crate) struct Options {
    /// The interface that the mirror port is plugged into; without, only the machine is looked at.
    pub(crate) interface: Option<String>,
    /// How long to listen to its traffic; 0 for not at all.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(crate) seconds: u32,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Print the facts and findings as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// All that was found.
struct Report {
    findings: Vec<Finding>,
    machine: Value,
    interface: Option<Value>,
    traffic: Option<Value>,
}

/// Looks, listens, and prints what was found.
///
/// # Errors
/// There is no such interface, or it cannot be listened on.
pub(crate) fn run(arguments: &Options) -> Result<Verdict> {
    let report = examine(arguments)?;
    if arguments.json {
        output::line(report.as_json())?;
    } else {
        for finding in &report.findings {
            output::line(finding)?;
        }
        output::line(format_args!("\n{}", finding::summary(&report.findings)))?;
    }
    Ok(if report.worst() == Severity::Problem { Verdict::Bad } else { Verdict::Done })
}

fn examine(arguments: &Options) -> Result<Report> {
    let nic = arguments.interface.as_deref().map(Nic::find).transpose()?;
    let machine = Machine::look(&arguments.data.dir);
    let queues = nic.as_ref().map_or(1, Nic::queues_in_use);
    let findings = machine_findings::findings(&machine, queues);
    let mut report =
        Report { findings, machine: machine.as_json(), interface: None, traffic: None };
    let Some(nic) = nic else { return Ok(report) };
    let addresses = nic.link.addresses().unwrap_or_default();
    report.findings.extend(interface_findings::findings(&nic, &addresses));
    report.interface = Some(interface_findings::as_json(&nic, &addresses));
    // Whoever may not listen, or listens where nothing can come, has been told so.
    let may_listen = machine.missing_capabilities.is_empty() && nic.link.up;
    if arguments.seconds > 0 && may_listen {
        let traffic = listen::listen(&nic, arguments.seconds)?;
        report.findings.extend(traffic_findings::findings(&traffic));
        report.traffic = Some(traffic.as_json());
    }
    Ok(report)
}

impl Report {
    fn worst(&self) -> Severity {
        finding::worst(&self.findings)
    }

    fn as_json(&self) -> Value {
        json!({
            "machine": self.machine,
            "interface": self.interface,
            "traffic": self.traffic,
            "findings": self.findings,
            "worst": self.worst(),
        })
    }
}
