//! A recorder, calls for it, and the truth about them.

use std::ops::Deref;
use std::path::PathBuf;

use base::recording::Recording;
use sha2::{Digest as _, Sha256};
use wiring::synth::{self, Codecs, Options, Truth};

use crate::recorder::{Site, of_call};

/// A recorder's folder, with a capture of calls in it.
pub(crate) struct Rig {
    site: Site,
    pub(crate) truth: Vec<Truth>,
}

/// Calls of which nothing is lost, twice or late.
pub(crate) fn options(seed: u64, calls: u32, seconds: u32) -> Options {
    Options {
        calls,
        seconds,
        codec: Codecs::Mix,
        srtp: false,
        seed,
        loss: 0.0,
        reorder: 0.0,
        duplicate: 0.0,
        jitter: 0.0,
        start_spread: 0.5,
        to: PathBuf::new(),
        json: false,
    }
}

impl Rig {
    pub(crate) fn new(calls: u32, seconds: u32) -> Self {
        Self::of(7, calls, seconds)
    }

    /// Another seed: other calls.
    pub(crate) fn of(seed: u64, calls: u32, seconds: u32) -> Self {
        Self::with(&options(seed, calls, seconds))
    }

    pub(crate) fn with(options: &Options) -> Self {
        let site = Site::new();
        let to = site.path("calls.pcap");
        synth::write(options, &to).unwrap();
        Self { truth: Truth::read(&to).unwrap(), site }
    }

    pub(crate) fn capture(&self) -> PathBuf {
        self.path("calls.pcap")
    }

    /// Every call of the truth is there, whole, with both sides sample for sample.
    pub(crate) fn assert_all_recorded(&self) {
        self.assert_recorded(&self.site);
    }

    /// The same, by another recorder.
    pub(crate) fn assert_recorded(&self, site: &Site) {
        let recordings = site.list();
        assert_eq!(recordings.len(), self.truth.len(), "{}", site.read_log());
        self.assert_among(site, &recordings);
    }

    /// The same where there are other recordings too.
    pub(crate) fn assert_among(&self, site: &Site, recordings: &[Recording]) {
        for truth in &self.truth {
            let recording = of_call(recordings, &truth.call_id);
            assert!(recording.complete, "{recording:?}");
            let sides = site.sound(recording.id);
            for (side, samples) in truth.sides.iter().zip(&sides) {
                assert!(
                    contains(samples, side.samples as usize, side.pcm_sha256.as_deref().unwrap()),
                    "{} {:?}: other sound than sent",
                    truth.call_id,
                    side.side
                );
            }
        }
    }
}

impl Deref for Rig {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// Whether this many samples with this hash are in there, at whatever place.
fn contains(pcm: &[i16], samples: usize, sha256: &str) -> bool {
    let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let hash = |bytes: &[u8]| -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    bytes.windows(2 * samples).step_by(2).any(|window| hash(window) == sha256)
}
