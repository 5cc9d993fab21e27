//! What the counts of a live run mean: losses by stage, the health of the mirror port, threads near their limit.
//!
//! Sans-I/O: the run shows its counts a few times a second, and conditions are set on the board.

use std::time::Duration;

use base::ledger::Note;
use base::{Ledger, Outcome};

use super::settings::Settings;
use super::share::{Share, Window, percent};
use super::{AlarmId, Board, Moment};

/// Calls of which a share is worth a word.
const CALLS_MIN: u64 = 5;
/// Packets of which a share is worth a word.
const PACKETS_MIN: u64 = 5_000;
/// Above this share of the calls, what one direction or half of the signalling or media lacks is the rule.
const RULE_PERCENT: u8 = 50;
/// A ring filled more than this has seen a peak that it nearly did not take.
const RING_PERCENT: u8 = 50;

/// What a run has counted since its start, and how it is now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The interface's name.
    pub(crate) interface: String,
    /// Why nothing can come in, if so: it is down, has no carrier, is gone.
    pub(crate) down: Option<&'static str>,
    /// Packets that came in: by the kernel's program, else by the sockets.
    pub(crate) received: u64,
    /// Packets that the card lost, by its own names.
    pub(crate) interface_lost: Vec<(&'static str, u64)>,
    /// Packets that the kernel's program lost.
    pub(crate) program_lost: u64,
    /// Packets that the sockets lost, by name.
    pub(crate) sockets_lost: Vec<(&'static str, u64)>,
    /// What became of the frames.
    pub(crate) frames: Ledger,
    /// What capture threads and the kernel's table of endpoints did not take.
    pub(crate) orders_refused: u64,
    /// Of each capture thread: share of its CPU, and of its fullest ring, in percent.
    pub(crate) workers: Vec<(u8, u8)>,
    /// What became of the calls.
    pub(crate) calls: Calls,
    /// Jobs that wait for a thread.
    pub(crate) jobs_waiting: u64,
}

/// What became of the calls, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Calls that have not become recordings yet.
    pub(crate) open: u64,
    /// Answered calls that are over.
    pub(crate) answered: u64,
    /// Of those, the ones without any media.
    pub(crate) without_media: u64,
    /// Conversations that no signalling explains.
    pub(crate) without_signalling: u64,
    /// Conversations (with signalling or without) of which one direction was seen only.
    pub(crate) one_sided: u64,
    /// Recordings made.
    pub(crate) recorded: u64,
    /// Of those, the ones of which something is missing.
    pub(crate) incomplete: u64,
    /// Of those, the ones with media that are encrypted.
    pub(crate) encrypted: u64,
    /// RTP packets in recordings, and of those the ones that came again.
    pub(crate) media_packets: u64,
    pub(crate) media_duplicates: u64,
    /// Jobs that failed.
    pub(crate) failed: u64,
}

/// The sums of which shares are taken, in the order of [`sums`].
const SUMS: usize = 13;

/// Looks at samples and sets conditions.
#[derive(Debug)]
pub(crate) struct Watch {
    board: Board,
    last: Option<Sample>,
    last_packet: Option<Moment>,
    window: Window<SUMS>,
    silent: Share,
    unexplained: Share,
    one_sided: Share,
    duplicates: Share,
    incomplete: Share,
    encrypted: Share,
}

impl Watch {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board,
            last: None,
            last_packet: None,
            window: Window::new(),
            silent: Share::new(CALLS_MIN),
            unexplained: Share::new(CALLS_MIN),
            one_sided: Share::new(CALLS_MIN),
            duplicates: Share::new(PACKETS_MIN),
            incomplete: Share::new(CALLS_MIN),
            encrypted: Share::new(CALLS_MIN),
        }
    }

    /// Looks at what a run has counted up to now.
    pub(crate) fn look(&mut self, now: Moment, sample: Sample, settings: &Settings) {
        self.port(now, &sample);
        self.losses(&sample);
        self.threads(&sample, settings);
        self.shares(now.monotonic, &sample, settings);
        self.last = Some(sample);
    }

    fn port(&mut self, now: Moment, sample: &Sample) {
        let down = sample.down.map(|why| format!("{} {why}", sample.interface));
        self.board.set(AlarmId::InterfaceDown, down);
        let came =
            self.last.as_ref().map_or(sample.received > 0, |last| sample.received != last.received);
        if came {
            self.last_packet = Some(now);
        }
        let silence = (!came).then(|| match self.last_packet {
            Some(last) => format!("no packet on {} since {}", sample.interface, last.wall),
            None => format!("no packet on {} since the start", sample.interface),
        });
        self.board.set(AlarmId::NoPackets, silence);
    }

    /// What was lost since the last look, by stage.
    fn losses(&self, sample: &Sample) {
        let first = Sample::default();
        let last = self.last.as_ref().unwrap_or(&first);
        let tell = |id, before: &[(&str, u64)], now: &[(&str, u64)]| {
            if let Some(detail) = lost(before, now) {
                self.board.happened(id, detail);
            }
        };
        tell(AlarmId::DropInterface, &last.interface_lost, &sample.interface_lost);
        tell(AlarmId::DropSocket, &last.sockets_lost, &sample.sockets_lost);
        let one = |name, count| [(name, count)];
        tell(
            AlarmId::DropProgram,
            &one("not handed over", last.program_lost),
            &one("not handed over", sample.program_lost),
        );
        tell(
            AlarmId::OrdersRefused,
            &one("orders refused", last.orders_refused),
            &one("orders refused", sample.orders_refused),
        );
        for (id, outcomes) in [
            (
                AlarmId::DropTables,
                &[Outcome::FragmentTableFull, Outcome::TcpTableFull, Outcome::FlowTableFull][..],
            ),
            (AlarmId::DropJournal, &[Outcome::JournalFull]),
            (AlarmId::DropSignalling, &[Outcome::SignallingRingFull]),
        ] {
            let of = |frames: &Ledger| -> Vec<_> {
                outcomes.iter().map(|it| (it.name(), frames.of(*it))).collect()
            };
            tell(id, &of(&last.frames), &of(&sample.frames));
        }
        let refused =
            |frames: &Ledger| one(Note::SipTableFull.name(), frames.noted(Note::SipTableFull));
        tell(AlarmId::SipRefused, &refused(&last.frames), &refused(&sample.frames));
    }

    fn threads(&self, sample: &Sample, settings: &Settings) {
        for (number, (load, ring)) in (0..).zip(&sample.workers) {
            let busy = *load >= settings.worker_percent || *ring >= RING_PERCENT;
            let detail = || {
                format!(
                    "capture thread {number}: {load} % of its CPU, its fullest ring at {ring} %"
                )
            };
            self.board.set_part(AlarmId::WorkerBusy, number, busy.then(detail));
        }
        let waiting = sample.jobs_waiting;
        let behind =
            (waiting > 0).then(|| format!("{waiting} calls wait for a thread to finish them"));
        self.board.set(AlarmId::FinishingBehind, behind);
        let failed = sample.calls.failed;
        let failure = (failed > 0).then(|| format!("{failed} calls could not be finished"));
        self.board.set(AlarmId::FinishingFailed, failure);
    }

    fn shares(&mut self, now: Duration, sample: &Sample, settings: &Settings) {
        let [
            received,
            media,
            signalling,
            copies,
            answered,
            without_media,
            without_signalling,
            one_sided,
            recorded,
            incomplete,
            encrypted,
            media_packets,
            media_copies,
        ] = self.window.add(now, sums(sample));
        let with_media = answered.saturating_sub(without_media);
        let heard = with_media + without_signalling;

        let is_up = self.silent.is_up(without_media, answered, RULE_PERCENT);
        self.tell(is_up, AlarmId::SipWithoutRtp, || {
            format!("no media of {without_media} of {answered} answered calls in 5 min")
        });
        let no_sip = media >= PACKETS_MIN && signalling == 0 && sample.calls.open == 0;
        let is_up = self.unexplained.is_up(without_signalling, heard, RULE_PERCENT) || no_sip;
        self.tell(is_up, AlarmId::RtpWithoutSip, || {
            if no_sip {
                format!("{media} packets of media and not one of signalling in 5 min")
            } else {
                format!("no signalling of {without_signalling} of {heard} conversations in 5 min")
            }
        });
        let is_up = self.one_sided.is_up(one_sided, heard, RULE_PERCENT);
        self.tell(is_up, AlarmId::OneDirection, || {
            format!("one direction only of {one_sided} of {heard} conversations in 5 min")
        });
        // Copies of frames are known at once, those of media when the call is finished.
        let (copies, all) = if percent(copies, received) >= percent(media_copies, media_packets) {
            (copies, received)
        } else {
            (media_copies, media_packets)
        };
        let is_up = self.duplicates.is_up(copies, all, settings.duplicates_percent);
        self.tell(is_up, AlarmId::Duplicates, || {
            format!("{:.1} % of {all} packets came more than once in 5 min", percent(copies, all))
        });
        let is_up = self.incomplete.is_up(incomplete, recorded, settings.incomplete_percent);
        self.tell(is_up, AlarmId::RecordingsIncomplete, || {
            format!("{incomplete} of {recorded} recordings made in 5 min lack something")
        });
        let is_up = self.encrypted.is_up(encrypted, recorded, settings.undecryptable_percent);
        self.tell(is_up, AlarmId::Undecryptable, || {
            format!("{encrypted} of {recorded} recordings made in 5 min hold encrypted media")
        });
    }

    fn tell(&self, is_up: bool, id: AlarmId, detail: impl FnOnce() -> String) {
        self.board.set(id, is_up.then(detail));
    }
}

fn sums(sample: &Sample) -> [u64; SUMS] {
    let (frames, calls) = (&sample.frames, &sample.calls);
    [
        frames.received(),
        frames.of(Outcome::Media),
        frames.of(Outcome::Signalling) + frames.of(Outcome::TcpSegment),
        frames.of(Outcome::DuplicateFrame),
        calls.answered,
        calls.without_media,
        calls.without_signalling,
        calls.one_sided,
        calls.recorded,
        calls.incomplete,
        calls.encrypted,
        calls.media_packets,
        calls.media_duplicates,
    ]
}

/// In words: what was lost between two looks, and since the start. Names that are not there before count from zero.
fn lost(before: &[(&str, u64)], now: &[(&str, u64)]) -> Option<String> {
    let earlier = |name: &str| before.iter().find(|(other, _)| *other == name).map_or(0, |it| it.1);
    let more = now
        .iter()
        .map(|(name, count)| (*name, count.saturating_sub(earlier(name)), *count))
        .filter(|(_, more, _)| *more > 0);
    let words: Vec<_> = more
        .map(|(name, more, all)| format!("{more} {name} just now, {all} since the start"))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}
