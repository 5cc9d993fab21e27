//! Listens to an interface for some seconds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use capture::nic::{Link, Nic, Statistics};
use capture::packet_socket::{Options, PacketError, Statistics as RingStatistics};
use capture::{CaptureError, PacketSource, Poll, Source as _};
use serde_json::{Value, json};

use super::interface_findings::frame_bytes_max;
use super::observer::{Observed, Observer};
use crate::clock;
use crate::progress::Progress;

/// The longest wait: how late the end of the time is noticed when nothing comes.
const WAIT: Duration = Duration::from_millis(100);
/// How long the last frames may take out of the ring.
const DRAIN: Duration = Duration::from_secs(1);

/// What was seen and counted.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    pub(super) interface: String,
    pub(super) seconds: f64,
    pub(super) speed_megabits: Option<u32>,
    pub(super) observed: Observed,
    /// What the interface counted meanwhile.
    pub(super) nic: Statistics,
    /// What became of the frames on their way here.
    pub(super) ring: RingStatistics,
    /// Why listening ended early, if it did.
    pub(super) interrupted: Option<String>,
}

/// Listens.
///
/// # Errors
/// The interface cannot be captured from.
pub(super) fn listen(nic: &Nic, seconds: u32) -> Result<Traffic> {
    let name = nic.link.name.clone();
    let mut source = PacketSource::open(&name, Options::default())
        .with_context(|| format!("cannot listen on {name}"))?;
    let before = Link::find(&name)?.statistics;
    let mut observer = Observer::new(frame_bytes_max(nic.link.mtu));
    let begun = clock::instant();
    let time = Duration::from_secs(seconds.into());
    let interrupted = hear(&mut source, &mut observer, begun, time)?;
    let took = begun.elapsed();
    // An interface that is gone has counted what it has counted.
    let after = Link::find(&name).map_or(before, |link| link.statistics);
    if interrupted.is_none() {
        drain(&mut source, &mut observer)?;
    }
    Ok(Traffic {
        interface: name,
        seconds: took.as_secs_f64(),
        speed_megabits: nic.speed_megabits,
        observed: observer.finish(),
        nic: after.since(&before),
        ring: source.statistics()?,
        interrupted,
    })
}

/// Until time is up, or the interface goes away: then the reason.
fn hear(
    source: &mut PacketSource,
    observer: &mut Observer,
    begun: Instant,
    time: Duration,
) -> Result<Option<String>> {
    let progress = Progress::count(time.as_secs(), "listening");
    loop {
        let elapsed = begun.elapsed();
        progress.at(elapsed.as_secs());
        if elapsed >= time {
            progress.done();
            return Ok(None);
        }
        if source.poll(&mut |frame| observer.frame(&frame))? != Poll::Idle {
            continue;
        }
        match source.wait(WAIT.min(time - elapsed)) {
            Ok(()) => {}
            Err(error @ (PacketError::Down { .. } | PacketError::Removed { .. })) => {
                progress.done();
                return Ok(Some(error.to_string()));
            }
            Err(error) => return Err(CaptureError::from(error).into()),
        }
    }
}

fn drain(source: &mut PacketSource, observer: &mut Observer) -> Result<()> {
    source.stop()?;
    let begun = clock::instant();
    while begun.elapsed() < DRAIN && source.poll(&mut |frame| observer.frame(&frame))? != Poll::End
    {
        source.wait(Duration::from_millis(5))?;
    }
    Ok(())
}

impl Traffic {
    /// The facts.
    pub(super) fn as_json(&self) -> Value {
        let Observed { frames, bytes, truncated, merged, vlans, ledger, .. } = &self.observed;
        let Observed { datagrams, copies, copies_across, sip, streams, .. } = &self.observed;
        let outcomes: serde_json::Map<String, Value> = base::Outcome::ALL
            .iter()
            .filter(|outcome| ledger.of(**outcome) > 0)
            .map(|outcome| (outcome.name().to_owned(), ledger.of(*outcome).into()))
            .collect();
        let counted: serde_json::Map<String, Value> = self
            .nic
            .named()
            .map(|(counter, count)| (counter.name().to_owned(), count.into()))
            .collect();
        json!({
            "seconds": self.seconds,
            "frames": frames,
            "bytes": bytes,
            "truncated": truncated,
            "merged": merged,
            "vlans": vlans,
            "outcomes": outcomes,
            "datagrams": datagrams,
            "copies": copies,
            "copiesAcrossVlans": copies_across,
            "sipMessages": sip.messages,
            "sipMalformed": sip.malformed,
            "calls": sip.calls,
            "answered": sip.answered,
            "mediaExpected": sip.media_expected,
            "mediaHeard": sip.media_heard,
            "rtpStreams": streams.streams,
            "rtpStreamsOneWay": streams.one_way,
            "rtpPackets": streams.packets,
            "rtpExpected": streams.expected,
            "offered": self.ring.offered,
            "dropped": self.ring.lost(),
            "interface": counted,
            "interrupted": self.interrupted,
        })
    }
}
