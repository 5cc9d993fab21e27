//! What a recorder should have found: a JSON object a call, in the file beside the capture.

use std::path::{Path, PathBuf};

use base::{Endpoint, Side, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::g711::Law;
use super::plan::{Call, Party, Plan};
use super::sip;
use super::voice::PACKET_SAMPLES;

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Truth {
    /// Its number among the calls of the capture, from 0.
    pub call: u32,
    /// The Call-ID.
    pub call_id: String,
    /// User part of the From URI.
    pub caller: String,
    /// User part of the Request-URI.
    pub dialed: String,
    /// The INVITE.
    pub start_time: Timestamp,
    /// The 200 that answers it.
    pub answer_time: Timestamp,
    /// The BYE.
    pub stop_time: Timestamp,
    /// Who sent the BYE.
    pub hangs_up: Side,
    /// Nanoseconds from the caller's first sample to the callee's; negative if the callee spoke first.
    pub callee_offset_nanos: i64,
    /// Caller, callee.
    pub sides: [SideTruth; 2],
}

/// What one side sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SideTruth {
    /// Whose.
    pub side: Side,
    /// Where its RTP comes from.
    pub source: Endpoint,
    /// Where it goes to.
    pub destination: Endpoint,
    /// `0x` and eight digits.
    pub ssrc: String,
    /// PCMU or PCMA.
    pub codec: Law,
    /// When the first packet is due: sent, before jitter.
    pub first_time: Timestamp,
    /// RTP sequence number of the first packet.
    pub first_sequence: u16,
    /// RTP timestamp of the first packet.
    pub first_timestamp: u32,
    /// Packets sent, lost ones included, copies not.
    pub sent: u32,
    /// Which of them are not in the capture: numbers from 0 in the order of sending.
    pub lost: Vec<u32>,
    /// Packets that are in the capture twice.
    pub duplicates: u32,
    /// Packets whose first copy comes after one that was sent later.
    pub late: u32,
    /// SHA-256 of the payload of the packets in the capture, each once, in the order of sending. Of calls that no file
    /// was made of, neither hash is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<String>,
    /// SHA-256 of all samples, 16 bits little-endian, those of lost packets as zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcm_sha256: Option<String>,
    /// How many samples that are.
    pub samples: u64,
}

impl Truth {
    /// Reads the truth file beside the capture `capture`.
    ///
    /// # Errors
    /// If it is not there or not a truth file.
    pub fn read(capture: &Path) -> anyhow::Result<Vec<Self>> {
        let path = truth_path(capture);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// Where the truth about `capture` is: the same name with `.truth.jsonl` behind it.
#[must_use]
pub fn truth_path(capture: &Path) -> PathBuf {
    let mut name = capture.as_os_str().to_owned();
    name.push(".truth.jsonl");
    name.into()
}

/// The truth of one side while it grows, packet after packet.
#[derive(Clone, Default)]
pub(super) struct Tally {
    sound: Option<Sound>,
    lost: Vec<u32>,
    duplicates: u32,
    late: u32,
}

/// All sound of a side so far.
#[derive(Clone, Default)]
struct Sound {
    payload: Sha256,
    pcm: Sha256,
}

impl Tally {
    /// Of a side whose sound is to be hashed.
    pub(super) fn hashed() -> Self {
        Self { sound: Some(Sound::default()), ..Self::default() }
    }

    /// Of a side whose packets come as they are due, or are lost. Nothing is hashed.
    pub(super) fn of_party(plan: &Plan, party: &Party) -> Self {
        let lost = |index: &u32| plan.fate(party, *index).arrival.is_none();
        let lost = if plan.loses() { (0..plan.packets).filter(lost).collect() } else { Vec::new() };
        Self { lost, ..Self::default() }
    }

    pub(super) fn lose(&mut self, index: u32) {
        self.lost.push(index);
        self.sound.iter_mut().for_each(|sound| sound.pcm.update([0; 2 * PACKET_SAMPLES]));
    }

    pub(super) fn deliver(
        &mut self,
        law: Law,
        payload: &[u8; PACKET_SAMPLES],
        twice: bool,
        late: bool,
    ) {
        if let Some(sound) = &mut self.sound {
            let mut pcm = [0; 2 * PACKET_SAMPLES];
            for (bytes, code) in pcm.as_chunks_mut::<2>().0.iter_mut().zip(payload) {
                *bytes = law.decode(*code).to_le_bytes();
            }
            sound.pcm.update(pcm);
            sound.payload.update(payload);
        }
        self.duplicates += u32::from(twice);
        self.late += u32::from(late);
    }

    fn finish(self, plan: &Plan, law: Law, party: &Party, to: &Party) -> SideTruth {
        let (payload, pcm) = self.sound.map(|sound| (sound.payload, sound.pcm)).unzip();
        SideTruth {
            side: party.side,
            source: party.media(),
            destination: to.media(),
            ssrc: format!("{:#010x}", party.ssrc),
            codec: law,
            first_time: Timestamp::from_nanos(party.first_time),
            first_sequence: party.first_sequence,
            first_timestamp: party.first_timestamp,
            sent: plan.packets,
            lost: self.lost,
            duplicates: self.duplicates,
            late: self.late,
            payload_sha256: payload.map(hex),
            pcm_sha256: pcm.map(hex),
            samples: u64::from(plan.packets) * PACKET_SAMPLES as u64,
        }
    }
}

/// The truth of a call of which every packet has been tallied.
pub(super) fn of_call(plan: &Plan, call: &Call, [caller, callee]: [Tally; 2]) -> Truth {
    let at = Timestamp::from_nanos;
    Truth {
        call: call.index,
        call_id: sip::call_id(call),
        caller: sip::user(&call.caller),
        dialed: sip::user(&call.callee),
        start_time: at(call.invite),
        answer_time: at(call.answer),
        stop_time: at(call.bye),
        hangs_up: call.hangs_up,
        callee_offset_nanos: at(call.callee.first_time)
            .signed_nanos_since(at(call.caller.first_time)),
        sides: [
            caller.finish(plan, call.law, &call.caller, &call.callee),
            callee.finish(plan, call.law, &call.callee, &call.caller),
        ],
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
