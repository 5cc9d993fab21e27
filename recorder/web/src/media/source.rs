//! One recording's files of one kind, checked.

use std::sync::Arc;

use base::RecordingId;
use media::playback::Track;
use seal::manifest::File;
use seal::{Sha256Hash, Sha256Hasher};
use store::Checked;

use super::player::Plain;
use super::trouble;
use crate::app::App;
use crate::problem::{Answer, Problem};

/// The lane of a recording's main audio.
const MAIN_LANE: &str = "audio";
/// What audio files end with.
const AUDIO_SUFFIX: &str = ".flac";
/// What packet files begin with.
const PACKETS: &str = "packets.";

/// Files of a recording whose manifest is signed. Each file is checked when it is read.
pub(super) struct Source {
    app: App,
    checked: Checked,
    files: Vec<File>,
}

impl Source {
    /// The parts of the main audio; or of the lane whose first file is called `media`; or that file alone, if it is
    /// a later part.
    ///
    /// # Errors
    /// 404 if there is none, 409 if the manifest is not as it was signed.
    pub(super) fn audio(app: &App, id: RecordingId, media: Option<&str>) -> Answer<Self> {
        let wanted = match media {
            None => (MAIN_LANE, 1),
            Some(media) => part_of(media).ok_or_else(|| {
                Problem::not_found(format!("there is no audio {media} in this recording"))
            })?,
        };
        let mut source = Self::of(app, id, |file| match part_of(&file.plain_name) {
            Some((lane, part)) => lane == wanted.0 && (wanted.1 == 1 || part == wanted.1),
            None => false,
        })?;
        source.files.sort_by_key(|file| part_of(&file.plain_name).map(|(_, part)| part));
        source.or_none(match media {
            Some(_) => "there is no such audio in this recording",
            None => "this recording has no sound: what was sent could not be decoded, and is kept as packets",
        })
    }

    /// The packets that were kept as they were.
    ///
    /// # Errors
    /// As [`Source::audio`].
    pub(super) fn packets(app: &App, id: RecordingId) -> Answer<Self> {
        let mut source = Self::of(app, id, |file| file.plain_name.starts_with(PACKETS))?;
        // `packets.pcapng` goes before `packets.part2.pcapng`, and that before `packets.part10.pcapng`.
        source.files.sort_by_key(|file| {
            (file.plain_name.contains(".part"), file.plain_name.len(), file.plain_name.clone())
        });
        source.or_none("no packets were kept of this recording: all that was sent was decoded")
    }

    /// One media file.
    ///
    /// # Errors
    /// As [`Source::audio`].
    pub(super) fn media_file(app: &App, id: RecordingId, name: &str) -> Answer<Self> {
        let is_it = |file: &File| file.plain_name == name && is_media(name);
        Self::of(app, id, is_it)?.or_none("there is no such media file in this recording")
    }

    fn of(app: &App, id: RecordingId, wanted: impl Fn(&File) -> bool) -> Answer<Self> {
        let checked = open(app, id)?;
        let files = checked.manifest().files.iter().filter(|file| wanted(file)).cloned().collect();
        Ok(Self { app: app.clone(), checked, files })
    }

    fn or_none(self, why: &str) -> Answer<Self> {
        if self.files.is_empty() { Err(Problem::not_found(why)) } else { Ok(self) }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// The plain content of a file.
    ///
    /// # Errors
    /// 409 if it is not what was signed, or does not open here.
    pub(super) fn part(&self, part: usize) -> Answer<Plain> {
        let file =
            self.files.get(part).ok_or_else(|| Problem::not_found("there is no such part"))?;
        self.app.player().plain(&self.app, &self.checked, file)
    }

    /// The track that the files are, all of them opened and checked.
    ///
    /// # Errors
    /// As [`Source::part`].
    pub(super) fn track(&self) -> Answer<Arc<Track>> {
        self.app.player().track(&self.app, self)
    }

    /// Names the content of all files: other content, other digest.
    pub(super) fn digest(&self) -> Sha256Hash {
        let mut hasher = Sha256Hasher::default();
        self.files.iter().for_each(|file| hasher.update(&file.plain_sha256.0));
        hasher.finish()
    }
}

/// A recording whose manifest is signed by this node.
pub(super) fn open(app: &App, id: RecordingId) -> Answer<Checked> {
    let folder = app.settings().recordings.join(id.to_string());
    let trusted = Some(app.settings().node_certificates.as_slice()).filter(|all| !all.is_empty());
    Checked::open(&folder, id, trusted).map_err(|finding| trouble::found(&finding))
}

/// Lane and number of an audio file: `audio.flac` is `audio`, 1; `audio-2.part3.flac` is `audio-2`, 3.
fn part_of(name: &str) -> Option<(&str, u32)> {
    let name = name.strip_suffix(AUDIO_SUFFIX)?;
    let (lane, part) = match name.split_once(".part") {
        Some((lane, number)) => (lane, number.parse().ok()?),
        None => (name, 1),
    };
    let number = lane.strip_prefix(MAIN_LANE)?;
    let is_lane = number.is_empty()
        || number.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
    is_lane.then_some((lane, part))
}

/// Whether a media file is sound: to be had by who may play.
pub(super) fn is_audio(name: &str) -> bool {
    part_of(name).is_some()
}

/// Whether it is media at all, and not what is known of it.
fn is_media(name: &str) -> bool {
    is_audio(name) || name.starts_with(PACKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_their_names() {
        for (name, expected) in [
            ("audio.flac", Some(("audio", 1))),
            ("audio.part2.flac", Some(("audio", 2))),
            ("audio-2.flac", Some(("audio-2", 1))),
            ("audio-2.part13.flac", Some(("audio-2", 13))),
            ("audio-x.flac", None),
            ("audiobook.flac", None),
            ("audio.partx.flac", None),
            ("audio", None),
            ("packets.pcapng", None),
            ("../audio.flac", None),
        ] {
            assert_eq!(part_of(name), expected, "{name}");
        }
        assert!(is_media("packets.part2.pcapng") && is_media("audio-3.flac"));
        assert!(!is_media("recording.json") && !is_media("manifest.json"));
    }
}
