//! What a recording tells beside its sound: holds, keys, direction, quality over time.

use std::path::{Path, PathBuf};

use base::Side;
use base::recording::{Direction, Mark, MarkKind, Recording};
use tempfile::TempDir;

use crate::expected;
use crate::harness::{Data, run, synth};

fn capture(name: &str) -> Option<PathBuf> {
    let file = expected::folder()?.join("files").join(name);
    assert!(file.exists(), "{} is not among the captures", file.display());
    Some(file)
}

/// The recordings of a capture, replayed with more arguments.
fn replayed(capture: &Path, arguments: &[&str]) -> Vec<Recording> {
    let data = Data::new();
    let (capture, out) = (capture.to_str().expect("UTF-8"), data.path());
    let mut all = vec!["replay", capture, "--out", out.to_str().expect("UTF-8")];
    all.extend(arguments);
    run(&all).ok();
    data.list()
}

fn keys(recording: &Recording) -> String {
    let keys = recording.marks.iter().filter(|mark| mark.kind == MarkKind::Dtmf);
    keys.map(|mark| mark.value.as_deref().unwrap_or_default()).collect()
}

#[test]
fn keys_of_a_real_call_are_told_and_masked_unless_asked_for() {
    let Some(file) = capture("NormB__sipnab/tests__pcap-samples__SIP_DTMF2.cap") else {
        return println!("skipped: no captures (set SPANREEL_CAPTURES to their folder)");
    };
    for (arguments, wanted) in [(&[][..], "???????"), (&["--dtmf", "keep"], "6789123")] {
        let recordings = replayed(&file, arguments);
        let told: Vec<String> = recordings.iter().map(keys).filter(|it| !it.is_empty()).collect();
        assert_eq!(told, [wanted]);
        let call = recordings.iter().find(|it| !it.marks.is_empty()).expect("found above");
        let inside = |mark: &Mark| (call.start_time..call.stop_time).contains(&mark.time);
        assert!(call.marks.iter().all(inside) && call.marks.is_sorted_by_key(|it| it.time));
    }
}

#[test]
fn holds_of_a_real_call_are_told() {
    let Some(file) = capture("xzuzula__MTAA-SIP-Proxy/PCAP_trace__presmerovanie_hovoru.pcap")
    else {
        return println!("skipped: no captures (set SPANREEL_CAPTURES to their folder)");
    };
    let recordings = replayed(&file, &[]);
    let call = recordings.iter().find(|it| it.call_id.as_deref() == Some("r4H44v0Phg"));
    let marks = &call.expect("the call is recorded").marks;
    let told: Vec<_> = marks.iter().map(|it| (it.kind, it.side, it.time.to_string())).collect();
    let at = |time: &str| time.to_owned();
    assert_eq!(
        told,
        [
            (MarkKind::Hold, Side::Callee, at("2022-02-26T16:22:28.882864Z")),
            (MarkKind::Resume, Side::Callee, at("2022-02-26T16:22:58.161669Z")),
        ]
    );
}

#[test]
fn direction_and_quality_over_time() {
    let folder = TempDir::new().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "2", "--seconds", "25", "--loss", "3"]);
    for (own, direction) in [
        (&["--own", "+1601*"][..], Some(Direction::Inbound)),
        (&["--own", "+1201555????", "--own", "100"], Some(Direction::Outbound)),
        (&["--own", "*@10.*", "--own", "*@172.16.*"], Some(Direction::Internal)),
        (&["--own", "100"], Some(Direction::Unknown)),
        (&[], None),
    ] {
        let recordings = replayed(&capture, own);
        assert_eq!(recordings.len(), 2);
        assert!(recordings.iter().all(|it| it.direction == direction), "{own:?}");
        for stream in recordings.iter().flat_map(|it| &it.streams) {
            assert!((2..=3).contains(&stream.quality.len()), "{:?}", stream.quality);
            assert_eq!(stream.quality[0].time, stream.start_time);
            assert_eq!(stream.quality.iter().map(|it| it.lost).sum::<u64>(), stream.lost);
            let scores: Vec<f64> = stream.quality.iter().filter_map(|it| it.mos).collect();
            let lowest = scores.iter().copied().fold(5.0, f64::min);
            let whole = stream.mos.expect("G.711 has a score");
            assert!(scores.len() == stream.quality.len() && lowest <= whole + 0.001, "{scores:?}");
        }
    }
}
