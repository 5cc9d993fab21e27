//! A second run finds the first one's segments, adds its own, and deletes the old ones when they are done.

use base::{Timestamp, Transport};
use journal::{Journal, JournalError, JournalKey, SourceId, Window};

use crate::common::{Bench, datagram, key, open, packet, read, small};

#[test]
fn a_new_run_reads_the_old_one_and_writes_beside_it() {
    let mut bench = Bench::new(&small());
    let first: Vec<_> = (0..50).map(|number| bench.media(0, number, 3_000)).collect();
    bench.writer.signalling(Timestamp::from_nanos(7), &key(1), Transport::Tcp, b"INVITE").unwrap();
    let folder = bench.end();

    let journal = open(folder.path());
    let recovered = journal.recover().unwrap();
    let (mut writer, mut appender) = journal.core(0, &small(), Timestamp::ZERO).unwrap();
    // The same slot and generation as in the first run: another flow all the same.
    let second: Vec<_> = (100..120).map(|number| datagram(0, number, 3_000)).collect();
    let mut flow = None;
    for datagram in &second {
        flow = Some(writer.media(&key(0), packet(datagram)).unwrap().flow);
    }
    let end = writer.seal_flow(flow.unwrap()).unwrap();
    appender.sync().unwrap();
    let last = recovered.segments.last().unwrap();
    assert_eq!((last.header.core, last.header.run, last.header.source), (0, 0, SourceId([9; 32])));
    assert!(last.header.segment > 0 && end.segment() > last.header.segment);
    let reader = journal.reader();
    assert_eq!(recovered.flows.len(), 1);
    let old = &recovered.flows[0];
    assert_eq!((old.core, old.run, old.summary.packets), (0, 0, 50));
    assert_eq!(read(&reader, old.summary.end, Window::ALL), first);
    assert_eq!(read(&reader, Some(end), Window::ALL), second);
    drop((writer, appender, journal, reader));

    // A third run sees both.
    let journal = open(folder.path());
    let recovered = journal.recover().unwrap();
    let mut runs: Vec<_> =
        recovered.flows.iter().map(|flow| (flow.run, flow.summary.packets)).collect();
    runs.sort_unstable();
    assert_eq!(runs, [(0, 50), (last.header.segment + 1, 20)]);
    let count = recovered.segments.len();
    assert_eq!(journal.discard_earlier_runs().unwrap(), count);
    assert_eq!(journal.discard_earlier_runs().unwrap(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(open_again(journal, folder.path()).recover().unwrap().flows.len(), 0);
}

fn open_again(journal: Journal, folder: &std::path::Path) -> Journal {
    drop(journal);
    open(folder)
}

#[test]
fn what_was_not_sealed_is_lost_and_nothing_else() {
    let mut bench = Bench::new(&small());
    let sealed = bench.media(0, 1, 100);
    bench.writer.seal_all();
    bench.media(0, 2, 100);
    bench.appender.write_all().unwrap();
    let Bench { folder, journal, writer, appender, reader } = bench;
    drop((journal, writer, appender, reader));
    let journal = open(folder.path());
    let recovered = journal.recover().unwrap();
    assert_eq!(recovered.damaged, []);
    assert_eq!(read(&journal.reader(), recovered.flows[0].summary.end, Window::ALL), [sealed]);
}

#[test]
fn one_process_has_a_journal_and_one_writer_a_core() {
    let bench = Bench::new(&small());
    let second =
        Journal::open(bench.folder.path(), JournalKey::from_bytes([7; 32]), SourceId([9; 32]));
    assert!(matches!(second, Err(JournalError::Busy { .. })));
    let second = bench.journal.core(0, &small(), Timestamp::ZERO);
    assert!(matches!(second, Err(JournalError::CoreTaken { core: 0 })));
    // Whatever part is left keeps it open.
    let Bench { journal, writer, appender, reader, folder } = bench;
    drop((journal, writer, appender));
    let second = Journal::open(folder.path(), JournalKey::from_bytes([7; 32]), SourceId([9; 32]));
    assert!(matches!(second, Err(JournalError::Busy { .. })));
    drop(reader);
    open(folder.path());
}

#[test]
fn an_impossible_segment_number_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("000-4294967295.journal"), b"").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"other files are left alone").unwrap();
    let opened = Journal::open(folder.path(), JournalKey::from_bytes([7; 32]), SourceId([9; 32]));
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("000-4294967295.journal"), "{error}");
}
