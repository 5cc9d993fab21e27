//! `spanreel play`: a recording's audio, decrypted.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use base::recording::{MediaFile, Recording};
use media::playback::{Converter, Outline, PlaybackError, Track, View, Voices};

use super::Verdict;
use crate::cli::{AudioFormat, Play, Who};
use crate::data_dir::DataDir;
use crate::sealed;

/// Bytes of a view that are made at once.
const PIECE_BYTES: usize = 1024 * 1024;

pub(super) fn run(arguments: &Play) -> Result<Verdict> {
    let data = DataDir::open(&arguments.data.dir)?;
    let recording = data.recording(&arguments.id)?;
    let parts = parts(&recording, arguments.media.as_deref())?;
    let folder = data.recordings().join(recording.id.to_string());
    let mut key = sealed::Opener::new(&data, arguments.opening.key.as_deref());
    let mut files = Vec::with_capacity(parts.len());
    let mut outlines = Vec::with_capacity(parts.len());
    for part in parts {
        let file = key.read(&folder.join(&part.path))?;
        outlines.push(Outline::of(&file).with_context(|| part.path.clone())?);
        files.push(file);
    }
    let source = Source { track: Arc::new(Track::new(outlines)?), files };
    let voices = match arguments.side {
        Who::Both => Voices::Both,
        Who::Caller => Voices::Caller,
        Who::Callee => Voices::Callee,
    };
    let track = Arc::clone(&source.track);
    match (format(arguments), voices) {
        (AudioFormat::Wav, _) => {
            source.write_view(&View::wav(track, voices, &[])?, &arguments.to)?
        }
        (AudioFormat::Flac, Voices::Both) => {
            source.write_view(&View::flac(track, &[]), &arguments.to)?
        }
        (AudioFormat::Flac, _) => {
            source.convert(Converter::flac(track, voices, &[])?, &arguments.to)?
        }
        (AudioFormat::Opus, _) => {
            source.convert(Converter::opus(track, voices, &[])?, &arguments.to)?
        }
    }
    Ok(Verdict::Done)
}

/// The parts of the audio, opened.
struct Source {
    track: Arc<Track>,
    files: Vec<Vec<u8>>,
}

impl Source {
    fn part(&self, part: usize) -> Result<&[u8], PlaybackError> {
        self.files.get(part).map(Vec::as_slice).ok_or(PlaybackError::Nothing)
    }

    fn write_view(&self, view: &View, path: &Path) -> Result<()> {
        to(path, |out| {
            let mut at = 0;
            while at < view.bytes() {
                let piece = view.read(at, PIECE_BYTES, |part| self.part(part))?;
                out.write_all(&piece)?;
                at += piece.len() as u64;
            }
            Ok(())
        })
    }

    fn convert(&self, mut converter: Converter, path: &Path) -> Result<()> {
        to(path, |out| {
            while let Some(piece) = converter.next(|part| self.part(part))? {
                out.write_all(&piece)?;
            }
            Ok(())
        })
    }
}

/// The parts of the wanted audio in the order of time.
fn parts<'a>(recording: &'a Recording, wanted: Option<&str>) -> Result<Vec<&'a MediaFile>> {
    let audio = || recording.media_files.iter().filter(|file| file.channels > 0);
    let parts: Vec<_> = match wanted {
        Some(id) => audio().filter(|file| file.media_id == id).collect(),
        None => audio().filter(|file| is_main(&file.media_id)).collect(),
    };
    if parts.is_empty() {
        let there: Vec<_> = audio().map(|file| file.media_id.as_str()).collect();
        match wanted {
            Some(id) => {
                bail!("recording {} has no audio {id}; it has: {}", recording.id, there.join(", "))
            }
            None => {
                bail!("recording {} has no decoded audio; `spanreel show` says why", recording.id)
            }
        }
    }
    Ok(parts)
}

/// `audio.flac`, `audio.part2.flac`, ...; not `audio-2.flac`.
fn is_main(media_id: &str) -> bool {
    media_id.split('.').next() == Some("audio")
}

fn format(arguments: &Play) -> AudioFormat {
    let ending = arguments.to.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let by_name = match ending.to_ascii_lowercase().as_str() {
        "flac" => AudioFormat::Flac,
        "opus" | "ogg" => AudioFormat::Opus,
        _ => AudioFormat::Wav,
    };
    arguments.format.unwrap_or(by_name)
}

/// Writes to a file or, for `-`, to standard output.
fn to(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    if path == Path::new("-") {
        let mut out = std::io::stdout().lock();
        write(&mut out)?;
        return Ok(out.flush()?);
    }
    let written = || -> Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        write(&mut out)?;
        Ok(out.flush()?)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
