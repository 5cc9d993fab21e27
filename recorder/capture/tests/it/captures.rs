//! Real captures: every one is read to its end, with the packets, link types and times that Wireshark finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::Timestamp;
use capture::{CaptureError, FileSource, LinkType, Merged, Poll, Source};

use crate::seen::drain;

/// The folder of captures, or `None`, said plainly.
fn captures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var_os("SPANREEL_CAPTURES").map_or_else(|| beside.into(), PathBuf::from);
    if folder.join("catalog.tsv").is_file() {
        return Some(folder);
    }
    println!("SKIPPED: no captures at {}; 0 files ran (set SPANREEL_CAPTURES)", folder.display());
    None
}

/// A row of the catalog that is a capture.
struct Row {
    path: String,
    link: String,
    packets: u64,
}

fn rows(folder: &Path) -> Vec<Row> {
    let catalog = std::fs::read_to_string(folder.join("catalog.tsv")).unwrap();
    let mut lines = catalog.lines();
    let titles: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |title: &str| titles.iter().position(|other| *other == title).unwrap();
    let (path, kind, link, packets) =
        (column("path"), column("kind"), column("linktype"), column("packets"));
    lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| fields[kind] == "capture")
        .map(|fields| Row {
            path: fields[path].to_owned(),
            link: fields[link].to_owned(),
            packets: fields[packets].parse().unwrap(),
        })
        .collect()
}

/// The link types that a file may have, by the name that Wireshark gives its encapsulation.
fn links(name: &str) -> &'static [LinkType] {
    match name {
        "ether" | "erf" => &[LinkType::Ethernet],
        "linux-sll" => &[LinkType::LinuxCooked],
        "linux-sll2" => &[LinkType::LinuxCookedV2],
        "null" => &[LinkType::Null],
        "rawip" => &[LinkType::RawIp],
        "ppp" => &[LinkType::Other(9)],
        "per-packet" => {
            &[LinkType::Ethernet, LinkType::LinuxCooked, LinkType::Null, LinkType::RawIp]
        }
        other => panic!("a link type new to this test: {other}"),
    }
}

/// What `capinfos` found: earliest and latest packet, as far as its digits go, and what is wrong with it.
fn expected(folder: &Path, row: &Row) -> [String; 3] {
    let name = format!("expected/{}.json", row.path.replace('/', "__"));
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    ["first", "last", "error"].map(|which| expected["capinfos"][which].as_str().unwrap().to_owned())
}

/// One of the captures was cut off when it was made.
fn only_cut_off(errors: &[CaptureError]) -> bool {
    errors.iter().all(|error| matches!(error, CaptureError::TruncatedFile { .. }))
}

/// As `1700000000.123456`, with as many digits as `like` has.
fn seconds(time: Timestamp, like: &str) -> String {
    let (seconds, nanos) = (time.as_nanos() / 1_000_000_000, time.as_nanos() % 1_000_000_000);
    format!("{seconds}.{nanos:09}").chars().take(like.len()).collect()
}

#[test]
fn every_capture_has_the_packets_links_and_times_that_wireshark_finds() {
    let Some(folder) = captures() else { return };
    let rows = rows(&folder);
    let mut ran: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for row in &rows {
        let mut source = FileSource::open(&folder.join("files").join(&row.path)).unwrap();
        let (frames, errors) = drain(&mut source);
        let [first, last, error] = expected(&folder, row);
        assert_eq!(errors.is_empty(), error.is_empty(), "{}: {errors:?}, not {error}", row.path);
        assert!(only_cut_off(&errors), "{errors:?}");
        assert_eq!(frames.len() as u64, row.packets, "{}", row.path);
        let allowed = links(&row.link);
        let strange = frames.iter().find(|frame| !allowed.contains(&frame.link));
        assert!(strange.is_none(), "{}: {strange:?}", row.path);
        let times = || frames.iter().map(|frame| frame.time);
        assert_eq!(seconds(times().min().unwrap(), &first), first, "{}", row.path);
        assert_eq!(seconds(times().max().unwrap(), &last), last, "{}", row.path);
        let (files, packets) = ran.entry(&row.link).or_default();
        *files += 1;
        *packets += row.packets;
    }
    assert!(rows.len() > 100, "the catalog lists captures");
    for (link, (files, packets)) in ran {
        println!("{link:>12}: {files} files, {packets} packets as expected");
    }
    println!("{} captures ran, 0 skipped", rows.len());
}

/// All of them as one source: nothing is lost, the order holds, and few files are open at once.
#[test]
fn all_captures_merged_hold_every_packet() {
    let Some(folder) = captures() else { return };
    let rows = rows(&folder);
    let paths: Vec<_> = rows.iter().map(|row| folder.join("files").join(&row.path)).collect();
    let mut merged = Merged::open(&paths).unwrap_or_else(|error| panic!("{error}"));
    let (frames, errors) = drain(&mut merged);
    assert!(only_cut_off(&errors), "{errors:?}");
    assert_eq!(frames.len() as u64, rows.iter().map(|row| row.packets).sum::<u64>());
    println!("{} captures merged to {} packets", rows.len(), frames.len());
}

/// Reading says how far it is, and gets to the end of the file.
#[test]
fn progress_grows_to_the_size_of_the_file() {
    let Some(folder) = captures() else { return };
    for row in rows(&folder) {
        let path = folder.join("files").join(&row.path);
        let size = std::fs::metadata(&path).unwrap().len();
        let mut source = FileSource::open(&path).unwrap();
        let mut last = 0;
        while !matches!(source.poll(&mut |_| ()), Ok(Poll::End)) {
            let progress = source.progress();
            assert!(progress.read_bytes >= last && progress.total_bytes == Some(size));
            last = progress.read_bytes;
        }
        let index_is_not_read = row.path.ends_with("c07-sip-r2.cap");
        assert!(index_is_not_read || source.progress().read_bytes == size, "{}", row.path);
    }
}
