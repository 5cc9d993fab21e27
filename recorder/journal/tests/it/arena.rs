//! Killed at any moment: every packet that was taken is found, once, from the segments and the arena together.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use base::{Timestamp, Transport};
use capture::memory::{Kept, Shelf};
use journal::{
    Journal, JournalKey, Packets, Places, SourceId, Window, WriterOptions, inspect_arena,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::common::{datagram, datagrams, key, packet};

const FLOWS: u16 = 5;

fn places(folder: &Path) -> Places {
    let shelf = Shelf::folder(&folder.join("arena")).unwrap();
    Places { arena: Some(shelf), ..Places::from(&folder.join("journal")) }
}

fn open(folder: &Path) -> Journal {
    Journal::open(places(folder), JournalKey::from_bytes([7; 32]), SourceId([9; 32])).unwrap()
}

fn options() -> WriterOptions {
    WriterOptions {
        flows_max: 16,
        chunks_max: 512,
        large_chunks_max: 16,
        segment_bytes_max: 300_000,
        live: true,
        hold: false,
    }
}

/// How long the packet with this number is; some need a chunk of their own.
fn length(number: u64) -> usize {
    if number % 401 == 400 { 5_000 } else { 20 + (number % 170) as usize }
}

/// The message with this number.
fn message(number: u64) -> Vec<u8> {
    datagram(99, number, 700 + (number % 500) as usize).payload
}

/// The only arena's bytes.
fn arena(folder: &Path) -> Vec<u8> {
    let shelf = places(folder).arena.unwrap();
    let names = shelf.names().unwrap();
    let [name] = &names[..] else { panic!("{names:?}") };
    std::fs::read(shelf.path(name)).unwrap()
}

/// Recovers, and gives how many packets and messages there are, each as it was taken and in order.
fn recover(folder: &Path) -> u64 {
    let journal = open(folder);
    let recovered = journal.recover().unwrap();
    let mut count = 0;
    for flow in &recovered.flows {
        let number = flow.summary.key.source.port() - 10_000;
        let mut packets = Packets::default();
        journal.reader().read(flow.summary.end.unwrap(), Window::ALL, &mut packets).unwrap();
        assert_eq!(packets.damaged(), []);
        let found = datagrams(&packets);
        for (found, time) in found.iter().zip((u64::from(number)..).step_by(FLOWS.into())) {
            assert_eq!(*found, datagram(number, time, length(time)));
        }
        assert_eq!(flow.summary.packets, found.len() as u64);
        count += found.len() as u64;
    }
    let mut messages = 0;
    let damaged = recovered.replay_signalling(&journal.reader(), |_, found| {
        assert_eq!(found.message, message(messages));
        messages += 1;
    });
    assert_eq!(damaged.unwrap(), []);
    assert_eq!(recovered.messages(), messages);
    count + messages
}

/// What the process that is killed does: writes on and on, on two threads, until it is.
#[test]
fn victim() {
    let Some(folder) = std::env::var_os("JOURNAL_VICTIM") else { return };
    let journal = open(Path::new(&folder));
    let (mut writer, mut appender) = journal.core(0, &options(), Timestamp::ZERO).unwrap();
    let disk = std::thread::Builder::new().spawn(move || {
        for now in 0.. {
            appender.write().unwrap();
            appender.commit(Timestamp::from_nanos(now * 100_000)).unwrap();
        }
    });
    assert!(disk.is_ok());
    let (mut number, mut messages) = (0, 0);
    loop {
        let flow = (number % u64::from(FLOWS)) as u16;
        let datagram = datagram(flow, number, length(number));
        while writer.media(&key(flow), packet(&datagram)).is_err() {
            std::thread::yield_now();
        }
        if number % 97 == 0 {
            let (time, text) = (Timestamp::from_nanos(number), message(messages));
            while writer.signalling(time, &key(99), Transport::Tcp, &text).is_err() {
                std::thread::yield_now();
            }
            messages += 1;
        }
        number += 1;
        if number % 1_000 == 0 {
            writer.seal_all();
        }
    }
}

#[test]
fn every_packet_that_a_killed_writer_had_taken_is_found_once() {
    let mut found_in_all = 0;
    for round in 0..25_u64 {
        let scratch = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "arena::victim"])
            .env("JOURNAL_VICTIM", scratch.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(20_000 + round * 7_919));
        victim.kill().unwrap();
        victim.wait().unwrap();
        if !scratch.path().join("arena").is_dir()
            || places(scratch.path()).arena.unwrap().names().unwrap().is_empty()
        {
            continue; // killed before it began
        }
        let bytes = arena(scratch.path());
        let Some(inspection) = inspect_arena(Kept::of_bytes(bytes.clone())).unwrap() else {
            continue; // killed while its header was written: nothing was taken
        };
        let found = recover(scratch.path());
        // The count is stored after the packet.
        assert!(
            found == inspection.taken || found == inspection.taken + 1,
            "{found} found, {} taken",
            inspection.taken
        );
        // Killed after writing what was missing and before removing the arena: the same again.
        let again = scratch.path().join("arena/000-0000000000.arena");
        assert!(!again.exists());
        std::fs::write(&again, bytes).unwrap();
        assert_eq!(recover(scratch.path()), found);
        found_in_all += found;
    }
    println!("{found_in_all} packets and messages found");
    assert!(found_in_all > 10_000);
}

/// A run that ended with `sealed` and open chunks, some of them written.
fn left_by_a_run() -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let journal = open(scratch.path());
    let (mut writer, mut appender) = journal.core(0, &options(), Timestamp::ZERO).unwrap();
    for number in 0..1_200 {
        let flow = (number % u64::from(FLOWS)) as u16;
        let datagram = datagram(flow, number, length(number));
        writer.media(&key(flow), packet(&datagram)).unwrap();
        match number {
            300 => appender.sync().unwrap(),
            600 => assert!(appender.write().unwrap().chunks > 0),
            _ => {}
        }
    }
    writer.signalling(Timestamp::ZERO, &key(99), Transport::Tcp, &message(0)).unwrap();
    scratch
}

#[test]
fn open_sealed_and_written_chunks_come_back_together() {
    let scratch = left_by_a_run();
    assert_eq!(recover(scratch.path()), 1_201);
    assert_eq!(recover(scratch.path()), 1_201, "they are in segments now");
    let journal = open(scratch.path());
    let (mut writer, mut appender) = journal.core(0, &options(), Timestamp::ZERO).unwrap();
    writer.media(&key(0), packet(&datagram(0, 1, 10))).unwrap();
    writer.seal_all();
    appender.sync().unwrap();
    assert_eq!(journal.recover().unwrap().flows.len(), usize::from(FLOWS), "the new run is apart");
}

/// A run that takes seven packets and is killed.
fn run_shortly(scratch: &TempDir) {
    let journal = open(scratch.path());
    let (mut writer, _appender) = journal.core(0, &options(), Timestamp::ZERO).unwrap();
    for number in 0..7 {
        let flow = (number % u64::from(FLOWS)) as u16;
        let datagram = datagram(flow, number, length(number));
        writer.media(&key(flow), packet(&datagram)).unwrap();
    }
}

#[test]
fn a_run_that_was_killed_twice_loses_nothing_of_either() {
    let scratch = left_by_a_run();
    // The next run takes packets and is killed before the recovery ran.
    run_shortly(&scratch);
    assert_eq!(recover(scratch.path()), 1_201 + 7);
}

#[test]
fn a_run_that_was_killed_while_it_began_keeps_no_other_from_beginning() {
    let scratch = left_by_a_run();
    drop(open(scratch.path()).core(0, &options(), Timestamp::ZERO).unwrap());
    let shelf = places(scratch.path()).arena.unwrap();
    let latest = shelf.names().unwrap().pop().unwrap();
    std::fs::write(shelf.path(&latest), b"").unwrap();
    run_shortly(&scratch);
    assert_eq!(recover(scratch.path()), 1_201 + 7);
}

#[test]
fn an_arena_that_is_none_is_set_aside_and_named() {
    let scratch = left_by_a_run();
    std::fs::write(scratch.path().join("arena/007-0000000000.arena"), [1; 10_000]).unwrap();
    let journal = open(scratch.path());
    let damaged = journal.recover().unwrap().damaged;
    assert!(damaged.iter().any(|damage| damage.to_string().contains("007-0000000000.arena")));
    drop(journal);
    assert_eq!(recover(scratch.path()), 1_201);
}

/// The arena of [`left_by_a_run`].
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| arena(left_by_a_run().path()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_arena(bytes: Vec<u8>) {
        prop_assert_eq!(inspect_arena(Kept::of_bytes(bytes)).unwrap(), None);
    }

    /// Words of an arena changed, and its end cut off: nothing panics, and nothing is found that was not there.
    #[test]
    fn an_altered_arena_harms_nobody(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..300),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample().to_vec();
        // Most edits are where headers are.
        for (number, (place, value)) in edits.iter().enumerate() {
            let block = place.index(100) * 4_096 + 4_096;
            let at = if number % 2 == 0 { block + (*value as usize % 16) * 4 } else { block + (*value as usize % 1_024) * 4 };
            bytes[at..at + 4].copy_from_slice(&value.rotate_left(7).to_le_bytes());
        }
        bytes.truncate(cut.index(bytes.len()).max(8_192));
        if let Some(found) = inspect_arena(Kept::of_bytes(bytes.clone())).unwrap() {
            prop_assert!(found.records <= 8 * 1_201, "{found:?}");
        }
        let scratch = tempfile::tempdir().unwrap();
        let folder = places(scratch.path()).arena.unwrap().path("000-0000000000.arena");
        std::fs::write(folder, bytes).unwrap();
        let journal = open(scratch.path());
        let recovered = journal.recover().unwrap();
        let mut packets = Packets::default();
        for flow in &recovered.flows {
            let _ = journal.reader().read(flow.summary.end.unwrap(), Window::ALL, &mut packets);
        }
    }
}
