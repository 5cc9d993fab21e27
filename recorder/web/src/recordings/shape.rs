//! What is answered.

use std::collections::BTreeMap;

use base::recording::{Direction, MediaFile, Recording};
use base::{RecordingId, Timestamp};
use serde::{Deserialize, Serialize};
use store::catalog::Annotations;
use utoipa::ToSchema;

/// A line of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// UUID version 7.
    pub(super) id: RecordingId,
    /// Absent for a call whose signalling was never seen.
    pub(super) call_id: Option<String>,
    /// Who called.
    pub(super) caller_phone_number: String,
    /// Who was called.
    pub(super) dialed_phone_number: String,
    /// First INVITE, or first packet without signalling.
    pub(super) start_time: Timestamp,
    /// When it ended.
    pub(super) stop_time: Timestamp,
    /// Milliseconds.
    pub(super) duration: u64,
    /// Whether everything that the parties sent is in it as far as can be known.
    pub(super) complete: bool,
    /// Why it is not, in words.
    pub(super) incomplete_reasons: Vec<String>,
    /// Which way the call went; null if no own numbers are configured.
    pub(super) direction: Option<Direction>,
    /// Mean opinion score of its worst stream, 1 to 4.5.
    pub(super) mos: Option<f64>,
    /// Encoding names of its streams.
    pub(super) codecs: Vec<String>,
    /// Labels.
    pub(super) labels: Vec<String>,
    /// Free metadata.
    pub(super) metadata: BTreeMap<String, String>,
    /// Whether it is under non-deletion.
    pub(super) non_delete: bool,
    /// Whether there is something to hear.
    pub(super) has_audio: bool,
    /// The node that recorded it.
    pub(super) node: String,
    /// The kept media, without their peaks.
    pub(super) media_files: Vec<MediaFile>,
}

impl Summary {
    pub(super) fn new(recording: Recording, said: Annotations) -> Self {
        let (mos, codecs) = (worst_mos(&recording), codecs(&recording));
        let media_files: Vec<_> = recording.media_files.into_iter().map(without_peaks).collect();
        Self {
            id: recording.id,
            call_id: recording.call_id,
            caller_phone_number: recording.caller_phone_number,
            dialed_phone_number: recording.dialed_phone_number,
            start_time: recording.start_time,
            stop_time: recording.stop_time,
            duration: recording.duration,
            complete: recording.complete,
            incomplete_reasons: recording.incomplete_reasons,
            direction: recording.direction,
            mos,
            codecs,
            labels: said.labels,
            metadata: said.metadata,
            non_delete: said.hold.is_some(),
            has_audio: media_files.iter().any(|file| file.channels > 0),
            node: recording.node,
            media_files,
        }
    }
}

fn without_peaks(file: MediaFile) -> MediaFile {
    MediaFile { peaks: Vec::new(), ..file }
}

fn worst_mos(recording: &Recording) -> Option<f64> {
    recording.streams.iter().filter_map(|stream| stream.mos).reduce(f64::min)
}

/// Each once, in the order of the streams.
fn codecs(recording: &Recording) -> Vec<String> {
    let mut codecs: Vec<String> = Vec::new();
    for stream in &recording.streams {
        if !codecs.contains(&stream.codec) {
            codecs.push(stream.codec.clone());
        }
    }
    codecs
}

/// A page of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    /// In the order that was asked for.
    pub(super) recordings: Vec<Summary>,
    /// The `cursor` of the next page; null: this is the last one.
    pub(super) next: Option<String>,
}

/// How many recordings pass a filter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Count {
    /// So many.
    pub(super) count: u64,
    /// Whether it is exact; if not, there are at least so many.
    pub(super) exact: bool,
}

/// What people said of a recording.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    /// Labels, sorted.
    pub(super) labels: Vec<String>,
    /// Free metadata.
    pub(super) metadata: BTreeMap<String, String>,
    /// Who forbids that it is deleted, and why; null: nobody.
    pub(super) non_delete: Option<NonDelete>,
}

/// A non-deletion.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NonDelete {
    /// True.
    pub(super) on: bool,
    /// Who set it.
    pub(super) who: String,
    /// Why.
    pub(super) reason: String,
    /// When.
    pub(super) time: Timestamp,
}

impl From<Annotations> for Said {
    fn from(said: Annotations) -> Self {
        let non_delete = said.hold.map(|hold| NonDelete {
            on: true,
            who: hold.who,
            reason: hold.reason,
            time: hold.time,
        });
        Self { labels: said.labels, metadata: said.metadata, non_delete }
    }
}

/// All that is known of a recording: its `recording.json`, and what people said of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Detail {
    /// As it was finished.
    #[serde(flatten)]
    pub(super) recording: Recording,
    /// What people said since.
    #[serde(flatten)]
    pub(super) said: Said,
}

/// A label that is in use, or defined.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LabelCount {
    /// The label.
    pub(super) name: String,
    /// Recordings that have it.
    pub(super) count: u64,
}

/// All labels.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Labels {
    /// Sorted by name.
    pub(super) labels: Vec<LabelCount>,
}

/// A column of the list: a field of a [`Summary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Column {
    Id,
    CallId,
    CallerPhoneNumber,
    DialedPhoneNumber,
    StartTime,
    StopTime,
    Duration,
    Complete,
    IncompleteReasons,
    Direction,
    Mos,
    Codecs,
    Labels,
    Metadata,
    NonDelete,
    HasAudio,
    Node,
}

impl Column {
    /// Every one, in the order of a CSV file.
    pub(super) const ALL: [Self; 17] = [
        Self::Id,
        Self::CallId,
        Self::CallerPhoneNumber,
        Self::DialedPhoneNumber,
        Self::StartTime,
        Self::StopTime,
        Self::Duration,
        Self::Complete,
        Self::IncompleteReasons,
        Self::Direction,
        Self::Mos,
        Self::Codecs,
        Self::Labels,
        Self::Metadata,
        Self::NonDelete,
        Self::HasAudio,
        Self::Node,
    ];

    /// As in JSON.
    pub(super) fn name(self) -> String {
        serde_json::json!(self).as_str().unwrap_or_default().to_owned()
    }
}
