//! Where a capture core's frames come from: an AF_XDP socket, the ring of copies, or a packet socket.

use std::fmt;
use std::time::{Duration, Instant};

use capture::packet_socket::{PacketError, PacketSource};
use capture::xdp::{Copies, Received, Socket, Turn, UtcOffset};
use capture::{CaptureError, Frame, Poll, Source, Taker};

use super::stamps::Stamps;
use crate::clock;

/// Frames taken at once. Commands wait that long, and memory goes back to the kernel that often.
const BATCH: usize = 256;
/// How long frames may still come out of a stopped XDP program: another CPU may just be handing over a batch.
const LAST_FRAMES: Duration = Duration::from_millis(50);

/// A live source: beside frames, it counts, and can be stopped.
pub(super) trait Tap: Source + Send + 'static {
    /// Nothing new is taken; what was captured still comes, then [`Poll::End`].
    fn stop(&mut self) -> Result<(), CaptureError>;

    /// Looks after the interface, a few times a second. What is wrong is told once.
    fn look(&mut self) -> Result<(), CaptureError>;

    /// What was handed over and lost.
    fn counts(&mut self) -> TapCounts;

    /// How long a frame may be on its way here when nothing is ready.
    fn delay(&self) -> Duration;

    /// Whether it is to be asked again at once when nothing is ready.
    fn is_busy(&self) -> bool {
        false
    }
}

/// What a source has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TapCounts {
    /// Frames handed over.
    pub(super) received: u64,
    /// Frames lost, by name.
    pub(super) lost: [(&'static str, u64); 3],
    /// What is not a frame, but explains losses.
    pub(super) beside: [(&'static str, u64); 2],
}

impl TapCounts {
    pub(super) fn lost(&self) -> u64 {
        self.lost.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.received += other.received;
        let pairs = self.lost.iter_mut().zip(other.lost);
        for ((name, sum), (other_name, more)) in
            pairs.chain(self.beside.iter_mut().zip(other.beside))
        {
            *name = other_name;
            *sum += more;
        }
    }
}

/// A line per count; losses are always shown, that nothing was lost is worth a line.
impl fmt::Display for TapCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12}  frames received by the sockets", self.received)?;
        for (name, count) in self.lost.iter().filter(|(name, _)| !name.is_empty()) {
            write!(f, "\n{count:>12}  {name} (lost)")?;
        }
        for (name, count) in self.beside.iter().filter(|(_, count)| *count > 0) {
            write!(f, "\n{count:>12}  {name} (noted)")?;
        }
        Ok(())
    }
}

/// TPACKET_V3.
pub(super) struct PacketTap {
    source: PacketSource,
    stamps: Stamps,
    /// The interface is gone. One that is made anew under its name is another one, to be opened anew.
    removed: bool,
}

impl PacketTap {
    pub(super) fn new(source: PacketSource) -> Self {
        let capture = clock::capture_offset();
        let stamps = Stamps::new(capture, clock::utc_offset().unwrap_or(capture));
        Self { source, stamps, removed: false }
    }
}

impl Source for PacketTap {
    #[inline]
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        let Self { source, stamps, .. } = self;
        if let Some(wall) = clock::utc_offset() {
            stamps.look(clock::capture_time(), wall);
        }
        let polled = source.poll(&mut |frame| {
            on_frame(Frame { time: stamps.time(frame.time), ..frame });
        });
        if matches!(polled, Ok(Poll::Idle)) {
            stamps.idle();
        }
        polled
    }
}

impl Tap for PacketTap {
    fn stop(&mut self) -> Result<(), CaptureError> {
        Ok(self.source.stop()?)
    }

    fn look(&mut self) -> Result<(), CaptureError> {
        if self.removed {
            // Not yet there again: that it is gone has been told.
            self.removed = self.source.reopen().is_err();
            return Ok(());
        }
        let looked = self.source.wait(Duration::ZERO);
        self.removed = matches!(looked, Err(PacketError::Removed { .. }));
        Ok(looked?)
    }

    fn counts(&mut self) -> TapCounts {
        let counts = self.source.statistics().unwrap_or_default();
        TapCounts {
            received: counts.received,
            lost: [
                ("tp_drops", counts.dropped),
                ("abandoned", counts.abandoned),
                ("damaged", counts.damaged),
            ],
            beside: [("tp_freeze_q_cnt", counts.freezes), ("", 0)],
        }
    }

    /// The time after which the kernel closes a block.
    fn delay(&self) -> Duration {
        Duration::from_millis(30)
    }
}

/// What the XDP program selected, as it comes to user space.
pub(super) trait Selected: Send + 'static {
    /// Hands over at most a batch of packets, and shows some before their turn; how many were handed over.
    fn drain(&mut self, batch: usize, on_packet: &mut impl FnMut(Turn, Received<'_>)) -> usize;

    /// What came, of which `number` packets were handed over, and was lost.
    fn counts(&self, number: u64) -> TapCounts;

    /// Whether it looks for packets itself when it is asked for some.
    fn polls(&self) -> bool;
}

impl Selected for Socket {
    #[inline]
    fn drain(&mut self, batch: usize, on_packet: &mut impl FnMut(Turn, Received<'_>)) -> usize {
        self.drain_ahead(batch, on_packet)
    }

    fn counts(&self, _: u64) -> TapCounts {
        let counts = self.statistics().unwrap_or_default();
        TapCounts {
            received: counts.received,
            lost: [
                ("rx_dropped", counts.rx_dropped),
                ("rx_ring_full", counts.rx_ring_full),
                ("too_long", counts.too_long),
            ],
            beside: [
                ("fill_ring_empty", counts.fill_ring_empty),
                ("rx_invalid", counts.rx_invalid),
            ],
        }
    }

    fn polls(&self) -> bool {
        self.binding().busy_poll
    }
}

/// Of an interface that is shared with the host.
impl Selected for Copies {
    #[inline]
    fn drain(&mut self, batch: usize, on_packet: &mut impl FnMut(Turn, Received<'_>)) -> usize {
        Self::drain(self, batch, &mut |packet| on_packet(Turn::Now, packet))
    }

    /// What did not fit the ring is in the program's own counts.
    fn counts(&self, number: u64) -> TapCounts {
        TapCounts { received: number, ..TapCounts::default() }
    }

    fn polls(&self) -> bool {
        false
    }
}

/// XDP, by either way.
pub(super) struct XdpTap<S> {
    selected: S,
    /// From the program's stamps to the capture clock.
    clock: UtcOffset,
    /// Of the last frame.
    number: u64,
    stopped: Option<Instant>,
}

impl<S: Selected> XdpTap<S> {
    pub(super) fn new(selected: S) -> Self {
        Self { selected, clock: clock::capture_offset(), number: 0, stopped: None }
    }

    #[inline]
    fn drain(&mut self, on_frame: &mut impl FnMut(Turn, &Frame<'_>)) -> Result<Poll, CaptureError> {
        let (clock, number) = (self.clock, &mut self.number);
        let frames = self.selected.drain(BATCH, &mut |turn, packet| {
            *number += u64::from(turn == Turn::Now);
            on_frame(turn, &packet.frame(clock, *number));
        });
        Ok(match (frames, self.stopped) {
            (0, Some(since)) if since.elapsed() >= LAST_FRAMES => Poll::End,
            (0, _) => Poll::Idle,
            (frames, _) => Poll::Frames(frames),
        })
    }
}

impl<S: Selected> Source for XdpTap<S> {
    #[inline]
    fn poll(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) -> Result<Poll, CaptureError> {
        self.drain(&mut |turn, frame| {
            if turn == Turn::Now {
                on_frame(*frame);
            }
        })
    }

    #[inline]
    fn poll_ahead(&mut self, taker: &mut impl Taker) -> Result<Poll, CaptureError> {
        self.drain(&mut |turn, frame| match turn {
            Turn::Soon => taker.ahead(frame),
            Turn::Now => taker.take(frame),
        })
    }
}

impl<S: Selected> Tap for XdpTap<S> {
    /// The program is detached by whoever attached it.
    fn stop(&mut self) -> Result<(), CaptureError> {
        self.stopped = Some(clock::instant());
        Ok(())
    }

    fn look(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn counts(&mut self) -> TapCounts {
        self.selected.counts(self.number)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn is_busy(&self) -> bool {
        self.selected.polls()
    }
}
