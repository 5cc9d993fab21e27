//! What one hears in a recording: both channels, sample for sample, by a decoder that is not Spanreel's own.

use anyhow::{Context as _, Result, bail};
use base::recording::{MediaFile, Recording};
use claxon::FlacReader;
use seal::{PrivateKey, manifest};

use crate::data_dir::{self, DataDir};

/// Caller, callee.
pub(super) type Channels = [Vec<i16>; 2];

/// Opens the sound of a data folder's recordings.
pub(super) struct Listener {
    data: DataDir,
    key: PrivateKey,
}

impl Listener {
    /// With the folder's own key.
    pub(super) fn new(data: DataDir) -> Result<Self> {
        Ok(Self { key: data.private_key(None)?, data })
    }

    /// The main sound of a recording, all parts of it. Empty if it has none.
    pub(super) fn hear(&self, recording: &Recording) -> Result<Channels> {
        let folder = self.data.recordings().join(recording.id.to_string());
        let mut channels = Channels::default();
        for part in recording.media_files.iter().filter(|file| is_main(file)) {
            let path = folder.join(&part.path);
            let stored = data_dir::read(&path)?;
            let context = || path.display().to_string();
            if part.path.ends_with(manifest::SEALED_SUFFIX) {
                let plain = seal::open(&stored, &self.key).with_context(context)?;
                decode(&plain, &mut channels).with_context(context)?;
            } else {
                decode(&stored, &mut channels).with_context(context)?;
            }
        }
        Ok(channels)
    }
}

/// `audio.flac`, `audio.part2.flac`, ...; not `audio-2.flac`.
fn is_main(file: &MediaFile) -> bool {
    file.channels > 0 && file.media_id.split('.').next() == Some("audio")
}

/// Appends a FLAC file's samples.
fn decode(flac: &[u8], to: &mut Channels) -> Result<()> {
    let mut reader = FlacReader::new(flac)?;
    if reader.streaminfo().channels != 2 {
        bail!("caller and callee are not apart");
    }
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    while let Some(block) = blocks.read_next_or_eof(buffer)? {
        for (number, channel) in (0..).zip(to.iter_mut()) {
            let samples = block.channel(number);
            channel.extend(samples.iter().map(|sample| i16::try_from(*sample).unwrap_or(i16::MAX)));
        }
        buffer = block.into_buffer();
    }
    Ok(())
}
