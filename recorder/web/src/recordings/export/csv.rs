//! The list as CSV (RFC 4180): UTF-8, a header line, lines end with CR LF.
//!
//! A cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, or with a tab or carriage
//! return before such) gets an apostrophe in front, which spreadsheets take for "this is text". So `+4930123` stands
//! there as `'+4930123`.

use std::fmt::Write as _;

use crate::recordings::shape::{Column, Summary};

/// The header line.
pub(super) fn header(columns: &[Column]) -> String {
    line(columns.iter().map(|column| column.name()))
}

/// The line of a recording.
pub(super) fn row(summary: &Summary, columns: &[Column]) -> String {
    line(columns.iter().map(|column| cell(summary, *column)))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            line.push(',');
        }
        push(&mut line, &cell);
    }
    line.push_str("\r\n");
    line
}

fn push(line: &mut String, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if !formula && !cell.contains(['"', ',', '\r', '\n', ';']) {
        line.push_str(cell);
        return;
    }
    line.push('"');
    if formula {
        line.push('\'');
    }
    line.push_str(&cell.replace('"', "\"\""));
    line.push('"');
}

fn cell(of: &Summary, column: Column) -> String {
    match column {
        Column::Id => of.id.to_string(),
        Column::CallId => of.call_id.clone().unwrap_or_default(),
        Column::CallerPhoneNumber => of.caller_phone_number.clone(),
        Column::DialedPhoneNumber => of.dialed_phone_number.clone(),
        Column::StartTime => of.start_time.to_string(),
        Column::StopTime => of.stop_time.to_string(),
        Column::Duration => of.duration.to_string(),
        Column::Complete => of.complete.to_string(),
        Column::IncompleteReasons => of.incomplete_reasons.join("; "),
        Column::Direction => of.direction.map_or("", |it| it.name()).to_owned(),
        Column::Mos => of.mos.map_or_else(String::new, |mos| format!("{mos:.2}")),
        Column::Codecs => of.codecs.join("; "),
        Column::Labels => of.labels.join("; "),
        Column::Metadata => metadata(of),
        Column::NonDelete => of.non_delete.to_string(),
        Column::HasAudio => of.has_audio.to_string(),
        Column::Node => of.node.clone(),
    }
}

fn metadata(of: &Summary) -> String {
    let mut text = String::new();
    for (key, value) in &of.metadata {
        let separator = if text.is_empty() { "" } else { "; " };
        let _ = write!(text, "{separator}{key}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cell: &str) -> String {
        line(std::iter::once(cell.to_owned()))
    }

    #[test]
    fn nothing_that_a_spreadsheet_would_run_is_left_bare() {
        for (cell, expected) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\"\r\n"),
            ("+4930123", "\"'+4930123\"\r\n"),
            ("-1", "\"'-1\"\r\n"),
            ("@SUM(A1)", "\"'@SUM(A1)\"\r\n"),
            ("\t=1", "\"'\t=1\"\r\n"),
            ("\r=1", "\"'\r=1\"\r\n"),
            ("4930123", "4930123\r\n"),
            ("a,b", "\"a,b\"\r\n"),
            ("a;=b", "\"a;=b\"\r\n"),
            ("say \"x\"", "\"say \"\"x\"\"\"\r\n"),
            ("two\nlines", "\"two\nlines\"\r\n"),
            ("", "\r\n"),
        ] {
            assert_eq!(written(cell), expected, "{cell:?}");
        }
    }
}
