//! `/metrics`: what the recorder told, in Prometheus' text format (version 0.0.4), by its conventions: base units, counters
//! end in `_total`, no label that grows with the calls. Of a recorder that is silent nothing is told but that.

use std::fmt::{self, Display, Write as _};

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use crate::app::{Act, App};
use crate::auth::{Caller, Client, Right};
use crate::link::Latest;
use crate::link::status::Status;
use crate::problem::{Answer, Problem};

/// Of this format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const STATES: [&str; 4] = ["recording", "refusing", "blind", "stopping"];
const SEVERITIES: [&str; 4] = ["critical", "major", "minor", "warning"];
const DAY_SECONDS: f64 = 86_400.0;

/// For whoever may see the status, and for programs on this machine.
pub(crate) async fn metrics(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    caller: Option<Extension<Caller>>,
) -> Answer<Response> {
    match caller {
        Some(Extension(caller)) => app.allow(&caller, Right::SeeStatus, Act::See, "metrics")?,
        None if is_local(client, &headers) => {}
        None => return Err(Problem::not_logged_in()),
    }
    let text = exposition(&app.recorder().latest());
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Whether it comes from this machine, and not through a proxy on it.
fn is_local(client: Client, headers: &HeaderMap) -> bool {
    let by_proxy = ["forwarded", "x-forwarded-for", "via"];
    client.0.is_loopback() && !by_proxy.iter().any(|name| headers.contains_key(*name))
}

/// The whole text.
fn exposition(latest: &Latest) -> String {
    let mut text = Text::default();
    let status = latest.status.as_deref().filter(|_| latest.silent_since.is_none());
    text.gauge(
        "spanreel_up",
        "Whether the recorder tells its state: 0 means that nothing is known.",
    );
    text.value(&[], f64::from(u8::from(status.is_some())));
    if let Some(status) = status {
        state(&mut text, status);
        calls(&mut text, status);
        packets(&mut text, status);
        workers(&mut text, status);
        quality(&mut text, status);
        storage(&mut text, status);
        machine(&mut text, status);
        alarms(&mut text, status);
    }
    text.0
}

fn state(text: &mut Text, status: &Status) {
    text.gauge("spanreel_build_info", "Program and version, and the node's name.");
    text.value(&[("build", &status.build), ("node", &status.node)], 1.0);
    text.gauge("spanreel_recording_state", "1 for the state that the recorder is in.");
    for name in STATES {
        text.value(&[("state", name)], flag(status.recording.state == name));
    }
    text.gauge(
        "spanreel_recording_since_timestamp_seconds",
        "Since when the recorder is in its state.",
    );
    text.value(&[], seconds(status.recording.since));
    text.gauge("spanreel_recovering", "Whether what an earlier run left is being taken up.");
    text.value(&[], flag(status.recording.recovering));
    text.gauge("spanreel_interface_up", "Whether the interface has carrier.");
    text.value(&[("interface", &status.interface.name)], flag(status.interface.up));
    text.gauge("spanreel_status_timestamp_seconds", "When the recorder told its state last.");
    text.value(&[], seconds(status.time));
}

fn calls(text: &mut Text, status: &Status) {
    let calls = &status.calls;
    text.gauge("spanreel_calls_concurrent", "Calls that are up.");
    text.value(&[], calls.concurrent as f64);
    for (name, help, count) in [
        ("spanreel_calls_total", "Calls seen.", calls.seen),
        (
            "spanreel_calls_answered_total",
            "Calls answered, of those that are over.",
            calls.answered,
        ),
        ("spanreel_calls_refused_total", "Calls not recorded for want of room.", calls.refused),
        ("spanreel_recordings_total", "Recordings made.", calls.recorded),
        (
            "spanreel_recordings_incomplete_total",
            "Recordings made of which something is missing.",
            calls.incomplete,
        ),
        (
            "spanreel_calls_without_signalling_total",
            "Conversations kept whose signalling was not seen.",
            status.span.without_signalling,
        ),
        (
            "spanreel_listening_missed_packets_total",
            "Packets that were recorded, but that no listener got.",
            status.listening.missed,
        ),
    ] {
        text.counter(name, help);
        text.value(&[], count as f64);
    }
    text.gauge("spanreel_listeners", "Listeners to calls that are up.");
    text.value(&[], status.listening.listeners as f64);
    text.gauge("spanreel_streams_announced", "Streams that calls which are up have announced.");
    for codec in &status.codecs {
        text.value(&[("codec", &codec.name)], codec.streams as f64);
    }
    text.gauge("spanreel_flows_open", "Media flows that are open.");
    text.value(&[], status.traffic.streams as f64);
}

fn packets(text: &mut Text, status: &Status) {
    text.counter(
        "spanreel_packets_total",
        "Packets by stage and outcome; class dropped means lost.",
    );
    let rows = || status.ledger.rows.iter();
    for row in rows().filter(|row| !row.name.ends_with("_bytes")) {
        let labels = [("stage", &*row.stage), ("outcome", &*row.name), ("class", &*row.class)];
        text.value(&labels, row.count as f64);
    }
    text.counter("spanreel_received_bytes_total", "Bytes that the interface received.");
    for row in rows().filter(|row| row.stage == "interface" && row.name == "rx_bytes") {
        text.value(&[], row.count as f64);
    }
    text.counter("spanreel_packets_lost_total", "Packets lost, wherever.");
    text.value(&[], status.ledger.lost as f64);
}

fn workers(text: &mut Text, status: &Status) {
    for (name, help, value) in [
        (
            "spanreel_worker_load_ratio",
            "Share of its time that a capture thread works.",
            (|it| it.load) as fn(&crate::link::status::Worker) -> f64,
        ),
        ("spanreel_worker_ring_ratio", "Share in use of a capture thread's fullest ring.", |it| {
            it.ring
        }),
        ("spanreel_journal_memory_ratio", "Share of the journal's memory that is in use.", |it| {
            it.journal_memory
        }),
    ] {
        text.gauge(name, help);
        for worker in &status.workers {
            text.value(&[("queue", &worker.queue.to_string())], value(worker));
        }
    }
}

fn quality(text: &mut Text, status: &Status) {
    if let Some(mos) = status.quality.mos {
        text.gauge("spanreel_quality_mos", "Median MOS of the recordings of the last 15 minutes.");
        text.value(&[], mos);
    }
    for (name, help, share) in [
        (
            "spanreel_quality_loss_ratio",
            "Share of packets that never came, of recordings of the last 15 minutes.",
            status.quality.loss,
        ),
        (
            "spanreel_span_duplicates_ratio",
            "Share of packets that came more than once, over 15 minutes.",
            status.span.duplicates,
        ),
        (
            "spanreel_span_one_direction_ratio",
            "Share of recordings with one direction only, over 15 minutes.",
            status.span.one_direction,
        ),
        (
            "spanreel_span_without_media_ratio",
            "Share of answered calls without media, over 15 minutes.",
            status.span.without_media,
        ),
    ] {
        text.gauge(name, help);
        text.value(&[], share);
    }
}

fn storage(text: &mut Text, status: &Status) {
    let finishing = &status.finishing;
    text.gauge("spanreel_finishing_queue", "Ended calls that are not finished yet.");
    text.value(&[], finishing.queued as f64);
    text.gauge("spanreel_finishing_oldest_seconds", "How long the oldest of them has waited.");
    text.value(&[], finishing.oldest_seconds);
    text.gauge("spanreel_spooled_recordings", "Recordings that wait for their place.");
    text.value(&[], finishing.spooled as f64);
    for (name, help, value) in [
        (
            "spanreel_disk_size_bytes",
            "Size of a disk.",
            (|it| Some(it.total as f64)) as fn(&crate::link::status::Disk) -> Option<f64>,
        ),
        ("spanreel_disk_free_bytes", "Free space of a disk.", |it| Some(it.free as f64)),
        (
            "spanreel_disk_full_in_seconds",
            "How long the free space lasts at the pace of the last hours.",
            |it| it.days_left.map(|days| days * DAY_SECONDS),
        ),
        ("spanreel_disk_flush_seconds", "The slowest write and flush of the last minute.", |it| {
            it.latency.map(|milliseconds| milliseconds / 1e3)
        }),
        ("spanreel_disk_trouble", "Whether something is wrong with it.", |it| {
            Some(flag(it.trouble.is_some()))
        }),
    ] {
        text.gauge(name, help);
        for disk in &status.disks {
            if let Some(value) = value(disk) {
                text.value(&[("purpose", &disk.purpose)], value);
            }
        }
    }
    text.gauge("spanreel_catalog_up", "Whether the catalog takes recordings.");
    text.value(&[("kind", &status.catalog.kind)], flag(status.catalog.trouble.is_none()));
}

fn machine(text: &mut Text, status: &Status) {
    text.gauge("spanreel_clock_synchronised", "Whether a time service steers the clock.");
    text.value(&[], flag(status.clock.synchronised));
    text.gauge("spanreel_clock_error_max_seconds", "How far off the clock is at most.");
    text.value(&[], status.clock.error_max);
    text.gauge("spanreel_certificate_not_after_timestamp_seconds", "When a certificate expires.");
    for it in &status.certificates {
        let labels = [("purpose", &*it.purpose), ("subject", &*it.subject)];
        text.value(&labels, seconds(it.not_after));
    }
}

fn alarms(text: &mut Text, status: &Status) {
    text.gauge("spanreel_alarm", "1 for each alarm that is up (docs/ALARMS.md).");
    for alarm in &status.alarms {
        text.value(&[("id", &alarm.id), ("severity", &alarm.severity)], 1.0);
    }
    text.gauge("spanreel_alarms", "Alarms that are up, by severity.");
    for severity in SEVERITIES {
        let up = status.alarms.iter().filter(|alarm| alarm.severity == severity).count();
        text.value(&[("severity", severity)], up as f64);
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn seconds(time: base::Timestamp) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// The text, as it grows.
#[derive(Default)]
struct Text(String, &'static str);

impl Text {
    fn gauge(&mut self, name: &'static str, help: &str) {
        self.family(name, help, "gauge");
    }

    fn counter(&mut self, name: &'static str, help: &str) {
        self.family(name, help, "counter");
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) {
        self.1 = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A sample of the last family.
    fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        let name = self.1;
        self.write(format_args!("{name}{} {value}\n", Labels(labels)));
    }

    fn write(&mut self, words: fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.0.write_fmt(words);
    }
}

struct Labels<'a>(&'a [(&'a str, &'a str)]);

/// `{name="value",...}`: in values, backslash, quotation mark and line end are written with a backslash.
impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.0.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{before}{name}=\"{value}\"")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use base::Timestamp;

    use super::*;
    use crate::link::status::{Alarm, Certificate, Codec, Disk, LedgerRow, Worker};

    /// With one of everything.
    fn full() -> Status {
        let mut status = Status::default();
        status.recording.state = "recording".into();
        status.workers.push(Worker { queue: 3, load: 0.25, ..Worker::default() });
        status.codecs.push(Codec { name: "PC\"MA\\\n".into(), streams: 4 });
        status.quality.mos = Some(4.25);
        status.certificates.push(Certificate::default());
        status.alarms.push(Alarm {
            id: "disk_low".into(),
            severity: "minor".into(),
            ..Alarm::default()
        });
        let (days_left, latency) = (Some(1.0), Some(20.0));
        let purpose = "journal".into();
        status.disks.push(Disk { purpose, days_left, latency, ..Disk::default() });
        for name in ["rx_packets", "rx_bytes"] {
            let (stage, class) = ("interface".into(), "received".into());
            status.ledger.rows.push(LedgerRow {
                stage,
                name: name.into(),
                class,
                count: 7,
                per_second: 0.0,
            });
        }
        status
    }

    fn told(silent_since: Option<Timestamp>) -> String {
        let status = Some(Arc::new(full()));
        exposition(&Latest { status, came: Some(Timestamp::ZERO), silent_since })
    }

    fn names(text: &str) -> BTreeSet<&str> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    #[test]
    fn samples_have_their_labels_and_units() {
        let text = told(None);
        for line in [
            "spanreel_up 1",
            "spanreel_recording_state{state=\"recording\"} 1",
            "spanreel_recording_state{state=\"blind\"} 0",
            "spanreel_worker_load_ratio{queue=\"3\"} 0.25",
            "spanreel_streams_announced{codec=\"PC\\\"MA\\\\\\n\"} 4",
            "spanreel_disk_full_in_seconds{purpose=\"journal\"} 86400",
            "spanreel_disk_flush_seconds{purpose=\"journal\"} 0.02",
            "spanreel_packets_total{stage=\"interface\",outcome=\"rx_packets\",class=\"received\"} 7",
            "spanreel_received_bytes_total 7",
            "spanreel_alarm{id=\"disk_low\",severity=\"minor\"} 1",
            "spanreel_alarms{severity=\"critical\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(!text.contains("outcome=\"rx_bytes\""), "bytes are no packets");
    }

    #[test]
    fn every_family_has_help_and_type_once_and_counters_end_in_total() {
        let text = told(None);
        let families: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(names(&text).len(), families.len());
        assert_eq!(text.matches("# HELP ").count(), families.len());
        for family in families {
            let (name, kind) = family.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(!name.contains("milli") && !name.contains("percent"), "base units: {name}");
        }
    }

    #[test]
    fn of_a_silent_recorder_nothing_is_told_but_that() {
        let text = told(Some(Timestamp::ZERO));
        assert!(text.ends_with("spanreel_up 0\n"), "{text}");
        assert_eq!(names(&text).len(), 1);
    }

    /// Every name of ours in a file.
    fn used(file: &str) -> BTreeSet<String> {
        let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !of_name(c)).filter(|word| word.starts_with("spanreel_"));
        words.map(str::to_owned).collect()
    }

    #[test]
    fn the_dashboard_and_the_rules_name_what_there_is() {
        let (text, mut alarms) = (told(None), 0);
        for file in ["grafana-dashboard.json", "alert-rules.yml"] {
            for name in used(file) {
                assert!(names(&text).contains(&*name), "{file}: there is no {name}");
                alarms += 1;
            }
        }
        assert!(alarms > 20);
    }
}
