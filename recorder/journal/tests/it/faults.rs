//! Full, failing, cut off: nothing that was taken is lost as long as there is memory, and it is said.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use base::Timestamp;
use journal::{Appender, Journal, JournalState, Places, SourceId, Writer, WriterOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::common::{Datagram, datagram, datagrams, key, open_places, packet, read};
use crate::disk::FaultyDisk;
use journal::{Packets, Window};

/// A live journal of one core on a disk that fails as told.
struct Rig {
    disk: FaultyDisk,
    places: Places,
    journal: Journal,
    writer: Writer,
    appender: Appender,
    taken: Vec<Datagram>,
    now: u64,
    _scratch: TempDir,
}

fn options() -> WriterOptions {
    WriterOptions {
        flows_max: 4,
        chunks_max: 64,
        large_chunks_max: 4,
        segment_bytes_max: 80_000,
        live: true,
        hold: false,
    }
}

fn open(places: &Places) -> Journal {
    open_places(places, SourceId::default())
}

impl Rig {
    fn new(second: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let places = Places {
            disk: Arc::new(disk.clone()),
            folder: scratch.path().join("first"),
            second: second.then(|| scratch.path().join("second")),
            arena: None,
        };
        let journal = open(&places);
        let (writer, appender) = journal.core(0, &options(), Timestamp::ZERO).unwrap();
        let (taken, now) = (Vec::new(), 0);
        Self { disk, places, journal, writer, appender, taken, now, _scratch: scratch }
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let datagram = datagram(0, self.taken.len() as u64, 1_000);
            self.writer.media(&key(0), packet(&datagram)).unwrap();
            self.taken.push(datagram);
        }
        self.writer.seal_all();
    }

    /// A second passes, so that what is written is flushed.
    fn commit(&mut self) -> Result<bool, journal::JournalError> {
        self.now += 1_000_000_000;
        self.appender.commit(Timestamp::from_nanos(self.now))
    }

    fn found(journal: &Journal, writer: &Writer) -> Vec<Datagram> {
        let (_, summary) = writer.flows().next().unwrap();
        read(&journal.reader(), summary.end, Window::ALL)
    }

    fn assert_all_there(self) {
        assert_eq!(Self::found(&self.journal, &self.writer), self.taken, "live");
        let Self { places, journal, writer, appender, taken, .. } = self;
        drop((journal, writer, appender));
        let journal = open(&places);
        let recovered = journal.recover().unwrap();
        let [flow] = &recovered.flows[..] else { panic!("{:?}", recovered.flows) };
        assert_eq!(flow.summary.packets, taken.len() as u64, "no doubles");
        assert_eq!(read(&journal.reader(), flow.summary.end, Window::ALL), taken, "recovered");
        assert!(journal.discard_earlier_runs().unwrap() > 0);
        let left = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        assert_eq!(left(&places.folder) + places.second.as_deref().map_or(0, left), 0);
    }
}

#[test]
fn a_full_disk_is_told_and_what_waits_is_written_when_there_is_room() {
    let mut rig = Rig::new(false);
    rig.take(10);
    rig.appender.write_all().unwrap();
    rig.take(10);
    rig.disk.faults().write = Some(("first", ErrorKind::StorageFull));
    for _ in 0..2 {
        let error = rig.appender.write().unwrap_err().to_string();
        assert!(
            error.contains("000-0000000000.journal") && error.contains("free space"),
            "{error}"
        );
        assert!(rig.appender.pending() > 0);
        assert!(matches!(rig.appender.state(), JournalState::Failing { .. }));
    }
    rig.disk.faults().write = None;
    rig.appender.sync().unwrap();
    assert_eq!((rig.appender.pending(), rig.appender.state()), (0, JournalState::Writing));
    assert_eq!(std::fs::read_dir(&rig.places.folder).unwrap().count(), 1, "the same file");
    rig.assert_all_there();
}

#[test]
fn a_write_that_stops_half_way_goes_on_where_it_stopped() {
    let mut rig = Rig::new(false);
    rig.disk.faults().write_bytes_max = Some(777);
    rig.take(30);
    rig.appender.sync().unwrap();
    rig.assert_all_there();
}

#[test]
fn what_could_not_be_flushed_is_written_again_to_another_file() {
    let mut rig = Rig::new(false);
    rig.take(10);
    rig.appender.sync().unwrap();
    rig.take(7);
    rig.appender.write_all().unwrap();
    rig.disk.faults().flush = Some("first");
    for _ in 0..3 {
        assert!(rig.commit().unwrap_err().to_string().contains("cannot flush"));
        rig.take(2);
        rig.appender.write_all().unwrap();
    }
    rig.disk.faults().flush = None;
    assert!(rig.commit().unwrap());
    assert_eq!(rig.appender.state(), JournalState::Writing);
    let files = std::fs::read_dir(&rig.places.folder).unwrap().count();
    assert_eq!(files, 2, "those that never held anything durable are removed");
    rig.assert_all_there();
}

#[test]
fn a_failing_disk_moves_the_journal_and_a_good_one_has_it_back() {
    let mut rig = Rig::new(true);
    rig.take(40);
    rig.appender.sync().unwrap();
    rig.take(20);
    rig.appender.write_all().unwrap();
    rig.take(20);
    rig.disk.faults().write = Some(("first", ErrorKind::Other));
    rig.appender.write().unwrap_err();
    rig.appender.sync().unwrap();
    assert_eq!(rig.appender.state(), JournalState::Moved);
    rig.take(20);
    rig.appender.write_all().unwrap();
    rig.disk.faults().write = None;
    rig.appender.move_back();
    rig.take(20);
    rig.appender.sync().unwrap();
    assert_eq!(rig.appender.state(), JournalState::Writing);
    assert!(std::fs::read_dir(rig.places.second.as_ref().unwrap()).unwrap().count() > 0);
    rig.assert_all_there();
}

#[test]
fn buffers_are_kept_until_they_are_durable_and_flushed_early_when_they_become_few() {
    let mut rig = Rig::new(false);
    rig.disk.faults().flush = Some("first");
    let mut refused = 0;
    for number in 0..200 {
        let datagram = datagram(0, number, 3_900);
        match rig.writer.media(&key(0), packet(&datagram)) {
            Ok(_) => rig.taken.push(datagram),
            Err(_) => refused += 1,
        }
        rig.writer.seal_all();
        let _ = rig.appender.write();
        let _ = rig.appender.commit(Timestamp::ZERO);
    }
    assert_eq!(rig.taken.len() + refused, 200);
    assert!(refused > 100 && rig.taken.len() >= 60, "{refused} refused");
    rig.disk.faults().flush = None;
    rig.appender.sync().unwrap();
    rig.assert_all_there();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever sectors of what was not flushed survive a power cut: what was flushed is there, and of the rest
    /// only whole packets, unaltered.
    #[test]
    fn a_power_cut_costs_only_what_was_not_flushed(
        flushed in 0..60_usize,
        unflushed in 0..60_usize,
        sectors in proptest::collection::vec(any::<bool>(), 1..400),
    ) {
        let mut rig = Rig::new(false);
        for _ in 0..flushed {
            rig.take(1);
            rig.appender.write_all().unwrap();
        }
        rig.appender.sync().unwrap();
        for _ in 0..unflushed {
            rig.take(1);
            rig.appender.write_all().unwrap();
        }
        let mut keeps = sectors.into_iter().cycle();
        let Rig { disk, places, journal, writer, appender, taken, .. } = rig;
        drop((journal, writer, appender));
        disk.cut_power(|| keeps.next().unwrap());
        let journal = open(&places);
        let recovered = journal.recover().unwrap();
        let mut packets = Packets::default();
        for flow in &recovered.flows {
            journal.reader().read(flow.summary.end.unwrap(), Window::ALL, &mut packets).unwrap();
        }
        let found = datagrams(&packets);
        prop_assert_eq!(&found[..flushed.min(found.len())], &taken[..flushed]);
        prop_assert!(found.iter().all(|found| taken.contains(found)));
    }
}
