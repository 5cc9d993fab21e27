//! A finding: what is, what that means, what to do.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Recording works, but something will be worse than it could be, or may fail under load.
    Warning,
    /// Recording does not work, or calls will be missing.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What was looked at, in a word or two.
    pub(crate) topic: &'static str,
    /// What is.
    pub(crate) finding: String,
    /// What that means, where it is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meaning: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Finding {
    pub(crate) fn ok(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Ok, topic, finding)
    }

    pub(crate) fn note(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Note, topic, finding)
    }

    pub(crate) fn warning(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Warning, topic, finding)
    }

    pub(crate) fn problem(topic: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Problem, topic, finding)
    }

    fn new(severity: Severity, topic: &'static str, finding: impl Into<String>) -> Self {
        Self { severity, topic, finding: finding.into(), meaning: None, advice: None }
    }

    /// What it means.
    pub(crate) fn meaning(self, meaning: impl Into<String>) -> Self {
        Self { meaning: Some(meaning.into()), ..self }
    }

    /// What to do about it.
    pub(crate) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Where the text begins, after severity and topic, and where it ends on a terminal.
const INDENT: usize = 24;
const WIDTH: usize = 100;

/// A line, and more where there is something to say.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "WARNING",
            Severity::Problem => "PROBLEM",
        };
        write!(f, "{severity:<8} {:<14} ", self.topic)?;
        wrap(f, &self.finding)?;
        for (mark, text) in [("", &self.meaning), ("-> ", &self.advice)] {
            if let Some(text) = text {
                write!(f, "\n{:INDENT$}", "")?;
                wrap(f, &format!("{mark}{text}"))?;
            }
        }
        Ok(())
    }
}

/// The words of a text, in lines from the indent on. What is longer than a line (a path) is not broken.
fn wrap(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut column = INDENT;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > INDENT && column + 1 + length > WIDTH {
            write!(f, "\n{:INDENT$}", "")?;
            column = INDENT;
        }
        let gap = if column > INDENT { " " } else { "" };
        write!(f, "{gap}{word}")?;
        column += gap.len() + length;
    }
    Ok(())
}

/// The worst of them.
pub(crate) fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}

/// `3 problems, 1 warning`.
pub(crate) fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let words = [("problem", count(Severity::Problem)), ("warning", count(Severity::Warning))];
    let parts: Vec<String> = words
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() { "Nothing is wrong.".to_owned() } else { format!("{}.", parts.join(", ")) }
}

/// `part` of `whole` in percent, zero of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The finding on a topic.
    #[track_caller]
    pub(crate) fn on<'a>(findings: &'a [Finding], topic: &str) -> &'a Finding {
        let mut found = findings.iter().filter(|finding| finding.topic == topic);
        let finding = found.next().unwrap_or_else(|| panic!("nothing on {topic}: {findings:#?}"));
        assert_eq!(found.next(), None, "more on {topic}");
        finding
    }

    /// That what is wrong says what to do.
    pub(crate) fn assert_complete(findings: &[Finding]) {
        for finding in findings {
            let bad = finding.severity >= Severity::Warning;
            assert!(
                !bad || (finding.meaning.is_some() && finding.advice.is_some()),
                "{finding:#?}"
            );
        }
    }

    #[test]
    fn the_worst_counts_and_the_summary_adds_up() {
        let findings = [
            Finding::ok("a", ""),
            Finding::problem("b", ""),
            Finding::warning("c", ""),
            Finding::problem("d", ""),
        ];
        assert_eq!(worst(&findings), Severity::Problem);
        assert_eq!(summary(&findings), "2 problems, 1 warning.");
        assert_eq!(
            (worst(&[]), summary(&findings[..1])),
            (Severity::Ok, "Nothing is wrong.".into())
        );
    }

    #[test]
    fn a_finding_is_a_line_and_what_it_means_and_asks_for() {
        let finding = Finding::warning("clock", "not synchronised")
            .meaning("Times are off.")
            .advice("Do it.");
        let lines = [
            "WARNING  clock          not synchronised",
            "                        Times are off.",
            "                        -> Do it.",
        ];
        assert_eq!(finding.to_string(), lines.join("\n"));
        let long = Finding::note("disk", format!("{}end", "word ".repeat(20)));
        let lines: Vec<_> = long.to_string().lines().map(str::len).collect();
        assert_eq!(lines, [98, 52], "{long}");
    }
}
