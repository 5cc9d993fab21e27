//! From a job to a stored recording: read the journal, finish the media, seal, sign; then publish, catalogue.

mod heard;
mod losses;
mod marks;
mod metadata;
mod pool;
mod storage;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base::recording::Recording;
use base::{FlowKey, Side};
use dialog::EndReason;
use hashbrown::HashMap;
use journal::{Packets, ReadError, Reader, Window};
use media::{CallInput, Finished, FlowInput, MediaError, Params};
use seal::{Manifest, Sealer, Signer, manifest};
use store::{Files, METADATA_NAME};

pub(crate) use self::heard::Heard;
pub(crate) use self::losses::Losses;
use self::metadata::Subject;
pub(crate) use self::pool::Pool;
pub(crate) use self::storage::{OwnPlace, Places, Standing, Storage};
use crate::clock;
use crate::engine::{Claim, Job, PACKETS_MIN};
use crate::journal_thread::Health;
use crate::outages::Outages;
use crate::telling::Telling;
use crate::wall_clock::WallClock;

/// How long a chunk may be on its way to the disk before its job gives up on it.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);
/// How often to look.
const WRITTEN_EVERY: Duration = Duration::from_millis(1);

/// How often the sound of a call is tried to be made while the program fails at it.
const SOUND_TRIES: u32 = 2;
/// Memory for packets that a thread keeps for its next job: flows, and bytes of each.
const SPARE_FLOWS_MAX: usize = 8;
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    Recording { recording: Box<Recording>, files: Files },
    Nothing(Done),
}

/// Makes a call's media: [`media::finish`], but in tests.
pub(crate) type Make =
    fn(&CallInput, &[FlowInput<'_>], &Params) -> std::result::Result<Finished, MediaError>;

/// What recordings are sealed with, if they are.
pub(crate) struct Seals {
    /// For those who may listen.
    pub(crate) media: Sealer,
    /// For them, and for this node's catalog.
    pub(crate) metadata: Sealer,
}

thread_local! {
    /// Memory for packets, used again for the next job.
    static SPARE: RefCell<Vec<Packets>> = const { RefCell::new(Vec::new()) };
}

/// Finishes jobs; shared by the threads of the pool.
pub(crate) struct Finisher {
    reader: Reader,
    make: Make,
    params: Params,
    /// It can be changed while calls are finished: each recording is sealed with one.
    seals: Mutex<Option<Arc<Seals>>>,
    /// Likewise.
    telling: Mutex<Arc<Telling>>,
    signer: Signer,
    storage: Arc<Storage>,
    node: String,
    losses: Arc<Losses>,
    heard: Arc<Heard>,
    outages: Arc<Outages>,
    wall_clock: Arc<WallClock>,
    journals: Vec<Health>,
}

impl Finisher {
    /// Without seals the files stay in the clear.
    pub(crate) fn new(
        reader: Reader,
        params: Params,
        (seals, signer): (Option<Seals>, Signer),
        storage: Arc<Storage>,
        node: String,
    ) -> Self {
        Self {
            heard: Arc::default(),
            reader,
            make: media::finish,
            params,
            seals: Mutex::new(seals.map(Arc::new)),
            telling: Mutex::default(),
            signer,
            storage,
            node,
            losses: Arc::default(),
            outages: Arc::default(),
            wall_clock: Arc::default(),
            journals: Vec::new(),
        }
    }

    #[cfg(test)]
    fn making(self, make: Make) -> Self {
        Self { make, ..self }
    }

    /// When the recorder saw nothing is marked in the calls that were up then.
    pub(crate) fn with_outages(self, outages: Arc<Outages>) -> Self {
        Self { outages, ..self }
    }

    /// Recordings tell by this.
    pub(crate) fn with_telling(self, telling: Telling) -> Self {
        self.tell_by(telling);
        self
    }

    /// Times are told as the wall clock showed them.
    pub(crate) fn with_wall_clock(self, wall_clock: Arc<WallClock>) -> Self {
        Self { wall_clock, ..self }
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
    fn seal_for(&self, seals: Option<Seals>) {
        *self.seals.lock().unwrap_or_else(PoisonError::into_inner) = seals.map(Arc::new);
    }

    /// Recordings tell by this from now on.
    fn tell_by(&self, telling: Telling) {
        *self.telling.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(telling);
    }

    /// Does one job up to the point where it is to be stored. A fault of the program in making the sound costs
    /// the sound, not the call: its packets are kept as they are.
    fn attempt(&self, job: &Job) -> Result<Made> {
        let mut fault = None;
        for _ in 0..SOUND_TRIES {
            match self.guarded(job, None) {
                Ok(made) => return made,
                Err(told) => fault = Some(told),
            }
        }
        self.guarded(job, fault).unwrap_or_else(|fault| Err(anyhow!("{fault}")))
    }

    /// What came of the job, or the fault that ended it.
    fn guarded(&self, job: &Job, fault: Option<String>) -> Result<Result<Made>, String> {
        // What a panic leaves behind: locks, which are taken all the same, and memory that is not used again.
        let made = catch_unwind(AssertUnwindSafe(|| self.finish(job, fault.as_deref())));
        made.map_err(|panic| {
            let (name, told) = (name_of(job), words(&*panic));
            self.storage.standing().fault();
            self.storage.standing().finishing_failed(format!(
                "{name}: a fault of the program while it was finished: {told}"
            ));
            told
        })
    }

    fn finish(&self, job: &Job, fault: Option<&str>) -> Result<Made> {
        let packets = self.read(&job.claims)?;
        let made = self.make(job, &packets, fault);
        give_back(packets);
        let Some((recording, finished)) = made? else {
            return Ok(Made::Nothing(Done::AlreadyThere));
        };
        if fault.is_none() && !worth_keeping(job, &finished) {
            return Ok(Made::Nothing(Done::NothingToKeep { packets: finished.tally.received }));
        }
        self.seal_all(recording, finished)
    }

    /// The recording and its media, or nothing if an earlier run has made them.
    fn make(
        &self,
        job: &Job,
        packets: &[Packets],
        fault: Option<&str>,
    ) -> Result<Option<(Recording, Finished)>> {
        let subject = Subject::new(job.call.as_ref(), &job.claims);
        let mut flows = flow_inputs(&job.claims, packets);
        let first =
            flows.iter().filter_map(|flow| flow.packets.first()).map(|packet| packet.time).min();
        let first = first.unwrap_or_default();
        let (id, start) = (subject.id(first), subject.start(first));
        if self.storage.is_known(id) {
            return Ok(None);
        }
        // Here is the border: from now on times are told, all moved alike.
        let ahead = self.wall_clock.ahead_at(start);
        move_all(&mut flows, ahead);
        let call = CallInput { start: start.moved(ahead), tags: subject.tags(start.moved(ahead)) };
        let finished = match fault {
            None => (self.make)(&call, &flows, &self.params),
            Some(_) => media::keep_packets(&flows),
        };
        let mut finished = finished.with_context(|| format!("recording {id}"))?;
        note_damage(&mut finished, packets);
        let telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut recording =
            metadata::recording(&subject, id, (start, ahead), &finished, &telling, &self.node);
        let stop = recording.stop_time.moved(ahead.saturating_neg());
        recording.clock = self.wall_clock.of_call(start, stop);
        if let Some(fault) = fault {
            recording.complete = false;
            recording.incomplete_reasons.push(format!(
                "its sound could not be made, by a fault of the program ({fault}); all its packets are in \
                 packets.pcapng"
            ));
        }
        self.losses.note(&mut recording, ahead);
        self.heard.note(&recording);
        self.outages.note(&mut recording, ahead);
        self.heard.note_missing(&recording);
        Ok(Some((recording, finished)))
    }

    /// The packets of each claim.
    fn read(&self, claims: &[Claim]) -> Result<Vec<Packets>> {
        let mut all = SPARE.take();
        all.resize_with(claims.len(), Packets::default);
        for (claim, packets) in claims.iter().zip(&mut all) {
            packets.clear();
            self.read_claim(claim, packets)?;
        }
        Ok(all)
    }

    /// Whether a job's packets have reached the journal's files, so that nothing is waited for.
    fn can_read(&self, job: &Job) -> bool {
        job.claims.iter().all(|claim| self.reader.is_written(claim.chain))
    }

    fn read_claim(&self, claim: &Claim, packets: &mut Packets) -> Result<(), ReadError> {
        let began = clock::instant();
        let may_come =
            || began.elapsed() < WRITTEN_WITHIN && !self.journals.iter().any(Health::is_lost);
        while !self.reader.is_written(claim.chain) && may_come() {
            std::thread::sleep(WRITTEN_EVERY);
        }
        let window = Window { from: claim.from, to: claim.until };
        self.reader.read(claim.chain, window, packets).map(drop)
    }

    fn seal_all(&self, mut recording: Recording, finished: Finished) -> Result<Made> {
        let created = clock::now();
        let mut manifest = Manifest::new(recording.id, created, &self.node, &recording.build);
        manifest.complete = recording.complete;
        manifest.gaps.clone_from(&recording.gaps);
        manifest.clock.clone_from(&recording.clock);
        let seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sealer = seals.as_deref().map(|seals| &seals.media);
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
        let (stored, bytes) = seal(
            seals.as_deref().map(|seals| &seals.metadata),
            METADATA_NAME,
            "application/json",
            json,
        )?;
        files.push((stored.name.clone(), bytes));
        manifest.files.push(stored);
        let manifest = manifest.to_json()?;
        let signature = self.signer.sign(&manifest, created)?;
        files.push((manifest::MANIFEST_NAME.into(), manifest));
        files.push((manifest::SIGNATURE_NAME.into(), signature));
        Ok(Made::Recording { recording: Box::new(recording), files })
    }
}

/// One file as it is stored, and its place in the manifest.
fn seal(
    sealer: Option<&Sealer>,
    name: &str,
    media_type: &str,
    plain: Vec<u8>,
) -> Result<(manifest::File, Vec<u8>)> {
    let entry = manifest::File::plain(name, media_type, &plain);
    let Some(sealer) = sealer else { return Ok((entry, plain)) };
    let sealed = sealer.seal_in_place(plain)?;
    Ok((entry.sealed_as(&sealed), sealed))
}

/// Whether the earlier run saw less of the call than there may be: a fuller one then takes its place.
fn was_cut_short(recording: &Recording) -> bool {
    let cut_short = [EndReason::CaptureEnd, EndReason::Interrupted, EndReason::Timeout];
    recording.call_id.is_none()
        || cut_short.iter().any(|reason| recording.end_reason == reason.to_string())
}

/// Whether a recording of a call is to give way to this one of the same call.
fn replaces(new: &Recording, kept: &Recording) -> bool {
    was_cut_short(kept) && new.stop_time > kept.stop_time
}

/// How people know the call of a job.
fn name_of(job: &Job) -> String {
    match &job.call {
        Some(call) => format!("call {}", call.call_id),
        None => "media without signalling".into(),
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".into())
}

/// Keeps memory for the next job of this thread, if it is not too much.
fn give_back(mut packets: Vec<Packets>) {
    packets.retain(|packets| packets.capacity_bytes() <= SPARE_BYTES_MAX);
    packets.truncate(SPARE_FLOWS_MAX);
    packets.iter_mut().for_each(Packets::clear);
    SPARE.set(packets);
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
            packets.append_to(&mut flow.packets);
            flow.packets.sort_by_key(|packet| packet.time);
            continue;
        }
        let mut own = Vec::new();
        packets.append_to(&mut own);
        flows.push(FlowInput {
            key: claim.key,
            side: claim.side,
            media: claim.media.clone(),
            formats: claim.formats.clone(),
            secure: claim.secure,
            packets: own,
        });
    }
    flows
}

/// Moves every packet by so many nanoseconds.
fn move_all(flows: &mut [FlowInput<'_>], nanos: i64) {
    if nanos != 0 {
        let packets = flows.iter_mut().flat_map(|flow| &mut flow.packets);
        packets.for_each(|packet| packet.time = packet.time.moved(nanos));
    }
}

/// What the journal could not give back is said.
fn note_damage(finished: &mut Finished, packets: &[Packets]) {
    let damaged = packets.iter().flat_map(Packets::damaged);
    finished
        .notes
        .extend(damaged.map(|damage| format!("a part of the journal was damaged: {damage}")));
}
