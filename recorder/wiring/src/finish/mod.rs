//! From a job to a stored recording: read the journal, finish the media, seal, sign; then publish, catalogue.

mod keeper;
mod heard;
mod losses;
mod metadata;
mod pool;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::recording::Recording;
use base::{FlowKey, RecordingId, Side};
use dialog::EndReason;
use hashbrown::HashMap;
use journal::{Packets, ReadError, Reader, Window};
use media::{CallInput, Finished, FlowInput, Params};
use seal::{Manifest, Sealer, Signer, manifest};
use store::{Catalog, CatalogError, Existing, METADATA_NAME, Recordings};

pub(crate) use self::heard::Heard;
pub(crate) use self::losses::Losses;
use self::metadata::Subject;
pub(crate) use self::pool::Pool;
use crate::clock;
use crate::engine::{Claim, Job, PACKETS_MIN};
use crate::journal_thread::Health;
use crate::outages::Outages;

/// How long a chunk may be on its way to the disk before its job gives up on it.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// How often to look.
const WRITTEN_EVERY: Duration = Duration::from_millis(1);

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// A recording was made.
    Recorded {
        /// Whether nothing is known to be missing from it.
        complete: bool,
    },
    /// An earlier run made it.
    AlreadyThere,
    /// Not answered, and no media worth keeping.
    NothingToKeep {
        /// Media packets that it had.
        packets: u64,
    },
}

/// What finishing made, before it is stored.
enum Made {
    Recording { recording: Box<Recording>, files: Vec<(String, Vec<u8>)>, existing: Existing },
    Nothing(Done),
}

/// Finishes jobs; shared by the threads of the pool.
pub(crate) struct Finisher {
    reader: Reader,
    params: Params,
    /// It can be changed while calls are finished: each recording is sealed with one.
    sealer: Mutex<Option<Arc<Sealer>>>,
    signer: Signer,
    recordings: Arc<Recordings>,
    catalog: Mutex<Catalog>,
    node: String,
    losses: Arc<Losses>,
    heard: Arc<Heard>,
    outages: Arc<Outages>,
    journals: Vec<Health>,
}

impl Finisher {
    /// Without a sealer the files stay in the clear.
    pub(crate) fn new(
        reader: Reader,
        params: Params,
        (sealer, signer): (Option<Sealer>, Signer),
        (recordings, catalog): (Arc<Recordings>, PathBuf),
        node: String,
    ) -> Result<Self> {
        let catalog = Mutex::new(Catalog::open(&catalog)?);
        let (sealer, losses) = (Mutex::new(sealer.map(Arc::new)), Arc::default());
        let (outages, journals) = (Arc::default(), Vec::new());
        Ok(Self {
            reader,
            params,
            sealer,
            signer,
            recordings,
            catalog,
            node,
            losses,
            heard: Arc::default(),
            outages,
            journals,
        })
    }

    /// When the recorder saw nothing is marked in the calls that were up then.
    pub(crate) fn with_outages(self, outages: Arc<Outages>) -> Self {
        Self { outages, ..self }
    }

    /// What is found in the media is counted there.
    pub(crate) fn with_heard(self, heard: Arc<Heard>) -> Self {
        Self { heard, ..self }
    }

    /// What the recorder itself loses meanwhile is noted with the calls that it may have hit.
    pub(crate) fn with_losses(self, losses: Arc<Losses>) -> Self {
        Self { losses, ..self }
    }

    /// What is on its way to the disk is not waited for if one of these has given up.
    pub(crate) fn watching(self, journals: Vec<Health>) -> Self {
        Self { journals, ..self }
    }

    /// Seals with this from now on.
    fn seal_for(&self, sealer: Option<Sealer>) {
        *self.sealer.lock().unwrap_or_else(PoisonError::into_inner) = sealer.map(Arc::new);
    }

    /// Does one job up to the point where it is to be stored.
    fn finish(&self, job: &Job) -> Result<Made> {
        let packets = self.read(&job.claims)?;
        let subject = Subject::new(job.call.as_ref(), &job.claims);
        let flows = flow_inputs(&job.claims, &packets);
        let first =
            flows.iter().filter_map(|flow| flow.packets.first()).map(|packet| packet.time).min();
        let first = first.unwrap_or_default();
        let (id, start) = (subject.id(first), subject.start(first));
        let kept = self.kept(id)?;
        if kept.as_ref().is_some_and(|kept| !was_cut_short(kept)) {
            return Ok(Made::Nothing(Done::AlreadyThere));
        }
        let call = CallInput { start, tags: subject.tags(start) };
        let mut finished = media::finish(&call, &flows, &self.params)
            .with_context(|| format!("recording {id}"))?;
        note_damage(&mut finished, &packets);
        if !worth_keeping(job, &finished) {
            return Ok(Made::Nothing(Done::NothingToKeep { packets: finished.tally.received }));
        }
        let mut recording = metadata::recording(&subject, id, start, &finished, &self.node);
        self.losses.note(&mut recording);
        self.heard.note(&recording);
        self.outages.note(&mut recording);
        drop(flows);
        drop(packets);
        match kept {
            Some(kept) if kept.stop_time >= recording.stop_time => {
                Ok(Made::Nothing(Done::AlreadyThere))
            }
            Some(_) => self.seal_all(recording, finished, Existing::Supersede),
            None => self.seal_all(recording, finished, Existing::Keep),
        }
    }

    /// The recording that an earlier run made of the same call.
    fn kept(&self, id: RecordingId) -> Result<Option<Recording>> {
        let catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        match catalog.get(id) {
            Ok(recording) => Ok(Some(recording).filter(|_| self.recordings.contains(id))),
            Err(CatalogError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The packets of each claim.
    fn read(&self, claims: &[Claim]) -> Result<Vec<Packets>> {
        claims.iter().map(|claim| Ok(self.read_claim(claim)?)).collect()
    }

    fn read_claim(&self, claim: &Claim) -> Result<Packets, ReadError> {
        let began = clock::instant();
        let may_come =
            || began.elapsed() < WRITTEN_WITHIN && !self.journals.iter().any(Health::is_lost);
        while !self.reader.is_written(claim.chain) && may_come() {
            std::thread::sleep(WRITTEN_EVERY);
        }
        let mut packets = Packets::default();
        let window = Window { from: claim.from, to: claim.until };
        self.reader.read(claim.chain, window, &mut packets)?;
        Ok(packets)
    }

    fn seal_all(
        &self,
        mut recording: Recording,
        finished: Finished,
        existing: Existing,
    ) -> Result<Made> {
        let created = clock::now();
        let mut manifest = Manifest::new(recording.id, created, &self.node, &recording.build);
        manifest.complete = recording.complete;
        manifest.gaps.clone_from(&recording.gaps);
        let sealer = self.sealer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sealer = sealer.as_deref();
        manifest.recipients = sealer.map(Sealer::recipients).unwrap_or_default();
        let mut files = Vec::with_capacity(finished.files.len() + 3);
        for (file, entry) in finished.files.into_iter().zip(&mut recording.media_files) {
            let (stored, bytes) = seal(sealer, &file.name, file.media_type, file.bytes)?;
            entry.path.clone_from(&stored.name);
            entry.size = stored.size;
            entry.sha256 = stored.sha256.to_string();
            files.push((stored.name.clone(), bytes));
            manifest.files.push(stored);
        }
        let json = serde_json::to_vec(&recording).context(METADATA_NAME)?;
        let (stored, bytes) = seal(sealer, METADATA_NAME, "application/json", json)?;
        files.push((stored.name.clone(), bytes));
        manifest.files.push(stored);
        let manifest = manifest.to_json()?;
        let signature = self.signer.sign(&manifest, created)?;
        files.push((manifest::MANIFEST_NAME.into(), manifest));
        files.push((manifest::SIGNATURE_NAME.into(), signature));
        Ok(Made::Recording { recording: Box::new(recording), files, existing })
    }
}

/// One file as it is stored, and its place in the manifest.
fn seal(
    sealer: Option<&Sealer>,
    name: &str,
    media_type: &str,
    plain: Vec<u8>,
) -> Result<(manifest::File, Vec<u8>)> {
    let sealed = sealer.map(|sealer| sealer.seal(&plain)).transpose()?;
    let entry = manifest::File::new(name, media_type, &plain, sealed.as_deref());
    Ok((entry, sealed.unwrap_or(plain)))
}

/// Whether the earlier run saw less of the call than there may be: a fuller one then takes its place.
fn was_cut_short(recording: &Recording) -> bool {
    let cut_short = [EndReason::CaptureEnd, EndReason::Interrupted, EndReason::Timeout];
    recording.call_id.is_none()
        || cut_short.iter().any(|reason| recording.end_reason == reason.to_string())
}

/// A call that was answered, or that has media. Without signalling, a stream of some length.
fn worth_keeping(job: &Job, finished: &Finished) -> bool {
    let longest = finished.streams.iter().map(|report| report.stream.unique).max();
    match &job.call {
        Some(call) => call.answered.is_some() || longest.is_some(),
        None => longest.is_some_and(|unique| unique >= PACKETS_MIN),
    }
}

/// The flows of a call. What several runs of the recorder, or several cores, saw of one flow is one again.
fn flow_inputs<'a>(claims: &'a [Claim], packets: &'a [Packets]) -> Vec<FlowInput<'a>> {
    let mut flows: Vec<FlowInput<'a>> = Vec::with_capacity(claims.len());
    let mut places: HashMap<(FlowKey, Side, bool), usize> = HashMap::new();
    for (claim, packets) in claims.iter().zip(packets) {
        let place = *places.entry((claim.key, claim.side, claim.rtcp)).or_insert(flows.len());
        if let Some(flow) = flows.get_mut(place) {
            flow.packets.extend(packets.iter());
            flow.packets.sort_by_key(|packet| packet.time);
            continue;
        }
        flows.push(FlowInput {
            key: claim.key,
            side: claim.side,
            media: claim.media.clone(),
            formats: claim.formats.clone(),
            secure: claim.secure,
            packets: packets.iter().collect(),
        });
    }
    flows
}

/// What the journal could not give back is said.
fn note_damage(finished: &mut Finished, packets: &[Packets]) {
    let damaged = packets.iter().flat_map(Packets::damaged);
    finished
        .notes
        .extend(damaged.map(|damage| format!("a part of the journal was damaged: {damage}")));
}
