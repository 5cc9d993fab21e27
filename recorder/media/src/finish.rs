//! One call's packets in, finished files and reports out.

use crate::error::MediaError;
use crate::input::{CallInput, FlowInput, Params};
use crate::kept;
use crate::output::{Finished, Tally};
use crate::render::{Common, lane};
use crate::report::Reports;
use crate::work::Work;

/// Finishes a call: every packet of `flows` ends in the audio, in the packet files, or in a count.
///
/// The result depends on nothing but the arguments.
///
/// # Errors
/// The file limit is below a second, or the packet file is refused. Nothing that the packets hold is an
/// error.
pub fn finish(
    call: &CallInput,
    flows: &[FlowInput<'_>],
    params: &Params,
) -> Result<Finished, MediaError> {
    if params.media_file_limit.as_secs() == 0 {
        return Err(MediaError::FileLimit(params.media_file_limit));
    }
    let mut work = Work::read(call, flows);
    work.recognise_duplicates();
    let places = work.place();
    let mut files = Vec::new();
    for (number, streams) in places.lanes.iter().enumerate() {
        let common = Common { lane: number, params, tags: &call.tags, reference: work.reference };
        let channel = |ids: &[usize]| work.channel(ids, &places.placed);
        files.extend(lane(&channel(&streams.caller), &channel(&streams.callee), common));
    }
    let reports = Reports { work: &work, places: &places, audio: &files };
    let streams = reports.streams();
    let (gaps, gaps_left_out) = reports.gaps();
    let mut notes = work.notes(&files);
    if gaps_left_out > 0 {
        notes.push(format!("{gaps_left_out} more gaps are not listed"));
    }
    let (keys, keys_left_out) = reports.keys();
    if keys_left_out > 0 {
        notes.push(format!("{keys_left_out} more key presses are not listed"));
    }
    files.extend(kept::files(work.kept())?);
    let tally = work.tally();
    assert!(tally.balances(), "every packet is accounted for");
    Ok(Finished { files, streams, gaps, keys, notes, tally, clock_stretch_ppb: places.stretch_ppb })
}

/// Keeps a call's packets as they are and makes nothing of them: for a call whose sound cannot be made.
///
/// # Errors
/// Memory runs out.
pub fn keep_packets(flows: &[FlowInput<'_>]) -> Result<Finished, MediaError> {
    let of = flows.iter().flat_map(|flow| flow.packets.iter().map(|packet| (flow.key, *packet)));
    let packets: Vec<_> = of.collect();
    let count = packets.len() as u64;
    let tally = Tally { received: count, kept: count, ..Tally::default() };
    Ok(Finished { files: kept::files(packets)?, tally, ..Finished::default() })
}
