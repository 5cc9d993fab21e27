//! What the page of a link shows of its recording.

use base::recording::{MediaFile, Recording};
use base::{RecordingId, Timestamp};
use serde::Serialize;
use store::METADATA_NAME;
use utoipa::ToSchema;

use super::share::Share;
use crate::app::App;
use crate::media::source::{self, Source};
use crate::problem::{Answer, Problem};

/// Milliseconds of sound behind a peak.
const PEAK_MILLISECONDS: u64 = 100;

/// A recording, for who opened a link to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    /// Who called.
    caller: String,
    /// Who was called.
    callee: String,
    /// When the sound begins.
    start_time: Timestamp,
    /// How long it is, milliseconds.
    duration: u64,
    /// 2: caller left, callee right. 1: both.
    channels: u8,
    /// Peak amplitude of each 100 ms per channel, 0 to 255, interleaved.
    peaks: Vec<u8>,
    /// Who made the link.
    shared_by: String,
    /// When.
    shared_on: Timestamp,
    /// When the link ends.
    expires: Timestamp,
    /// With this, GET /shared/{token}/audio gives the sound, for four hours at most.
    key: String,
}

/// What is known of a recording, as it was signed.
///
/// # Errors
/// 404 if it is not there, 409 if it is not as it was signed or cannot be opened here.
pub(super) fn metadata(app: &App, id: RecordingId) -> Answer<Recording> {
    let checked = source::open(app, id)?;
    let file = checked.manifest().files.iter().find(|file| file.plain_name == METADATA_NAME);
    let file = file.ok_or_else(|| {
        Problem::conflict("nothing is known of this recording: it lacks its metadata")
    })?;
    let plain = app.player().plain(app, &checked, file)?;
    let parsed = serde_json::from_slice(plain.as_ref());
    parsed.map_err(|error| {
        Problem::conflict(format!("this recording's metadata are of another program: {error}"))
    })
}

impl Shown {
    pub(super) fn new(recording: Recording, source: &Source, share: &Share, key: String) -> Self {
        let named = |name: &str| recording.media_files.iter().find(|file| file.media_id == name);
        let parts: Vec<&MediaFile> =
            source.files().iter().filter_map(|file| named(&file.plain_name)).collect();
        let channels = parts.first().map_or(2, |part| part.channels);
        Self {
            start_time: parts.first().map_or(recording.start_time, |part| part.start_time),
            duration: parts.iter().map(|part| part.duration).sum(),
            channels,
            peaks: parts.iter().flat_map(|part| peaks(part, channels)).collect(),
            caller: recording.caller_phone_number.clone(),
            callee: recording.dialed_phone_number.clone(),
            shared_by: share.owner.clone(),
            shared_on: share.created,
            expires: share.expires,
            key,
        }
    }
}

/// As many as a part's length asks for, so that those of the next part stand at their place.
fn peaks(part: &MediaFile, channels: u8) -> impl Iterator<Item = u8> {
    let windows = (part.duration + PEAK_MILLISECONDS / 2) / PEAK_MILLISECONDS;
    let wanted = usize::try_from(windows.saturating_mul(channels.into())).unwrap_or(usize::MAX);
    // Never more than there are, and one window: the length is the recording's word only.
    let most = part.peaks.len() + usize::from(channels);
    part.peaks.iter().copied().chain(std::iter::repeat(0)).take(wanted.min(most))
}
