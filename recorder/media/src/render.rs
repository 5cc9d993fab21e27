//! A lane becomes audio files: decoded, laid on its channels and encoded block by block. No more sound is
//! ever held decoded than one block.

use base::Timestamp;
use base::limits::AUDIO_PARTS_MAX;

use crate::flac::{self, Settings};
use crate::input::{Layout, Params};
use crate::output::File;
use crate::sound::{SAMPLE_NANOS, SAMPLES_PER_SECOND, Sound};
use crate::vector::Vector;

/// Samples behind one peak: 100 ms.
const PEAK_SAMPLES: usize = SAMPLES_PER_SECOND as usize / 10;

/// Sounds end to end at a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strip<'s> {
    pub(crate) position: i64,
    pub(crate) sounds: &'s [Sound<'s>],
}

/// One side of a lane: strips in order, never overlapping.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel<'s> {
    pub(crate) strips: Vec<Strip<'s>>,
    pub(crate) end: i64,
}

impl Channel<'_> {
    fn begin(&self) -> Option<i64> {
        self.strips.first().map(|strip| strip.position)
    }
}

/// What the files of one lane have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common<'c> {
    pub(crate) lane: usize,
    pub(crate) params: &'c Params,
    pub(crate) tags: &'c [(String, String)],
    /// The moment of position 0.
    pub(crate) reference: Timestamp,
}

impl Common<'_> {
    /// The moment of a position.
    pub(crate) fn time(&self, position: i64) -> Timestamp {
        time_of(self.reference, position)
    }

    /// `audio.flac`, `audio.part2.flac`; `audio-2.flac`, `audio-2.part2.flac`.
    fn name(&self, part: u64) -> String {
        let lane = if self.lane == 0 { String::new() } else { format!("-{}", self.lane + 1) };
        let part = if part == 0 { String::new() } else { format!(".part{}", part + 1) };
        format!("audio{lane}{part}.flac")
    }

    fn tags(&self, part: u64, parts: u64, start: Timestamp) -> Vec<(String, String)> {
        let channels = match self.params.layout {
            Layout::Stereo => "left: caller, right: callee",
            Layout::Mono => "caller and callee, averaged",
        };
        let mut tags = self.tags.to_vec();
        tags.push(("CHANNELS".to_owned(), channels.to_owned()));
        tags.push(("FIRST-SAMPLE".to_owned(), start.to_string()));
        tags.push(("PART".to_owned(), format!("{}/{parts}", part + 1)));
        tags
    }
}

/// The moment of a position, given the moment of position 0.
pub(crate) fn time_of(reference: Timestamp, position: i64) -> Timestamp {
    let span = std::time::Duration::from_nanos(
        position.unsigned_abs().saturating_mul(SAMPLE_NANOS.unsigned_abs()),
    );
    if position < 0 { reference.minus(span) } else { reference.plus(span) }
}

/// Makes the files of a lane: as many as the limit asks for, cut between two samples, so that their
/// samples one after the other are the whole.
pub(crate) fn lane(caller: &Channel<'_>, callee: &Channel<'_>, common: Common<'_>) -> Vec<File> {
    let begin = [caller, callee].into_iter().filter_map(Channel::begin).min();
    let end = [caller, callee].into_iter().map(|channel| channel.end).max();
    let (Some(begin), Some(end)) = (begin, end) else { return Vec::new() };
    let total = u64::try_from(end - begin).unwrap_or(0);
    let limit = common.params.media_file_limit.as_secs() * SAMPLES_PER_SECOND as u64;
    let limit = limit.max(total.div_ceil(AUDIO_PARTS_MAX)).max(1);
    let parts = total.div_ceil(limit);
    let mut cursors = [Cursor::new(caller), Cursor::new(callee)];
    let mut files = Vec::new();
    for part in 0..parts {
        let from = begin + (part * limit) as i64;
        let samples = limit.min(total - part * limit);
        let tags = common.tags(part, parts, common.time(from));
        files.push(file(&mut cursors, from, samples, common.name(part), &tags, common));
    }
    files
}

fn file(
    cursors: &mut [Cursor<'_>; 2],
    from: i64,
    samples: u64,
    name: String,
    tags: &[(String, String)],
    common: Common<'_>,
) -> File {
    let channels = match common.params.layout {
        Layout::Stereo => 2,
        Layout::Mono => 1,
    };
    let settings = Settings { channels, sample_rate_hz: SAMPLES_PER_SECOND as u32, tags };
    let mut peaks = Peaks::new(channels, samples);
    let mut other_side = Vec::new();
    let bytes = flac::encoder::encode(settings, samples, |first, planes| {
        let position = from + first as i64;
        match planes {
            [left, right] => {
                cursors.iter_mut().zip([left, right]).for_each(|(c, p)| c.fill(position, p));
            }
            [both] => average(cursors, position, both, &mut other_side),
            _ => {}
        }
        peaks.add(planes);
    });
    File {
        name,
        media_type: "audio/flac",
        bytes,
        start: common.time(from),
        stop: common.time(from + samples as i64),
        samples,
        channels: channels as u8,
        peaks: peaks.finish(),
    }
}

fn average(cursors: &mut [Cursor<'_>; 2], position: i64, out: &mut [i16], other: &mut Vec<i16>) {
    let [caller, callee] = cursors;
    other.clear();
    other.resize(out.len(), 0);
    caller.fill(position, out);
    callee.fill(position, other);
    mix(out, other);
}

/// The average of both sides, in place of the one.
pub(crate) fn mix(one: &mut [i16], other: &[i16]) {
    one.iter_mut().zip(other).for_each(|(sample, other)| {
        *sample = ((i32::from(*sample) + i32::from(*other)) / 2) as i16;
    });
}

/// Reads a channel from its begin to its end.
struct Cursor<'s> {
    strips: &'s [Strip<'s>],
    sounds: &'s [Sound<'s>],
    /// Bytes of the first of `sounds` that are done.
    done: usize,
    /// Position of the next sample.
    position: i64,
    vector: Option<Vector>,
}

impl<'s> Cursor<'s> {
    fn new(channel: &'s Channel<'_>) -> Self {
        let (strips, vector) = (&channel.strips[..], Vector::detect());
        let mut cursor = Self { strips, sounds: &[], done: 0, position: 0, vector };
        cursor.next_strip();
        cursor
    }

    fn next_strip(&mut self) -> bool {
        let Some((strip, rest)) = self.strips.split_first() else { return false };
        (self.strips, self.sounds, self.position) = (rest, strip.sounds, strip.position);
        true
    }

    /// Decodes what falls on the zeroed `out`, whose first sample is at `position`. Positions only grow
    /// from call to call.
    fn fill(&mut self, position: i64, out: &mut [i16]) {
        let Some((mut sound, mut rest)) = self.current() else { return };
        while let Ok(offset) = usize::try_from(self.position - position)
            && let Some(room) = out.get_mut(offset..)
            && !room.is_empty()
        {
            let codes = sound.payload.get(self.done..).unwrap_or_default();
            match self.vector {
                Some(vector) => vector.decode_into(sound.law, codes, room),
                None => sound.law.decode_into(codes, room),
            }
            let decoded = codes.len().min(room.len());
            self.position += decoded as i64;
            self.done += decoded;
            if self.done >= sound.payload.len() {
                (self.sounds, self.done) = (rest, 0);
                let Some(next) = self.current() else { return };
                (sound, rest) = next;
            }
        }
    }

    /// The sound at hand and those behind it in its strip, going on to the next strip if need be.
    fn current(&mut self) -> Option<(&'s Sound<'s>, &'s [Sound<'s>])> {
        loop {
            if let Some(at_hand) = self.sounds.split_first() {
                return Some(at_hand);
            }
            if !self.next_strip() {
                return None;
            }
        }
    }
}

/// The loudest amplitude of each 100 ms, per channel.
struct Peaks {
    channels: Vec<Vec<u8>>,
    /// The window under way: amplitude so far, and samples in it.
    loudest: Vec<u16>,
    seen: usize,
}

impl Peaks {
    fn new(channels: usize, samples: u64) -> Self {
        let windows = samples.div_ceil(PEAK_SAMPLES as u64) as usize;
        let channels: Vec<_> = (0..channels).map(|_| Vec::with_capacity(windows)).collect();
        Self { loudest: vec![0; channels.len()], channels, seen: 0 }
    }

    fn add(&mut self, planes: &[&mut [i16]]) {
        let length = planes.first().map_or(0, |plane| plane.len());
        let mut at = 0;
        while at < length {
            let until = (at + PEAK_SAMPLES - self.seen).min(length);
            for (loudest, plane) in self.loudest.iter_mut().zip(planes) {
                let window = plane.get(at..until).unwrap_or_default();
                // Least and most first: one instruction each for eight samples.
                let ends = (0_i16, 0_i16);
                let (least, most) =
                    window.iter().fold(ends, |(least, most), s| (least.min(*s), most.max(*s)));
                *loudest = (*loudest).max(least.unsigned_abs()).max(most.unsigned_abs());
            }
            self.seen += until - at;
            at = until;
            if self.seen == PEAK_SAMPLES {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        for (peaks, loudest) in self.channels.iter_mut().zip(&mut self.loudest) {
            // 16 bits to 8: full scale is 32,768.
            peaks.push((std::mem::take(loudest) >> 7).min(255) as u8);
        }
        self.seen = 0;
    }

    /// Channels interleaved.
    fn finish(mut self) -> Vec<u8> {
        if self.seen > 0 {
            self.close();
        }
        let windows = self.channels.first().map_or(0, Vec::len);
        (0..windows)
            .flat_map(|at| self.channels.iter().filter_map(move |c| c.get(at)))
            .copied()
            .collect()
    }
}
