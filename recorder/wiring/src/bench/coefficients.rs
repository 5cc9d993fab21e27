//! What one call costs, for each second that it lasts: the bridge from what was measured to what will be needed.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

/// Costs of a call with G.711 both ways, in packets of 20 ms.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coefficients {
    /// Where they are from.
    pub(super) source: String,
    /// CPU seconds of the recorder, finishing and sealing included, for each second of a call.
    pub(super) cpu_seconds: f64,
    /// Memory of a recorder without calls, KiB.
    pub(super) memory_start_kib: f64,
    /// Memory of each call at once, KiB.
    pub(super) memory_kib: f64,
    /// Bytes written to the disk, journal and recording, for each second of a call.
    pub(super) written_bytes: f64,
    /// Bytes that stay, for each second of a call.
    pub(super) stored_bytes: f64,
}

impl Coefficients {
    /// Those that docs/PERFORMANCE.md states ("Capacity").
    pub(super) fn stated() -> Self {
        Self {
            source: "docs/PERFORMANCE.md, measured on a busy machine; measure yours with `spanreel bench load \
                     --report FILE.html` and plan with --from FILE.json"
                .into(),
            cpu_seconds: 300e-6,
            memory_start_kib: 100.0 * 1_024.0,
            memory_kib: 225.0,
            written_bytes: 39_000.0,
            stored_bytes: 11_400.0,
        }
    }

    /// Of the largest load of a report that was passed: one over a wire, if there is any.
    ///
    /// # Errors
    /// It is no report, or no load of it was passed.
    pub(super) fn from_report(path: &Path) -> Result<Self> {
        let read =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Value = serde_json::from_slice(&read)
            .with_context(|| format!("{} is no report; give the .json one", path.display()))?;
        let trials = report.get("trials").and_then(Value::as_array).into_iter().flatten();
        let passed = trials.filter(|trial| {
            trial.pointer("/failures").and_then(Value::as_array).is_some_and(Vec::is_empty)
        });
        let best = passed.max_by_key(|trial| {
            let is_live = trial.pointer("/sent").is_some_and(|sent| !sent.is_null());
            (is_live, number(trial, "/workload/calls") as u64)
        });
        let trial = best.with_context(|| format!("no load in {} was passed", path.display()))?;
        Ok(Self::of(trial, path.display().to_string()))
    }

    fn of(trial: &Value, source: String) -> Self {
        let calls = number(trial, "/workload/calls").max(1.0);
        let call_seconds = calls * number(trial, "/workload/seconds").max(1.0);
        let stated = Self::stated();
        let start = number(trial, "/used/memoryStartKib");
        let grown = (number(trial, "/used/memoryPeakKib") - start).max(0.0) / calls;
        let known = start > 0.0;
        let written = number(trial, "/used/writtenBytes") / call_seconds;
        Self {
            source,
            cpu_seconds: number(trial, "/used/cpuSeconds") / call_seconds,
            memory_start_kib: if known { start } else { stated.memory_start_kib },
            memory_kib: if known { grown } else { stated.memory_kib },
            written_bytes: if written > 0.0 { written } else { stated.written_bytes },
            stored_bytes: number(trial, "/checked/bytes") / call_seconds,
        }
    }
}

fn number(value: &Value, at: &str) -> f64 {
    value.pointer(at).and_then(Value::as_f64).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_largest_load_that_was_passed_counts() {
        let trial = |calls: u32, failures: &[&str]| {
            json!({
                "workload": {"calls": calls, "seconds": 10}, "failures": failures, "sent": {"frames": 1},
                "used": {"cpuSeconds": 2.0, "memoryStartKib": 1000, "memoryPeakKib": 3000, "writtenBytes": 4_000_000},
                "checked": {"bytes": 2_000_000},
            })
        };
        let report =
            json!({"trials": [trial(100, &[]), trial(200, &[]), trial(400, &["dropped"])]});
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, report.to_string()).unwrap();
        let found = Coefficients::from_report(&path).unwrap();
        assert_eq!(
            found,
            Coefficients {
                source: path.display().to_string(),
                cpu_seconds: 0.001,
                memory_start_kib: 1_000.0,
                memory_kib: 10.0,
                written_bytes: 2_000.0,
                stored_bytes: 1_000.0,
            }
        );
        std::fs::write(&path, json!({"trials": [trial(1, &["lost"])]}).to_string()).unwrap();
        assert!(Coefficients::from_report(&path).is_err());
    }
}
