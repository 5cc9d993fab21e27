//! What the shared captures hold, as published with them: `catalog.tsv` and `expected/*.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base::Timestamp;
use serde::Deserialize;

/// A row of the catalog, and the answers for its file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) link: String,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) answers: Answers,
}

#[derive(Deserialize)]
pub(crate) struct Answers {
    pub(crate) capinfos: Capinfos,
    pub(crate) calls: Vec<Call>,
    /// Those that tshark could match with an SDP.
    pub(crate) rtp_streams: Vec<Stream>,
}

#[derive(Deserialize)]
pub(crate) struct Capinfos {
    /// What `capinfos` found wrong with the file; empty if nothing.
    pub(crate) error: String,
}

#[derive(Deserialize)]
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) invite_time: Option<f64>,
    pub(crate) answered: bool,
    pub(crate) answer_time: Option<f64>,
    pub(crate) end_time: Option<f64>,
    pub(crate) end_by: Option<String>,
    pub(crate) sdp: Vec<Sdp>,
}

#[derive(Deserialize)]
pub(crate) struct Sdp {
    pub(crate) msg: String,
    pub(crate) src: String,
    pub(crate) conn: Vec<String>,
    pub(crate) media: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Stream {
    pub(crate) ssrc: String,
    pub(crate) src: String,
    pub(crate) dst: String,
    pub(crate) unique: u64,
    pub(crate) lost: i64,
    pub(crate) first_time: f64,
    pub(crate) last_time: f64,
    pub(crate) payload_types: BTreeMap<u8, Payload>,
    #[serde(default)]
    pub(crate) call_ids: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Payload {
    pub(crate) name: Option<String>,
    pub(crate) payload_sha256: Option<String>,
}

impl Payload {
    pub(crate) fn is_g711(&self) -> bool {
        self.name.as_deref().is_some_and(|name| name.contains("G.711"))
    }
}

impl Case {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.tags.contains(tag)
    }
}

/// Seconds since the epoch, to the microsecond.
pub(crate) fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_nanos((seconds * 1e6).round() as u64 * 1_000)
}

/// Where the captures are, if they are there.
pub(crate) fn folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");
    let folder =
        std::env::var_os("SPANREEL_CAPTURES").map_or_else(|| default.into(), PathBuf::from);
    folder.join("catalog.tsv").is_file().then_some(folder)
}

/// Every capture of the catalog.
pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let catalog = catalog(folder);
    let rows = rows(&catalog);
    rows.filter(|row| row["kind"] == "capture").map(|row| case(folder, &row)).collect()
}

/// Every file of the catalog that holds one SIP message, or something like it.
pub(crate) fn texts(folder: &Path) -> Vec<PathBuf> {
    let catalog = catalog(folder);
    let texts = rows(&catalog).filter(|row| row["kind"] == "text");
    texts.map(|row| folder.join("files").join(row["path"])).collect()
}

fn catalog(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("catalog.tsv")).expect("the catalog is readable")
}

/// Values by column name.
fn rows(catalog: &str) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    let mut lines = catalog.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().expect("the catalog has a header");
    lines.map(move |line| header.iter().copied().zip(line).collect())
}

fn case(folder: &Path, row: &BTreeMap<&str, &str>) -> Case {
    let name = row["path"].to_owned();
    let answers = folder.join("expected").join(format!("{}.json", name.replace('/', "__")));
    let answers = std::fs::read(&answers).unwrap_or_else(|e| panic!("{}: {e}", answers.display()));
    Case {
        path: folder.join("files").join(&name),
        link: row["linktype"].to_owned(),
        tags: row["tags"].split(' ').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        answers: serde_json::from_slice(&answers).unwrap_or_else(|e| panic!("{name}: {e}")),
        name,
    }
}
