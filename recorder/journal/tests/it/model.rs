//! Any interleaving of packets, messages, times, seals, writes, reads and releases, against a model in memory.

use std::collections::BTreeMap;

use base::{Timestamp, Transport};
use journal::{FlowId, Packets, Window, WriterOptions};
use proptest::prelude::*;

use crate::common::{Bench, Datagram, datagram, datagrams, key, open, packet, read, small, window};

#[derive(Clone, Debug)]
enum Step {
    /// A datagram, `later` ns after the one before (or earlier).
    Media {
        flow: u16,
        bytes: usize,
        later: i64,
    },
    Message {
        bytes: usize,
        later: i64,
    },
    Aged {
        milliseconds: u64,
    },
    SealFlow {
        flow: u16,
    },
    SealAll,
    Write,
    /// Reads the part of a flow between two of its packets.
    Read {
        flow: u16,
        from: prop::sample::Index,
        to: prop::sample::Index,
    },
    /// A call on the flow is finished at one of its packets.
    Release {
        flow: u16,
        at: prop::sample::Index,
    },
    ReleaseMessages {
        at: prop::sample::Index,
    },
    Delete,
    Forget {
        flow: u16,
    },
}

fn later() -> impl Strategy<Value = i64> {
    let seconds = 1_000_000_000_i64;
    prop_oneof![8 => 0..40_000_000_i64, 1 => -2 * seconds..0, 1 => 0..6 * seconds]
}

fn step() -> impl Strategy<Value = Step> {
    let flow = || 0..5_u16;
    let bytes = prop_oneof![8 => 0..400_usize, 2 => 3_900..4_100_usize, 1 => 0..=65_535_usize];
    let message = prop_oneof![4 => 0..2_000_usize, 1 => 0..=65_536_usize];
    let index = any::<prop::sample::Index>;
    prop_oneof![
        40 => (flow(), bytes, later()).prop_map(|(flow, bytes, later)| Step::Media { flow, bytes, later }),
        8 => (message, later()).prop_map(|(bytes, later)| Step::Message { bytes, later }),
        4 => (0..1_500_u64).prop_map(|milliseconds| Step::Aged { milliseconds }),
        4 => flow().prop_map(|flow| Step::SealFlow { flow }),
        1 => Just(Step::SealAll),
        6 => Just(Step::Write),
        6 => (flow(), index(), index()).prop_map(|(flow, from, to)| Step::Read { flow, from, to }),
        2 => (flow(), index()).prop_map(|(flow, at)| Step::Release { flow, at }),
        1 => index().prop_map(|at| Step::ReleaseMessages { at }),
        2 => Just(Step::Delete),
        1 => flow().prop_map(|flow| Step::Forget { flow }),
    ]
}

struct Flow {
    id: FlowId,
    packets: Vec<Datagram>,
    /// Packets before this may be gone.
    released: u64,
}

impl Flow {
    fn within(&self, window: Window) -> Vec<Datagram> {
        let inside = |packet: &&Datagram| window.contains(Timestamp::from_nanos(packet.time));
        self.packets.iter().filter(inside).cloned().collect()
    }
}

struct Model {
    bench: Bench,
    time: u64,
    clock: u64,
    flows: BTreeMap<u16, Flow>,
    messages: Vec<(u64, Vec<u8>)>,
    messages_released: u64,
}

impl Model {
    fn new(options: &WriterOptions) -> Self {
        let (flows, messages) = (BTreeMap::new(), Vec::new());
        let time = 1_700_000_000_000_000_000;
        Self { bench: Bench::new(options), time, clock: 0, flows, messages, messages_released: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Media { flow, bytes, later } => self.media(flow, bytes, later),
            Step::Message { bytes, later } => self.message(bytes, later),
            Step::Aged { milliseconds } => {
                self.clock += milliseconds * 1_000_000;
                self.bench.writer.seal_aged(Timestamp::from_nanos(self.clock));
                if milliseconds > 1_400 {
                    self.bench.appender.commit(Timestamp::from_nanos(self.clock)).unwrap();
                }
            }
            Step::SealFlow { flow } => {
                if let Some(flow) = self.flows.get(&flow) {
                    assert!(self.bench.writer.seal_flow(flow.id).is_some());
                }
            }
            Step::SealAll => {
                self.bench.writer.seal_all();
            }
            Step::Write => {
                self.bench.appender.write().unwrap();
            }
            Step::Read { flow, from, to } => self.read(flow, from, to),
            Step::Release { flow, at } => {
                if let Some(flow) = self.flows.get_mut(&flow) {
                    flow.released = flow.released.max(at.get(&flow.packets).time);
                    self.bench.writer.release_before(flow.id, Timestamp::from_nanos(flow.released));
                }
            }
            Step::ReleaseMessages { at } => {
                if !self.messages.is_empty() {
                    self.messages_released = self.messages_released.max(at.get(&self.messages).0);
                    let time = Timestamp::from_nanos(self.messages_released);
                    self.bench.writer.release_signalling_before(time);
                }
            }
            Step::Delete => {
                let needed = self.bench.writer.needed_from();
                self.bench.appender.release_before(needed).unwrap();
            }
            Step::Forget { flow } => {
                if let Some(flow) = self.flows.remove(&flow) {
                    assert!(self.bench.writer.forget_flow(flow.id));
                    assert_eq!(self.bench.writer.flow(flow.id), None);
                }
            }
        }
    }

    fn media(&mut self, flow: u16, bytes: usize, later: i64) {
        self.time = self.time.saturating_add_signed(later);
        let datagram = datagram(flow, self.time, bytes);
        let appended = loop {
            match self.bench.writer.media(&key(flow), packet(&datagram)) {
                Ok(appended) => break appended,
                // Large buffers are few here; the disk catches up.
                Err(refused) => {
                    assert!(self.bench.appender.write().unwrap().chunks > 0, "{refused}")
                }
            }
        };
        let known = self.flows.entry(flow).or_insert_with(|| {
            assert!(appended.opened);
            Flow { id: appended.flow, packets: Vec::new(), released: 0 }
        });
        assert_eq!(appended.flow, known.id);
        assert_eq!(appended.opened, known.packets.is_empty());
        known.packets.push(datagram);
        let summary = self.bench.writer.flow(known.id).unwrap();
        assert_eq!(summary.packets, known.packets.len() as u64);
        assert_eq!(
            summary.bytes,
            known.packets.iter().map(|packet| packet.payload.len() as u64).sum::<u64>()
        );
        assert_eq!(
            summary.last.as_nanos(),
            known.packets.iter().map(|packet| packet.time).max().unwrap()
        );
    }

    fn message(&mut self, bytes: usize, later: i64) {
        self.time = self.time.saturating_add_signed(later);
        let message = datagram(99, self.time, bytes).payload;
        let time = Timestamp::from_nanos(self.time);
        while self.bench.writer.signalling(time, &key(99), Transport::Tcp, &message).is_err() {
            assert!(self.bench.appender.write().unwrap().chunks > 0);
        }
        self.messages.push((self.time, message));
    }

    fn read(&mut self, flow: u16, from: prop::sample::Index, to: prop::sample::Index) {
        let Some(flow) = self.flows.get(&flow) else { return };
        let from = from.get(&flow.packets).time.max(flow.released);
        let window = window(from, to.get(&flow.packets).time);
        let end = self.bench.writer.seal_flow(flow.id);
        self.bench.appender.write_all().unwrap();
        assert_eq!(read(&self.bench.reader, end, window), flow.within(window));
        let chain = self.bench.reader.chain(end.unwrap(), window).unwrap();
        assert_eq!((chain.released, &chain.damaged[..]), (None, &[][..]));
        let mut packets = Packets::default();
        self.bench.reader.load(&chain, window, &mut packets).unwrap();
        assert_eq!(datagrams(&packets), flow.within(window));
    }

    /// Ends the run and checks what the next one recovers.
    fn end(mut self) {
        self.bench.writer.seal_all();
        let flows: Vec<_> = self.flows.values().collect();
        let ends: Vec<_> = flows
            .iter()
            .map(|flow| self.bench.writer.flow(flow.id).unwrap().end.unwrap())
            .collect();
        let folder = self.bench.end();
        let journal = open(folder.path());
        let recovered = journal.recover().unwrap();
        assert_eq!(recovered.damaged, []);
        let reader = journal.reader();
        for (flow, end) in flows.into_iter().zip(ends) {
            let found =
                recovered.flows.iter().find(|found| found.summary.end == Some(end)).unwrap();
            assert_eq!(found.summary.key, key(found.summary.key.source.port() - 10_000));
            let window = window(flow.released, u64::MAX);
            assert_eq!(read(&reader, Some(end), window), flow.within(window));
        }
        let mut messages = Vec::new();
        let damaged = recovered.replay_signalling(&reader, |_, message| {
            assert_eq!((message.key, message.transport), (key(99), Transport::Tcp));
            messages.push((message.time.as_nanos(), message.message.to_vec()));
        });
        assert_eq!(damaged.unwrap(), []);
        assert_eq!(recovered.messages(), messages.len() as u64);
        let gone = self.messages.len() - messages.len();
        assert_eq!(self.messages[gone..], messages, "what is left is the end of what was written");
        let needed = |message: &&(u64, Vec<u8>)| message.0 >= self.messages_released;
        assert_eq!(self.messages[..gone].iter().find(needed), None, "nothing needed was deleted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_went_in_comes_out(steps in proptest::collection::vec(step(), 1..300), hold: bool) {
        let mut model = Model::new(&WriterOptions { hold, ..small() });
        steps.into_iter().for_each(|step| model.step(step));
        model.end();
    }
}
