//! Recordings as text for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use base::recording::{Recording, Stream};

/// The heading that belongs to [`line`].
pub(crate) const HEADING: &str =
    "ID                                    START (UTC)          DURATION  CALLER -> CALLEE";

/// One recording in one line.
pub(crate) fn line(recording: &Recording) -> String {
    let start = recording.start_time.to_string();
    let start = start.get(..19).unwrap_or(&start).replace('T', " ");
    let parties = format!(
        "{} -> {}",
        printable(&recording.caller_phone_number),
        printable(&recording.dialed_phone_number)
    );
    let remark = remark(recording);
    format!("{}  {start}  {:>8}  {parties}{remark}", recording.id, clock(recording.duration))
}

fn remark(recording: &Recording) -> String {
    let mut remarks = Vec::new();
    if recording.call_id.is_none() {
        remarks.push("no signalling".to_owned());
    }
    if !recording.complete {
        remarks.push(format!("INCOMPLETE: {}", recording.incomplete_reasons.join("; ")));
    }
    if remarks.is_empty() { String::new() } else { format!("  [{}]", remarks.join(", ")) }
}

/// Everything about one recording.
pub(crate) fn page(recording: &Recording) -> String {
    let mut page = String::new();
    head(&mut page, recording);
    media(&mut page, recording);
    streams(&mut page, recording);
    gaps(&mut page, recording);
    ladder(&mut page, recording);
    page
}

fn head(page: &mut String, recording: &Recording) {
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<11}{}", printable(value));
        }
    };
    row("id", &recording.id.to_string());
    row("caller", recording.from.as_deref().unwrap_or(&recording.caller_phone_number));
    row("callee", recording.to.as_deref().unwrap_or(&recording.dialed_phone_number));
    row("dialled", &recording.dialed_phone_number);
    row("Call-ID", recording.call_id.as_deref().unwrap_or("none: its signalling was not seen"));
    row("start", &recording.start_time.to_string());
    row("answer", &recording.answer_time.map(|t| t.to_string()).unwrap_or_default());
    row("stop", &format!("{} ({})", recording.stop_time, recording.end_reason));
    row("duration", &clock(recording.duration));
    row("complete", if recording.complete { "yes" } else { "NO" });
    for reason in &recording.incomplete_reasons {
        row("", reason);
    }
    row("recorded", &format!("by {} with {}", recording.node, recording.build));
}

fn media(page: &mut String, recording: &Recording) {
    let _ = writeln!(page, "\nMEDIA FILES");
    for file in &recording.media_files {
        let _ = writeln!(
            page,
            "  {:<24} {:<24} {}  {:>9}  {} bytes",
            file.path,
            file.media_type,
            file.start_time,
            clock(file.duration),
            file.size
        );
    }
    if recording.media_files.is_empty() {
        let _ = writeln!(page, "  none");
    }
}

fn streams(page: &mut String, recording: &Recording) {
    let _ = writeln!(page, "\nSTREAMS");
    for stream in &recording.streams {
        let _ = writeln!(
            page,
            "  {:?} {} -> {} {} {}: {} packets, {} lost, {} duplicate, {} late, jitter {:.1} ms{}; {}",
            stream.side,
            stream.source,
            stream.destination,
            stream.ssrc,
            printable(&stream.codec),
            stream.packets,
            stream.lost,
            stream.duplicates,
            stream.late,
            stream.jitter,
            mos(stream),
            printable(&stream.state)
        );
    }
}

fn mos(stream: &Stream) -> String {
    stream.mos.map_or_else(String::new, |mos| format!(", MOS {mos:.1}"))
}

fn gaps(page: &mut String, recording: &Recording) {
    if recording.gaps.is_empty() {
        return;
    }
    let _ = writeln!(page, "\nGAPS");
    for gap in &recording.gaps {
        let packets = gap.packets.map_or_else(String::new, |n| format!(", {n} packets"));
        let _ = writeln!(
            page,
            "  {:?} {} {:.3} ms{packets}: {}",
            gap.side, gap.start_time, gap.duration, gap.reason
        );
    }
}

fn ladder(page: &mut String, recording: &Recording) {
    let _ = writeln!(page, "\nSIP");
    for message in &recording.messages {
        let offset = message.time.since(recording.start_time).as_secs_f64();
        let sdp = if message.sdp { " (SDP)" } else { "" };
        let again = if message.retransmission { " [again]" } else { "" };
        let _ = writeln!(
            page,
            "  {offset:>10.3}  {} -> {}  {}{sdp}{again}",
            message.source,
            message.destination,
            printable(&message.start_line)
        );
    }
}

/// `1:02:03` or `2:03`, with tenths below a minute.
pub(crate) fn clock(milliseconds: u64) -> String {
    let seconds = Duration::from_millis(milliseconds).as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// What came off the wire must not steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!(clock(8_450), "8.4 s");
        assert_eq!(clock(123_000), "2:03");
        assert_eq!(clock(3_723_000), "1:02:03");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
