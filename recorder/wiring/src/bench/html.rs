//! A report as one page: no scripts, nothing loaded from anywhere, curves as inline SVG.

use std::fmt::Write as _;

use serde_json::Value;

use super::disk::{Latency, Sustained};
use super::load;
use super::multiply::Multiplied;
use super::report::Report;
use super::search::Found;
use super::trial::Trial;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2430}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d8dee6;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.ok{color:#0a6b35}.bad{color:#b3261e}\
small{color:#5b6675}svg{max-width:100%}pre{white-space:pre-wrap;font-size:12px;background:#f4f6f9;padding:.8rem}";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut body = String::new();
    head(&mut body, report);
    report.replay.iter().for_each(|found| multiplied(&mut body, found));
    report.search.iter().for_each(|found| searched(&mut body, found));
    if !report.trials.is_empty() {
        loads(&mut body, &report.trials);
        body.push_str(&overload(&report.trials));
        behaviour(&mut body, &report.trials);
        if let Some(trial) = chosen(&report.trials) {
            details(&mut body, trial);
        }
    }
    report.disk.iter().for_each(|disk| sustained(&mut body, disk));
    section(&mut body, "Machine, as spanreel doctor sees it");
    let machine = serde_json::to_string_pretty(&report.machine).unwrap_or_default();
    push(&mut body, format_args!("<pre>{}</pre>", escaped(&machine)));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Spanreel bench {kind}</title><style>{STYLE}</style><body>{body}</body></html>\n",
        kind = escaped(report.kind)
    )
}

fn head(to: &mut String, report: &Report) {
    let cpus = report.machine.get("cpus").and_then(Value::as_u64).unwrap_or(0);
    let kernel = report.machine.get("kernel").and_then(Value::as_str).unwrap_or("?");
    push(to, format_args!("<h1>spanreel bench {}</h1><table>", escaped(report.kind)));
    for (name, told) in [
        ("when", report.time.to_string()),
        ("program", format!("{}, SHA-256 {}", report.build, report.program_sha256)),
        ("command", report.command.join(" ")),
        ("machine", format!("{}, {cpus} CPUs, Linux {kernel}", report.processor)),
    ] {
        push(to, format_args!("<tr><th>{name}<td>{}", escaped(&told)));
    }
    to.push_str("</table>");
}

fn multiplied(to: &mut String, found: &Multiplied) {
    section(to, "A capture multiplied");
    push(to, format_args!("<pre>{}</pre>", escaped(&found.told())));
    push(to, format_args!("<p>SHA-256 of the capture: {}</p>", escaped(&found.corpus_sha256)));
    let ledger = serde_json::to_string_pretty(&found.ledger).unwrap_or_default();
    push(
        to,
        format_args!("<details><summary>Ledger</summary><pre>{}</pre></details>", escaped(&ledger)),
    );
}

fn searched(to: &mut String, found: &Found) {
    section(to, "Lossless maximum");
    push(
        to,
        format_args!("<p><b>{} calls at once</b>, two trials, nothing lost.", found.lossless_calls),
    );
    if let Some(failing) = found.failing_calls {
        push(to, format_args!(" {failing} fail: {}.", escaped(&found.failures.join("; "))));
    }
    for left in &found.left_out {
        push(to, format_args!(" Left out: {}.", escaped(left)));
    }
    push(to, format_args!(" {:.0} s.</p>", found.seconds));
}

/// What the loads that were not passed came to.
fn behaviour(to: &mut String, trials: &[Trial]) {
    section(to, "Failure behaviour");
    let failed: Vec<_> = trials.iter().filter(|trial| !trial.is_passed()).collect();
    if failed.is_empty() {
        to.push_str("<p>No load failed.</p>");
    }
    for trial in failed {
        push(to, format_args!("<p>{}</p>", escaped(&trial.failure_behaviour())));
    }
}

/// The largest load that was passed, or else the smallest.
fn chosen(trials: &[Trial]) -> Option<&Trial> {
    let passed = trials.iter().filter(|trial| trial.is_passed());
    let most = passed.max_by_key(|trial| trial.workload.calls);
    most.or_else(|| trials.iter().min_by_key(|trial| trial.workload.calls))
}

fn loads(to: &mut String, trials: &[Trial]) {
    section(to, "Loads, in the order of measuring");
    to.push_str(
        "<table><tr><th class=n>calls<th class=n>seconds<th class=n>exact<th class=n>refused<th class=n>incomplete\
         <th class=n>CPU s<th class=n>calls a CPU<th class=n>KiB a call<th class=n>load<th>verdict",
    );
    for trial in trials {
        let each = trial.memory_per_call_kib.map_or("-".into(), |it| format!("{it:.1}"));
        push(
            to,
            format_args!(
                "<tr><td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{:.2}\
                 <td class=n>{:.0}<td class=n>{each}<td class=n>{:.1}<td class={}>{}",
                trial.workload.calls,
                trial.workload.seconds,
                trial.checked.exact,
                trial.refused,
                trial.checked.incomplete,
                trial.used.cpu_seconds,
                trial.calls_per_core,
                trial.load_average,
                if trial.is_passed() { "ok" } else { "bad" },
                escaped(&verdict(trial)),
            ),
        );
    }
    to.push_str(
        "</table><p><small>Exact: one recording, every sample of each side on its channel and nothing else there. \
         Calls a CPU: seconds of calls for each CPU second of the recorder. Load: what wanted a CPU when it began; \
         above a quarter of the CPUs, the machine was busy with other work, and limits are lower than they would \
         be.</small></p>",
    );
}

fn verdict(trial: &Trial) -> String {
    if trial.is_passed() { "passed".into() } else { trial.failures.join("; ") }
}

fn details(to: &mut String, trial: &Trial) {
    section(to, &format!("{} calls in detail", trial.workload.calls));
    to.push_str("<table>");
    let told = [
        ("interface", trial.interface.clone()),
        ("capture, driver mode", trial.capture.clone()),
        ("configuration", trial.configuration.clone()),
        ("workload", serde_json::to_string(&trial.workload).unwrap_or_default()),
        ("corpus", format!("SHA-256 {}", trial.corpus_sha256)),
        ("written", format!("{:.1} MB", trial.used.written_bytes as f64 / 1e6)),
        ("stored", format!("{:.1} MB", trial.checked.bytes as f64 / 1e6)),
        (
            "sides against each other",
            format!("{:.1} ms off at worst", trial.checked.alignment_worst_ms),
        ),
    ];
    for (name, told) in told.into_iter().chain(load::resources(trial)) {
        push(to, format_args!("<tr><th>{name}<td>{}", escaped(&told)));
    }
    to.push_str("</table>");
    let ledger = serde_json::to_string_pretty(&trial.ledger).unwrap_or_default();
    push(
        to,
        format_args!("<details><summary>Ledger</summary><pre>{}</pre></details>", escaped(&ledger)),
    );
}

fn sustained(to: &mut String, disk: &Sustained) {
    section(to, "Disk, in the journal's pattern");
    push(
        to,
        format_args!(
            "<table><tr><th>folder<td>{}<tr><th>durable<td>{:.0} MB/s from {} writers<tr><th>carries<td>{} calls",
            escaped(&disk.folder.display().to_string()),
            disk.megabytes_per_second,
            disk.writers,
            disk.calls
        ),
    );
    for (name, Latency { p50_ms, p99_ms, max_ms }) in [("write", disk.write), ("flush", disk.flush)]
    {
        push(
            to,
            format_args!(
                "<tr><th>{name}<td>p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.2} ms"
            ),
        );
    }
    to.push_str("</table>");
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 50.0;

/// What a curve shows of a load.
type Count = fn(&Trial) -> u64;

/// How many calls of each load were exact, and how many were recorded with gaps, in percent of the load. Nothing of
/// one load alone.
fn overload(trials: &[Trial]) -> String {
    let mut points: Vec<&Trial> = trials.iter().collect();
    points.sort_by_key(|trial| trial.workload.calls);
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let most = f64::from(last.workload.calls);
    if first.workload.calls == last.workload.calls {
        return String::new();
    }
    let place = |trial: &Trial, count: u64| {
        let calls = f64::from(trial.workload.calls);
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * calls / most;
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (count as f64 / calls).min(1.0);
        (x, y)
    };
    let mut svg = format!(
        "<h2>Overload curve</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"Calls recorded by load\">\
         <path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=none stroke=#8a94a3 />\
         <text x=4 y={MARGIN} font-size=12>100 %</text><text x=4 y={bottom} font-size=12>0</text>\
         <text x={right} y={below} font-size=12 text-anchor=end>{most} calls</text>",
        bottom = HEIGHT - MARGIN,
        right = WIDTH - MARGIN,
        below = HEIGHT - MARGIN + 18.0,
    );
    let counts: [(_, _, Count); 3] = [
        ("exact", "#0a6b35", |trial| trial.checked.exact),
        ("incomplete", "#b3261e", |trial| trial.checked.incomplete),
        ("refused", "#8a6d00", |trial| trial.refused),
    ];
    for (number, (name, colour, count)) in counts.into_iter().enumerate() {
        let places: Vec<_> = points.iter().map(|trial| place(trial, count(trial))).collect();
        let line: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        push(
            &mut svg,
            format_args!(
                "<polyline points=\"{}\" fill=none stroke={colour} stroke-width=2 />",
                line.join(" ")
            ),
        );
        for ((x, y), trial) in places.iter().zip(&points) {
            push(
                &mut svg,
                format_args!(
                    "<circle cx={x:.1} cy={y:.1} r=3 fill={colour}><title>{} calls: {} {name}</title></circle>",
                    trial.workload.calls,
                    count(trial)
                ),
            );
        }
        let x = MARGIN + 10.0 + 110.0 * number as f64;
        push(&mut svg, format_args!("<text x={x} y=24 font-size=13 fill={colour}>{name}</text>"));
    }
    svg.push_str("</svg>");
    svg
}

fn section(to: &mut String, title: &str) {
    push(to, format_args!("<h2>{}</h2>", escaped(title)));
}

fn push(to: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = to.write_fmt(what);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_is_text() {
        assert_eq!(escaped("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
