//! The ways that a frame can take, and measuring one of them.

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::maps::XskMap;
use base::Timestamp;
use benches::cpu::{self, SoftIrq};
use benches::wire::NEAR;
use capture::nic::Link;
use capture::packet_socket::Options;
use capture::xdp::{
    Attachment, Program, Reading, Settings, Socket, SocketOptions, Turn, UtcOffset, open_sockets,
};
use capture::{PacketSource, Poll, Source as _};
use rustix::time::{ClockId, clock_gettime};

use crate::load::{self, Sender};
use crate::recorder::Recorder;
use crate::{RECEIVER_CPU, SENDER_CPU};

/// A way from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// A program that drops everything: what sending costs.
    Wire,
    /// A program that redirects everything, and a loop that takes it.
    Bare,
    /// Our program, and a loop that takes what it selects.
    Selected,
    /// The whole way: our program, our loop, into the journal.
    Journal,
    /// A packet socket, and a loop that takes what comes.
    Packet,
    /// A packet socket, into the journal.
    PacketJournal,
}

impl Way {
    pub(crate) const ALL: [Self; 6] =
        [Self::Wire, Self::Bare, Self::Selected, Self::Journal, Self::Packet, Self::PacketJournal];
}

/// What one measurement gave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) sent: u64,
    pub(crate) taken: u64,
    /// Nanoseconds of the CPU that sends and of interrupts, receiving in the kernel included.
    pub(crate) kernel_nanos: u64,
    /// Nanoseconds of the thread that takes frames.
    pub(crate) taking_nanos: u64,
    /// Nanoseconds of the thread that writes the journal.
    pub(crate) writing_nanos: u64,
}

/// Frames taken at once, and how long a loop sleeps when there are none: as in `spanreel run`.
const BATCH: usize = 256;
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_micros(500);
/// How often a core looks after its journal.
const TICK: Duration = Duration::from_millis(250);
/// Looks in vain after which nothing comes any more. A packet socket gives a block after 10 ms at the latest.
const LOOKS_MAX: usize = 60;

/// What is kept from one measurement to the next: a core that has been running for a while.
pub(crate) struct Bench {
    recorder: Recorder,
    utc: UtcOffset,
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let time = clock_gettime(ClockId::Monotonic);
        let monotonic = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
        let reading = Reading { before: monotonic, utc: now(), after: monotonic };
        let utc = UtcOffset::measured(&[reading]).context("no clock")?;
        Ok(Self { recorder: Recorder::new(now())?, utc })
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.recorder.finish()
    }

    /// Sends frames and takes them by one way.
    pub(crate) fn measure(
        &mut self,
        way: Way,
        sender: &mut Sender,
        frames: u32,
    ) -> Result<Measured> {
        let (recorder, utc) = (&mut self.recorder, self.utc);
        let interface = Link::find(NEAR)?.index;
        let writing_before = recorder.writing_nanos();
        let mut measured = match way {
            Way::Wire => {
                let _program = load::attached(abi::bench::DISCARD, interface)?;
                run(sender, frames, &mut Idle)?
            }
            Way::Bare => {
                let (_program, socket) = bare(interface)?;
                run(sender, frames, &mut Bare(socket))?
            }
            Way::Selected => {
                let (_program, socket) = selected()?;
                run(sender, frames, &mut Bare(socket))?
            }
            Way::Journal => {
                let (_program, socket) = selected()?;
                let due = now();
                run(sender, frames, &mut ToJournal { socket, recorder, utc, number: 0, due })?
            }
            Way::Packet | Way::PacketJournal => {
                let _program = load::attached(abi::bench::PASS, interface)?;
                let source = PacketSource::open(NEAR, Options::default())?;
                let recorder = (way == Way::PacketJournal).then_some(recorder);
                run(sender, frames, &mut Packet { source, recorder, due: now() })?
            }
        };
        let lost = self.recorder.settle(now());
        measured.writing_nanos = self.recorder.writing_nanos() - writing_before;
        if lost > 0 {
            bail!("{lost} frames did not fit the journal: its thread is too slow here");
        }
        Ok(measured)
    }
}

/// Takes frames.
trait Taker: Send {
    /// Takes what is there, at most a batch; how many.
    fn take(&mut self) -> Result<usize>;
}

struct Idle;

impl Taker for Idle {
    fn take(&mut self) -> Result<usize> {
        Ok(0)
    }
}

struct Bare(Socket);

impl Taker for Bare {
    fn take(&mut self) -> Result<usize> {
        Ok(self.0.drain(BATCH, &mut |_| {}))
    }
}

struct ToJournal<'a> {
    socket: Socket,
    recorder: &'a mut Recorder,
    utc: UtcOffset,
    number: u64,
    due: Timestamp,
}

impl Taker for ToJournal<'_> {
    fn take(&mut self) -> Result<usize> {
        let (recorder, number, utc) = (&mut *self.recorder, &mut self.number, self.utc);
        let taken = self.socket.drain_ahead(BATCH, &mut |turn, packet| match turn {
            Turn::Soon => recorder.ahead(&packet.frame(utc, 0)),
            Turn::Now => {
                *number += 1;
                recorder.frame(&packet.frame(utc, *number));
            }
        });
        tick(self.recorder, &mut self.due);
        Ok(taken)
    }
}

struct Packet<'a> {
    source: PacketSource,
    recorder: Option<&'a mut Recorder>,
    due: Timestamp,
}

impl Taker for Packet<'_> {
    fn take(&mut self) -> Result<usize> {
        let polled = match &mut self.recorder {
            None => self.source.poll(&mut |_| {}),
            Some(recorder) => {
                let polled = self.source.poll(&mut |frame| recorder.frame(&frame));
                tick(recorder, &mut self.due);
                polled
            }
        };
        Ok(match polled? {
            Poll::Frames(frames) => frames,
            Poll::Idle | Poll::End => 0,
        })
    }
}

fn tick(recorder: &mut Recorder, due: &mut Timestamp) {
    let now = now();
    if now >= *due {
        recorder.tick(now);
        *due = now.plus(TICK);
    }
}

/// One sends, one takes, until nothing comes any more.
fn run(sender: &mut Sender, frames: u32, taker: &mut impl Taker) -> Result<Measured> {
    let sent = AtomicBool::new(false);
    let softirq = SoftIrq::of(RECEIVER_CPU);
    let before = softirq.nanos();
    let (kernel_nanos, (taken, taking_nanos)) = std::thread::scope(|scope| {
        let taking = scope.spawn(|| take_all(taker, &sent));
        let sending = scope.spawn(|| {
            cpu::pin(SENDER_CPU);
            let result = sender.send(frames);
            sent.store(true, Ordering::Release);
            result
        });
        let cost = sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        let taken = taking.join().map_err(|_| anyhow!("the receiver panicked"))??;
        anyhow::Ok((cost, taken))
    })?;
    let kernel_nanos = kernel_nanos + softirq.nanos() - before;
    let sent = u64::from(frames);
    Ok(Measured { sent, taken, kernel_nanos, taking_nanos, writing_nanos: 0 })
}

/// How many, and what it cost.
fn take_all(taker: &mut impl Taker, sent: &AtomicBool) -> Result<(u64, u64)> {
    cpu::pin(RECEIVER_CPU);
    let before = cpu::of_this_thread();
    let (mut total, mut nap, mut looks, mut cost) = (0, NAP_MIN, 0, 0);
    while looks < LOOKS_MAX {
        let over = sent.load(Ordering::Acquire);
        let taken = taker.take()?;
        if taken > 0 {
            total += taken as u64;
            (nap, looks) = (NAP_MIN, 0);
            cost = cpu::of_this_thread() - before;
        } else {
            std::thread::sleep(nap);
            nap = NAP_MAX.min(nap * 2);
            looks += usize::from(over);
        }
    }
    Ok((total, cost))
}

fn bare(interface: u32) -> Result<(aya::Ebpf, Socket)> {
    let mut ebpf = load::attached(abi::bench::BARE, interface)?;
    let socket = first_socket()?;
    let map = ebpf.map_mut(abi::bench::SOCKETS).context("the program has no sockets")?;
    XskMap::try_from(map)?.set(0, std::os::fd::AsRawFd::as_raw_fd(&socket.as_fd()), 0)?;
    Ok((ebpf, socket))
}

fn selected() -> Result<(Program, Socket)> {
    let mut program = Program::load(&Settings::default())?;
    let socket = first_socket()?;
    program.set_socket(0, socket.as_fd())?;
    match program.attach(&Link::find(NEAR)?)? {
        Attachment::Native => Ok((program, socket)),
        Attachment::Unsupported { reason } => bail!("veth without native XDP: {reason}"),
    }
}

fn first_socket() -> Result<Socket> {
    let sockets = open_sockets(&Link::find(NEAR)?, &SocketOptions::default())?;
    sockets.into_iter().next().context("no socket")
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "a bench has a clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
