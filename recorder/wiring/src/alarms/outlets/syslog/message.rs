//! A syslog message (RFC 5424) that carries an alarm (RFC 5674).
//!
//! `<PRI>1 TIME HOST spanreel PID alarm-id [alarm ...][origin ...] text`: the id is the MSGID; the element `alarm` has
//! the names and severities of X.733; `origin` says which program and version. No enterprise number is needed.

use base::Timestamp;

use crate::alarms::text::printable;
use crate::alarms::{Change, Event, Severity};

/// Longest HOSTNAME (RFC 5424, 6.2.4).
const HOSTNAME_MAX: usize = 255;
/// What says that text is UTF-8 (RFC 5424, 6.4); plain ASCII goes without.
const BOM: &str = "\u{feff}";

/// Who sends.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    facility: u8,
    hostname: String,
    node: String,
    pid: u32,
}

impl Sender {
    /// `facility` is a number of RFC 5424, table 1.
    pub(crate) fn new(facility: u8, node: &str, pid: u32) -> Self {
        let printable = |c: &char| c.is_ascii_graphic();
        let mut hostname: String = node.chars().filter(printable).take(HOSTNAME_MAX).collect();
        if hostname.is_empty() {
            hostname.push('-');
        }
        Self { facility, hostname, node: node.to_owned(), pid }
    }

    /// The message for an event.
    pub(crate) fn message(&self, event: &Event) -> String {
        let alarm = &event.alarm;
        let (id, time) = (alarm.id, event.time());
        let priority = u16::from(self.facility) * 8 + u16::from(level(event));
        let perceived = match event.change {
            Change::Raised => id.severity().name(),
            Change::Cleared => "cleared",
        };
        let resource = format!("{}/{id}", self.node);
        let structured = element(
            "alarm",
            &[
                ("resource", &resource),
                ("probableCause", "other"),
                ("perceivedSeverity", perceived),
            ],
        ) + &element(
            "origin",
            &[("software", "spanreel"), ("swVersion", env!("CARGO_PKG_VERSION"))],
        );
        let Self { hostname, pid, .. } = self;
        let text = text(event, time);
        format!("<{priority}>1 {time} {hostname} spanreel {pid} {id} {structured} {text}")
    }
}

/// RFC 5674, 3: the severities of X.733 as those of syslog.
fn level(event: &Event) -> u8 {
    match (event.change, event.alarm.id.severity()) {
        (Change::Cleared, _) => 5,
        (Change::Raised, Severity::Critical) => 1,
        (Change::Raised, Severity::Major) => 2,
        (Change::Raised, Severity::Minor) => 3,
        (Change::Raised, Severity::Warning) => 4,
    }
}

fn text(event: &Event, time: Timestamp) -> String {
    let alarm = &event.alarm;
    let detail = printable(&alarm.detail);
    let text = match event.change {
        Change::Raised => format!("{detail}; {}", alarm.id.action()),
        Change::Cleared => {
            let seconds = time.since(alarm.raised).as_secs();
            format!("cleared after {seconds} s, came {} times: {detail}", alarm.count)
        }
    };
    if text.is_ascii() { text } else { format!("{BOM}{text}") }
}

/// An element of structured data (RFC 5424, 6.3). Names are ours and need no care.
pub(super) fn element(id: &str, parameters: &[(&str, &str)]) -> String {
    let parameters: String = parameters
        .iter()
        .map(|(name, value)| format!(" {name}=\"{}\"", escaped(&printable(value))))
        .collect();
    format!("[{id}{parameters}]")
}

/// RFC 5424, 6.3.3: a quotation mark, a backslash and a closing bracket are escaped, and nothing else.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
