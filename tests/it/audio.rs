//! Is the sound in the recording the sound that was on the wire, sample for sample, and where it belongs?

use std::ops::Range;
use std::path::Path;

use base::Timestamp;
use base::recording::MediaFile;

/// How far a whole run may be from its arrival.
const JITTER_SAMPLES: i64 = 120 * 8;
const NANOS_PER_SAMPLE: i64 = 125_000;

/// A decoded audio file, or several that follow each other.
pub(crate) struct Audio {
    pub(crate) start: Timestamp,
    /// Caller left, callee right.
    pub(crate) channels: [Vec<i16>; 2],
}

/// A packet's samples, its RTP timestamp, and when it came.
pub(crate) struct Sound {
    pub(crate) arrival: Timestamp,
    pub(crate) timestamp: u32,
    pub(crate) samples: Vec<i16>,
}

impl Audio {
    /// Decodes the parts, which must follow each other without a hole.
    pub(crate) fn read(folder: &Path, parts: &[&MediaFile]) -> Self {
        let mut audio = Self { start: parts[0].start_time, channels: [vec![], vec![]] };
        for part in parts {
            let samples = audio.channels[0].len() as i64;
            let expected = part.start_time.signed_nanos_since(audio.start);
            assert!(
                (samples * NANOS_PER_SAMPLE - expected).abs() < 2_000,
                "a hole before {}",
                part.path
            );
            audio.append(&folder.join(part.path.trim_end_matches(".p7m")));
        }
        audio
    }

    fn append(&mut self, path: &Path) {
        let mut flac =
            claxon::FlacReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let info = flac.streaminfo();
        assert_eq!(
            (info.sample_rate, info.channels, info.bits_per_sample),
            (8_000, 2, 16),
            "{}",
            path.display()
        );
        let before = self.channels[0].len() as u64;
        for (n, sample) in flac.samples().enumerate() {
            let sample = sample.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            self.channels[n % 2].push(sample as i16);
        }
        let read = self.channels[0].len() as u64 - before;
        assert_eq!(info.samples, Some(read), "{}: what its header says", path.display());
    }

    /// Which sample was heard at `time`.
    pub(crate) fn position(&self, time: Timestamp) -> i64 {
        (time.signed_nanos_since(self.start) + NANOS_PER_SAMPLE / 2).div_euclid(NANOS_PER_SAMPLE)
    }
}

/// Finds each of `sounds` in `channel`, in order: where its timestamp puts it behind the one before, else
/// wherever it comes next, which begins a new run. Gives their places.
///
/// In a run, network and sender hold up some packets more than others, so that only the whole run can be
/// held against its arrival: some packet of it must be about where it arrived, or between there and where
/// its timestamp puts it behind the first packet's arrival, if the sender's timestamps and pace disagree.
pub(crate) fn place(
    audio: &Audio,
    channel: usize,
    sounds: &[Sound],
) -> Result<Vec<Range<usize>>, String> {
    let samples = &audio.channels[channel];
    let mut places: Vec<Range<usize>> = Vec::with_capacity(sounds.len());
    let mut run = Run::default();
    for (number, sound) in sounds.iter().enumerate() {
        let after = places.last().map_or(0, |last| last.end);
        let units = |before: usize| {
            i64::from(sound.timestamp.wrapping_sub(sounds[before].timestamp) as i32)
        };
        let expected = places.last().map(|last| last.start as i64 + units(number - 1));
        let is_at = |at: &usize| {
            *at >= after && samples.get(*at..at + sound.samples.len()) == Some(&sound.samples[..])
        };
        let at = if let Some(at) = expected.and_then(|at| at.try_into().ok()).filter(is_at) {
            at
        } else {
            std::mem::take(&mut run).in_time()?;
            let next = (after..samples.len()).find(is_at);
            next.ok_or_else(|| format!("packet {number} of {} is not in it", sounds.len()))?
        };
        let by_timestamps = audio.position(sounds[0].arrival) + units(0);
        run.add(at as i64, audio.position(sound.arrival), by_timestamps);
        places.push(at..at + sound.samples.len());
    }
    run.in_time()?;
    Ok(places)
}

/// By how many samples the places of a run's packets are too late and too early, each by the packet that
/// says least of it.
#[derive(Default)]
struct Run(Option<(i64, i64)>);

impl Run {
    fn add(&mut self, at: i64, arrival: i64, by_timestamps: i64) {
        let late = at - arrival.max(by_timestamps);
        let early = arrival.min(by_timestamps) - at;
        let (least_late, least_early) = self.0.unwrap_or((late, early));
        self.0 = Some((least_late.min(late), least_early.min(early)));
    }

    fn in_time(&self) -> Result<(), String> {
        match self.0 {
            Some((late, early)) if late.max(early) > JITTER_SAMPLES => Err(format!(
                "a part of it is {} ms off the time at which it came",
                late.max(early) / 8
            )),
            _ => Ok(()),
        }
    }
}

/// Where `channel` has sound that is in none of `places`.
pub(crate) fn uncalled_for(
    audio: &Audio,
    channel: usize,
    places: &[Range<usize>],
) -> Option<usize> {
    let mut rest = audio.channels[channel].clone();
    for place in places {
        rest[place.clone()].fill(0);
    }
    rest.iter().position(|sample| *sample != 0)
}

/// That the checks above would notice.
mod notices {
    use super::*;

    /// 30 packets of noise, the tenth and eleventh lost, and the recording that is right about them.
    fn right() -> (Audio, Vec<Sound>) {
        let start = Timestamp::from_nanos(1_767_600_000_000_000_000);
        let noise = |n: u32| (n.wrapping_mul(2_654_435_769) >> 18) as i16 - 8_192;
        let numbers = (0..30_u32).filter(|n| !(10..12).contains(n));
        let sounds: Vec<Sound> = numbers
            .map(|n| Sound {
                arrival: Timestamp::from_nanos(
                    start.as_nanos() + u64::from(n) * 20_000_000 + 3_000_000,
                ),
                timestamp: 4_294_967_000_u32.wrapping_add(n * 160),
                samples: (n * 160..(n + 1) * 160).map(noise).collect(),
            })
            .collect();
        let mut channel: Vec<i16> = (0..4_800).map(noise).collect();
        channel[1_600..1_920].fill(0);
        (Audio { start, channels: [channel, vec![0; 4_800]] }, sounds)
    }

    #[test]
    fn what_is_right_passes() {
        let (audio, sounds) = right();
        let places = place(&audio, 0, &sounds).unwrap();
        assert_eq!((places[0].clone(), places[27].clone()), (0..160, 4_640..4_800));
        assert_eq!(uncalled_for(&audio, 0, &places), None);
    }

    #[test]
    fn one_altered_sample() {
        let (mut audio, sounds) = right();
        audio.channels[0][3_333] ^= 8;
        assert!(place(&audio, 0, &sounds).is_err());
    }

    #[test]
    fn the_other_channel() {
        let (audio, sounds) = right();
        assert!(place(&audio, 1, &sounds).is_err());
    }

    #[test]
    fn sound_instead_of_silence() {
        let (mut audio, sounds) = right();
        audio.channels[0][1_700] = 8;
        let places = place(&audio, 0, &sounds).unwrap();
        assert_eq!(uncalled_for(&audio, 0, &places), Some(1_700));
    }

    #[test]
    fn a_shift_of_a_fifth_of_a_second() {
        let (mut audio, sounds) = right();
        audio.channels[0].splice(0..0, [0; 1_600]);
        assert!(place(&audio, 0, &sounds).is_err());
    }

    #[test]
    fn a_hole_that_was_closed() {
        let (mut audio, sounds) = right();
        audio.channels[0].drain(0..1_120);
        assert!(place(&audio, 0, &sounds[7..]).is_err());
    }
}
