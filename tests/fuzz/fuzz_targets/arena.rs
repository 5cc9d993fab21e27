//! Arbitrary bytes as the memory of a killed run, and as edits of a real one.
#![no_main]

use std::sync::OnceLock;

use base::{FlowKey, MediaPacket, Timestamp, Transport};
use capture::memory::{Kept, Shelf};
use journal::{Journal, JournalKey, Places, SourceId, WriterOptions, inspect_arena};
use libfuzzer_sys::fuzz_target;

/// An arena with open and sealed chunks of both kinds.
fn arena() -> &'static [u8] {
    static ARENA: OnceLock<Vec<u8>> = OnceLock::new();
    ARENA.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("fuzz-arena-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let shelf = Shelf::folder(&folder.join("arena")).unwrap();
        let places =
            Places { arena: Some(shelf.clone()), ..Places::from(&folder.join("journal")) };
        let key = JournalKey::from_bytes([7; 32]);
        let journal = Journal::open(places, key, SourceId::default()).unwrap();
        let options = WriterOptions {
            flows_max: 4,
            chunks_max: 8,
            large_chunks_max: 4,
            ..WriterOptions::default()
        };
        let (mut writer, _appender) = journal.core(0, &options, Timestamp::ZERO).unwrap();
        for time in 0..6 {
            let time = Timestamp::from_nanos(time);
            let packet = MediaPacket { time, payload: &[1; 20], wire_bytes: 20 };
            writer.media(&FlowKey::default(), packet).unwrap();
            writer.signalling(time, &FlowKey::default(), Transport::Udp, b"INVITE").unwrap();
            if time.as_nanos() % 2 == 0 {
                writer.seal_all();
            }
        }
        let bytes = std::fs::read(shelf.path("000-0000000000.arena")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        bytes
    })
}

fuzz_target!(|data: &[u8]| {
    let _ = inspect_arena(Kept::of_bytes(data.to_vec()));

    // Each eight bytes: which word, and what it becomes.
    let mut edited = arena().to_vec();
    for edit in data.chunks_exact(8) {
        let [block, word] = [edit[0], edit[1]].map(usize::from);
        let at = (4_096 * (block % 10) + 4 * (word % 64)).min(edited.len() - 4);
        edited[at..at + 4].copy_from_slice(&edit[4..8]);
    }
    if let Some(found) = inspect_arena(Kept::of_bytes(edited)).unwrap() {
        assert!(found.chunks <= 12, "{found:?}");
    }
});
