//! Turns what is known of a call's media into what is told.

use base::limits::{
    CORRECTIONS_PER_STREAM_MAX, GAPS_PER_RECORDING_MAX, QUALITY_POINTS_PER_RECORDING_MAX,
};
use base::recording::{Gap, Stream};

use crate::heard::{Fate, Heard};
use crate::input::FlowInput;
use crate::keys::{self, KeyPress};
use crate::output::{Correction, File, StreamReport};
use crate::render::time_of;
use crate::sound::SAMPLE_NANOS;
use crate::timeline::place::Placed;
use crate::work::{Places, Work};

/// Turns what is known into what is told.
pub(crate) struct Reports<'w, 'f, 'a> {
    pub(crate) work: &'w Work<'f, 'a>,
    pub(crate) places: &'w Places,
    /// The audio files.
    pub(crate) audio: &'w [File],
}

impl Reports<'_, '_, '_> {
    /// What became of each stream, and of media that know no streams.
    pub(crate) fn streams(&self) -> Vec<StreamReport> {
        let streams = (0..self.work.heard.len()).filter_map(|id| self.stream(id));
        let opaque = self.work.flows.iter().enumerate().filter_map(|(n, flow)| opaque(n, flow));
        let mut room = QUALITY_POINTS_PER_RECORDING_MAX;
        let bounded = |mut report: StreamReport| {
            let points = report.stream.quality.len();
            room = room.saturating_sub(points);
            if room == 0 {
                report.stream.quality = Vec::new();
            }
            report
        };
        streams.chain(opaque).map(bounded).collect()
    }

    fn stream(&self, id: usize) -> Option<StreamReport> {
        let heard = self.work.heard.get(id)?;
        let (lane, placed) = (self.places.lane_of(id), self.places.placed.get(id)?);
        let drift_ppb = self.places.drift_ppb.get(id).copied().unwrap_or(0);
        let flow = self.work.flow_of(heard)?;
        let counts = heard.counts;
        let stream = Stream {
            source: flow.key.source,
            destination: flow.key.destination,
            ssrc: format!("0x{:08x}", heard.ssrc),
            side: flow.side,
            media: flow.media.clone(),
            codec: heard.codec.clone(),
            packets: counts.packets,
            unique: counts.unique,
            lost: counts.lost,
            duplicates: counts.duplicates,
            late: counts.late,
            jitter: heard.jitter_milliseconds,
            mos: heard.mos,
            quality: heard.quality.clone(),
            start_time: counts.first,
            stop_time: counts.last,
            media_files: self.files_of(lane, placed),
            state: self.state(heard),
        };
        let corrections = placed.shifts.iter().take(CORRECTIONS_PER_STREAM_MAX);
        let corrections = corrections.map(|shift| Correction {
            time: time_of(self.work.reference, shift.position),
            samples: shift.samples,
            reason: shift.reason,
        });
        Some(StreamReport {
            stream,
            flow: heard.flow,
            lane,
            samples: if lane.is_some() { heard.voice.samples } else { 0 },
            events: heard.voice.events,
            comfort_noise: heard.voice.comfort_noise,
            truncated: counts.truncated,
            misfits: heard.misfits.len() as u64,
            restarts: counts.restarts,
            clock_slow_ppm: drift_ppb as f64 / 1e3,
            corrections: if lane.is_some() { corrections.collect() } else { Vec::new() },
        })
    }

    /// The files of a lane over which a stream reaches.
    fn files_of(&self, lane: Option<usize>, placed: &Placed) -> Vec<String> {
        let Some(lane) = lane else { return Vec::new() };
        let prefix = if lane == 0 { "audio.".to_owned() } else { format!("audio-{}.", lane + 1) };
        let begin = time_of(self.work.reference, placed.begin());
        let end = time_of(self.work.reference, placed.end);
        let files = self.audio.iter().filter(|file| file.name.starts_with(&prefix));
        files.filter(|f| f.start < end && f.stop > begin).map(|f| f.name.clone()).collect()
    }

    fn state(&self, heard: &Heard<'_>) -> String {
        match &heard.fate {
            Fate::Decoded => "decoded".to_owned(),
            Fate::DecodedAndKept(reason) => format!("decoded, and kept as packets: {reason}"),
            Fate::Kept(reason) => format!("kept as packets: {reason}"),
            Fate::DuplicateOf(original) => {
                let original = self.work.heard.get(*original);
                let key = original
                    .and_then(|o| self.work.flow_of(o))
                    .map(|flow| flow.key)
                    .unwrap_or_default();
                format!("duplicate of the same stream from {} to {}", key.source, key.destination)
            }
        }
    }

    /// The keys that were pressed, in the order of time, and how many more there are than are listed.
    pub(crate) fn keys(&self) -> (Vec<KeyPress>, u64) {
        let own = self.work.heard.iter();
        let own = own.filter(|heard| !matches!(heard.fate, Fate::DuplicateOf(_)));
        keys::all(own.map(|heard| (self.work.side_of(heard), heard.ssrc, &heard.voice.presses)))
    }

    /// The gaps of all lanes in the order of time, and how many more there are than are listed.
    pub(crate) fn gaps(&self) -> (Vec<Gap>, usize) {
        let with_sound = self.work.heard.iter().zip(&self.places.placed);
        let with_sound = with_sound.filter(|(heard, _)| heard.fate.has_sound());
        let mut gaps: Vec<Gap> = with_sound
            .flat_map(|(heard, placed)| {
                let side = self.work.side_of(heard);
                placed.holes.iter().map(move |hole| Gap {
                    side,
                    start_time: time_of(self.work.reference, hole.position),
                    duration: (hole.samples * SAMPLE_NANOS) as f64 / 1e6,
                    packets: (hole.packets > 0).then_some(hole.packets.into()),
                    reason: if hole.packets > 0 { "loss" } else { "cut" }.to_owned(),
                })
            })
            .collect();
        gaps.sort_by_key(|gap| (gap.start_time, gap.side));
        let left_out = gaps.len().saturating_sub(GAPS_PER_RECORDING_MAX);
        gaps.truncate(GAPS_PER_RECORDING_MAX);
        (gaps, left_out)
    }
}

/// The report on a flow whose medium is not RTP: there are no streams to tell apart.
fn opaque(number: usize, flow: &FlowInput<'_>) -> Option<StreamReport> {
    let (first, last) = (flow.packets.first()?, flow.packets.last()?);
    if flow.media != "image" {
        return None;
    }
    let stream = Stream {
        source: flow.key.source,
        destination: flow.key.destination,
        ssrc: "0x00000000".to_owned(),
        side: flow.side,
        media: flow.media.clone(),
        codec: "T38".to_owned(),
        packets: flow.packets.len() as u64,
        unique: flow.packets.len() as u64,
        lost: 0,
        duplicates: 0,
        late: 0,
        jitter: 0.0,
        mos: None,
        quality: Vec::new(),
        start_time: first.time,
        stop_time: last.time,
        media_files: Vec::new(),
        state: "kept as packets: fax over IP (T.38) is not decoded".to_owned(),
    };
    Some(StreamReport {
        stream,
        flow: number,
        lane: None,
        samples: 0,
        events: 0,
        comfort_noise: 0,
        truncated: 0,
        misfits: 0,
        restarts: 0,
        clock_slow_ppm: 0.0,
        corrections: Vec::new(),
    })
}
