//! From a call and its finished media to `recording.json`.

use base::recording::{Leg, MediaFile, Message, Recording};
use base::{FlowKey, RecordingId, Timestamp};
use dialog::{Call, EndReason};
use media::Finished;

use super::marks::marks;
use crate::engine::{Claim, identity};
use crate::telling::Telling;

/// What is known of a call before its media are.
pub(super) struct Subject<'a> {
    call: Option<&'a Call>,
    claims: &'a [Claim],
}

impl<'a> Subject<'a> {
    pub(super) fn new(call: Option<&'a Call>, claims: &'a [Claim]) -> Self {
        Self { call, claims }
    }

    /// When the call began: its first message, or the first packet of one without signalling.
    pub(super) fn start(&self, first_packet: Timestamp) -> Timestamp {
        self.call.map_or(first_packet, |call| call.started)
    }

    /// The same for the same call, whenever and wherever it is finished again.
    pub(super) fn id(&self, first_packet: Timestamp) -> RecordingId {
        let start = self.start(first_packet);
        match (self.call, self.key()) {
            (Some(call), _) => RecordingId::of_call(start, &identity(call)),
            (None, key) => {
                let text = format!("{:?}", (key.domain, key.source, key.destination));
                RecordingId::of_call(start, &[text.as_bytes()])
            }
        }
    }

    /// Vorbis comments for the audio.
    pub(super) fn tags(&self, start: Timestamp) -> Vec<(String, String)> {
        let mut tags = vec![("DATE".to_owned(), start.to_string())];
        if let Some(call) = self.call {
            tags.push(("CALL-ID".into(), call.call_id.clone()));
            tags.push(("CALLER".into(), call.from.clone()));
            tags.push(("CALLEE".into(), call.to.clone()));
        }
        tags
    }

    fn key(&self) -> FlowKey {
        self.claims.first().map(|claim| claim.key).unwrap_or_default()
    }

    fn numbers(&self) -> (String, String) {
        match self.call {
            Some(call) => (call.caller.number.clone(), call.callee.number.clone()),
            None => (self.key().source.to_string(), self.key().destination.to_string()),
        }
    }

    /// When it ended, and how, as its signalling tells. Without that, its media do.
    fn end(&self) -> Option<(Timestamp, EndReason)> {
        self.call.and_then(|call| call.ended)
    }

    /// What is known to be missing, in words.
    fn incomplete_reasons(
        &self,
        finished: &Finished,
        span: Option<(Timestamp, Timestamp)>,
    ) -> Vec<String> {
        let mut reasons = Vec::new();
        let lost: u64 = finished.streams.iter().map(|report| report.stream.lost).sum();
        if lost > 0 {
            reasons.push(format!("{lost} packets never arrived"));
        }
        let truncated: u64 = finished.streams.iter().map(|report| report.truncated).sum();
        if truncated > 0 {
            reasons.push(format!("{truncated} packets were cut by the capture"));
        }
        let Some(call) = self.call else {
            reasons.push("its signalling was not seen".into());
            return reasons;
        };
        if call.joined_midway {
            reasons.push("its beginning was not seen".into());
        }
        match call.ended.map(|(_, reason)| reason) {
            Some(EndReason::CaptureEnd) => reasons.push("the capture ended before the call".into()),
            Some(EndReason::Interrupted) => {
                reasons.push("the recorder was stopped before the call ended".into())
            }
            Some(EndReason::Timeout) => reasons.push("its end was not seen".into()),
            _ => {}
        }
        if call.answered.is_some() && span.is_none() {
            reasons.push("it was answered, but none of its media were seen".into());
        }
        reasons
    }
}

/// The recording, but for what storing adds to the media files (path, size, hash). Its times are `ahead` nanoseconds
/// ahead of the call's, which began at `start`, and as those of its media are already.
pub(super) fn recording(
    subject: &Subject<'_>,
    id: RecordingId,
    (start, ahead): (Timestamp, i64),
    finished: &Finished,
    telling: &Telling,
    node: &str,
) -> Recording {
    let span = packet_span(finished);
    let told = |time: Timestamp| time.moved(ahead);
    let (stop, end_reason) = match subject.end() {
        Some((time, reason)) => (told(time), reason.to_string()),
        None => (span.map_or(told(start), |(_, last)| last), "noSignalling".into()),
    };
    let start = told(start);
    let (caller, dialled) = subject.numbers();
    let incomplete_reasons = subject.incomplete_reasons(finished, span);
    let call = subject.call;
    let (marks, marks_left_out) = marks(call, finished, ahead, telling.dtmf);
    let mut notes = finished.notes.clone();
    if marks_left_out > 0 {
        notes.push(format!("{marks_left_out} more marks are not listed"));
    }
    Recording {
        id,
        call_id: call.map(|c| c.call_id.clone()),
        caller_phone_number: caller,
        dialed_phone_number: dialled,
        from: call.map(|c| c.from.clone()),
        to: call.map(|c| c.to.clone()),
        direction: telling.own_numbers.direction(call.map(|c| (&c.caller, &c.callee))),
        start_time: start,
        answer_time: call.and_then(|c| c.answered).map(told),
        stop_time: stop,
        duration: u64::try_from(stop.since(start).as_millis()).unwrap_or(u64::MAX),
        end_reason,
        complete: incomplete_reasons.is_empty(),
        incomplete_reasons,
        gaps: finished.gaps.clone(),
        marks,
        legs: call.map(|call| legs(call, ahead)).unwrap_or_default(),
        streams: finished.streams.iter().map(|report| report.stream.clone()).collect(),
        media_files: finished.files.iter().map(media_file).collect(),
        messages: call.map(|call| messages(call, ahead)).unwrap_or_default(),
        clock: None,
        notes,
        node: node.into(),
        build: build(),
    }
}

/// Program and version.
fn build() -> String {
    format!("spanreel {}", env!("CARGO_PKG_VERSION"))
}

fn packet_span(finished: &Finished) -> Option<(Timestamp, Timestamp)> {
    let streams = || finished.streams.iter().map(|report| &report.stream);
    let files = || finished.files.iter();
    let first = streams().map(|s| s.start_time).chain(files().map(|f| f.start)).min()?;
    let last = streams().map(|s| s.stop_time).chain(files().map(|f| f.stop)).max()?;
    Some((first, last))
}

fn media_file(file: &media::File) -> MediaFile {
    let span = file.stop.since(file.start);
    MediaFile {
        media_id: file.name.clone(),
        path: file.name.clone(),
        media_type: file.media_type.into(),
        start_time: file.start,
        stop_time: file.stop,
        duration: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        channels: file.channels,
        size: 0,
        sha256: String::new(),
        peaks: file.peaks.clone(),
    }
}

fn legs(call: &Call, ahead: i64) -> Vec<Leg> {
    let leg = |leg: &dialog::Leg| Leg {
        call_id: call.call_id.clone(),
        from_tag: leg.from_tag.clone(),
        to_tag: leg.to_tag.clone(),
        start_time: leg.started.moved(ahead),
        answer_time: leg.answered.map(|time| time.moved(ahead)),
        stop_time: leg.ended.map(|time| time.moved(ahead)),
        hops: leg.hops.clone(),
    };
    call.legs.iter().map(leg).collect()
}

/// In the order of arrival.
fn messages(call: &Call, ahead: i64) -> Vec<Message> {
    let message = |m: dialog::LadderMessage<'_>| Message {
        time: m.time.moved(ahead),
        source: m.source,
        destination: m.destination,
        start_line: m.start_line.into(),
        cseq: m.cseq.into(),
        sdp: m.sdp,
        retransmission: m.retransmission,
    };
    let mut messages: Vec<_> = call.ladder.iter().map(message).collect();
    // A core that lagged behind may have told of its own too late for the engine to have them in order.
    messages.sort_by_key(|message| message.time);
    messages
}
