//! Arbitrary bytes as a journal segment, as what is inside a decrypted chunk, and as edits of a real segment.
#![no_main]

use std::sync::OnceLock;

use base::{FlowKey, MediaPacket, Timestamp, Transport};
use journal::records::{MediaRecords, SignallingRecords};
use journal::{Journal, JournalKey, SourceId, WriterOptions, inspect};
use libfuzzer_sys::fuzz_target;

fn key() -> JournalKey {
    JournalKey::from_bytes([7; 32])
}

/// A segment with chunks of both kinds.
fn segment() -> &'static [u8] {
    static SEGMENT: OnceLock<Vec<u8>> = OnceLock::new();
    SEGMENT.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("fuzz-segment-{}", std::process::id()));
        let journal = Journal::open(&folder, key(), SourceId::default()).unwrap();
        let options = WriterOptions { flows_max: 4, chunks_max: 8, ..WriterOptions::default() };
        let (mut writer, mut appender) = journal.core(0, &options, Timestamp::ZERO).unwrap();
        for time in 0..6 {
            let time = Timestamp::from_nanos(time);
            let packet = MediaPacket { time, payload: &[1; 20], wire_bytes: 20 };
            writer.media(&FlowKey::default(), packet).unwrap();
            writer.signalling(time, &FlowKey::default(), Transport::Udp, b"INVITE").unwrap();
            writer.seal_all();
        }
        appender.sync().unwrap();
        let bytes = std::fs::read(folder.join("000-0000000000.journal")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        bytes
    })
}

fuzz_target!(|data: &[u8]| {
    let _ = inspect(&mut data.to_vec(), &key());

    let records = u16::try_from(data.len()).unwrap_or(u16::MAX);
    if let Some((_, media)) = MediaRecords::new(data, records, Timestamp::MAX) {
        media.for_each(|packet| assert!(packet.payload.len() <= data.len()));
    }
    SignallingRecords::new(data, records)
        .for_each(|message| assert!(message.message.len() <= data.len()));

    // Each four bytes: where to, where from, how much.
    let mut edited = segment().to_vec();
    for edit in data.chunks_exact(4) {
        let [to, high, low, length] = [edit[0], edit[1], edit[2], edit[3]].map(usize::from);
        let from = (high << 8 | low) % segment().len();
        let piece: Vec<u8> = segment()[from..].iter().take(length).copied().collect();
        let to = (128 + to * 8).min(edited.len());
        let end = (to + length).min(edited.len());
        edited.splice(to..end, piece);
    }
    if let Ok(found) = inspect(&mut edited, &key()) {
        assert!(found.chunks <= 12 && found.records == found.chunks as u64, "{found:?}");
    }
});
