//! `spanreel play`: a recording's audio, decrypted.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base::recording::{MediaFile, Recording};

use super::{Verdict, wav};
use crate::cli::{AudioFormat, Play};
use crate::data_dir::DataDir;
use crate::sealed;

pub(super) fn run(arguments: &Play) -> Result<Verdict> {
    let data = DataDir::open(&arguments.data.dir)?;
    let recording = data.recording(&arguments.id)?;
    let parts = parts(&recording, arguments.media.as_deref())?;
    let folder = data.recordings().join(recording.id.to_string());
    let mut key = sealed::Opener::new(&data, arguments.opening.key.as_deref());
    let mut audio = Vec::with_capacity(parts.len());
    for part in parts {
        audio.push(key.read(&folder.join(&part.path))?);
    }
    match format(arguments) {
        AudioFormat::Wav => to(&arguments.to, |out| wav::write(&audio, out))?,
        AudioFormat::Flac => match audio.as_slice() {
            [one] => to(&arguments.to, |out| Ok(out.write_all(one)?))?,
            _ => bail!("the audio has {} parts; write WAV, or one part with --media", audio.len()),
        },
    }
    Ok(Verdict::Done)
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
    let by_name = match arguments.to.extension() {
        Some(ending) if ending.eq_ignore_ascii_case("flac") => AudioFormat::Flac,
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
