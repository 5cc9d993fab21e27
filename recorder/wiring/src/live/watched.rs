//! What the alarms are shown of a run: what it has counted, its interface, how busy its capture threads are.

use std::path::PathBuf;

use capture::nic::Counter;
use capture::xdp::Counters;
use seal::Certificate;
use web::link::status;

use super::{LiveLedger, Run};
use crate::alarms::{Calls, Sample, Scene};
use crate::config::Config;
use crate::data_dir::{DataDir, Pair, node_name};
use crate::outages::Kind;

/// What the alarms need to know of a configuration.
pub(super) fn scene(config: &Config, data: &DataDir) -> Scene {
    Scene {
        settings: config.alarms.clone(),
        data: config.data.clone(),
        certificates: certificate_files(config, data).into_iter().map(|(_, path)| path).collect(),
        node: node_name(),
    }
}

/// What each is for, and its file.
fn certificate_files(config: &Config, data: &DataDir) -> Vec<(&'static str, PathBuf)> {
    let own = config.certificates.is_empty() && config.seal;
    let own = own.then(|| data.certificate_path(Pair::Recording));
    let recording = config.certificates.iter().cloned().chain(own);
    let node = ("node", data.certificate_path(Pair::Node));
    recording.map(|path| ("recording", path)).chain([node]).collect()
}

/// Those that recordings are sealed for, and the node's own. What cannot be read is told by whoever needs it.
pub(super) fn certificates(config: &Config, data: &DataDir) -> Vec<status::Certificate> {
    let mut all = Vec::new();
    for (purpose, path) in certificate_files(config, data) {
        let parsed = std::fs::read(path).ok().and_then(|it| Certificate::parse_all(&it).ok());
        all.extend(parsed.unwrap_or_default().iter().map(|it| status::Certificate {
            purpose: purpose.into(),
            subject: it.subject(),
            not_after: it.not_after(),
        }));
    }
    all
}

impl Run<'_> {
    /// Shows the alarms what has been counted.
    pub(super) fn show_alarms(&mut self, ledger: &LiveLedger) {
        let workers = self.exchange.cores.handles.iter();
        let workers = workers.map(|handle| (handle.lines.load(), handle.lines.fullest())).collect();
        let sample = Sample {
            interface: self.port.name.clone(),
            down: self.sight.lasting().map(down),
            received: ledger.program.as_ref().map_or(ledger.taps.received, Counters::seen),
            interface_lost: interface_lost(ledger),
            program_lost: ledger.program.as_ref().map_or(0, Counters::lost),
            sockets_lost: ledger.taps.lost.to_vec(),
            frames: ledger.cores.clone(),
            orders_refused: ledger.orders_refused + ledger.endpoints_refused,
            workers,
            calls: self.calls(ledger),
            jobs_waiting: self.exchange.conductor.waiting() as u64,
        };
        self.alarms.look(sample);
    }

    fn calls(&self, ledger: &LiveLedger) -> Calls {
        let (totals, tally) = (&ledger.totals, &ledger.tally);
        let heard = self.place.heard();
        let (media_packets, media_duplicates) = heard.packets();
        Calls {
            open: self.exchange.conductor.engine.calls_open() as u64,
            answered: totals.answered,
            without_media: totals.without_media,
            without_signalling: totals.without_signalling,
            one_sided: totals.one_sided,
            recorded: tally.recorded,
            incomplete: tally.incomplete,
            encrypted: heard.encrypted(),
            media_packets,
            media_duplicates,
            failed: tally.failed,
        }
    }
}

fn down(kind: Kind) -> &'static str {
    match kind {
        Kind::NoCarrier => "has no carrier",
        Kind::InterfaceDown => "is down",
        Kind::InterfaceRemoved => "is gone",
        Kind::CaptureFailed | Kind::Restart => "cannot be captured from",
    }
}

/// The card's own losses. Not `rx_dropped`: it also counts what nobody wanted.
fn interface_lost(ledger: &LiveLedger) -> Vec<(&'static str, u64)> {
    let nic = ledger.nic.iter().flat_map(|nic| nic.losses());
    let real = nic.filter(|(counter, _)| *counter != Counter::RxDropped);
    real.map(|(counter, count)| (counter.name(), count)).collect()
}
