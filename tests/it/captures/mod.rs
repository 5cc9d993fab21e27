//! Over every shared capture: are its calls, parties, times and streams found, and is the sound exact?
//!
//! A capture may need what is not built yet (a tunnel, SRTP, another transport). Which one, is decided by
//! the capture's tags, and only what that feature explains is forgiven. Nothing else may differ.
//!
//! The published answers come from tshark, which takes a stream for RTP only from its session description
//! on. Where it so missed the beginning or an end, what is read from the capture here ([`rtp`]) counts.

mod calls;
mod media;

use base::recording::Recording;
use rayon::prelude::*;

use crate::expected::{self, Call, Case};
use crate::harness::{self, Data, tell};
use crate::rtp;

/// What is wrong with what was made of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A call or a stream was not found.
    Missing,
    /// The sound is not what was said.
    Sound,
    /// Anything else.
    Wrong,
}

struct Problem {
    kind: Kind,
    text: String,
}

/// What is not built yet, the tags or link types of captures that need it, and what is forgiven them.
const LATER: [(&str, &[&str], Kind); 5] = [
    ("tunnels", TUNNELS, Kind::Missing),
    ("SIP over TLS", &["sip-tls"], Kind::Missing),
    ("SIP over WebSocket", &["websocket"], Kind::Missing),
    ("SCTP", &["sctp"], Kind::Missing),
    ("SRTP", &["srtp", "savp", "zrtp"], Kind::Sound),
];

const TUNNELS: &[&str] = &[
    "gre", "erspan", "vxlan", "geneve", "gtp", "mpls", "pppoe", "ip-in-ip", "l2tp", "tzsp", "ppp",
];

/// How a capture did.
enum Verdict {
    Passed,
    Waits(Vec<&'static str>),
    NoCall,
    Failed,
}

/// What was found out about one capture.
struct Check<'a> {
    case: &'a Case,
    problems: Vec<Problem>,
    recordings: usize,
    /// Streams whose every sample is in its place.
    exact: usize,
    /// Streams that are whole in a file of packets.
    kept: usize,
}

#[test]
fn the_calls_of_real_captures_are_found_and_sound_exact() {
    let Some(folder) = expected::folder() else {
        return tell(
            "SKIPPED: no captures in ../shared/captures, and SPANREEL_CAPTURES names no folder of them",
        );
    };
    harness::spanreel();
    let cases = expected::cases(&folder);
    let checks: Vec<Check<'_>> = cases.par_iter().map(Check::of).collect();
    tell(&checks.iter().map(Check::line).collect::<Vec<_>>().join("\n"));
    tell(&summary(&checks));
    let failed = checks.iter().filter(|check| matches!(check.verdict(), Verdict::Failed)).count();
    assert_eq!(failed, 0, "captures failed; the table above says which and why");
}

fn summary(checks: &[Check<'_>]) -> String {
    let count = |of: fn(Verdict) -> bool| checks.iter().filter(|c| of(c.verdict())).count();
    format!(
        "{} captures: {} passed, {} wait for a later feature, {} hold no call, {} failed; {} streams of G.711 \
         are bit-exact, {} of other codecs are kept as packets",
        checks.len(),
        count(|v| matches!(v, Verdict::Passed)),
        count(|v| matches!(v, Verdict::Waits(_))),
        count(|v| matches!(v, Verdict::NoCall)),
        count(|v| matches!(v, Verdict::Failed)),
        checks.iter().map(|check| check.exact).sum::<usize>(),
        checks.iter().map(|check| check.kept).sum::<usize>(),
    )
}

impl<'a> Check<'a> {
    fn of(case: &'a Case) -> Self {
        let data = Data::new();
        let ran = data.replay(&case.path);
        let recordings = data.list();
        let mut check =
            Self { case, problems: vec![], recordings: recordings.len(), exact: 0, kept: 0 };
        let status = Some(i32::from(!case.answers.capinfos.error.is_empty()));
        if ran.code != status {
            let text = format!("exit status {:?}, not {status:?}: {}", ran.code, ran.err.trim());
            check.problem(Kind::Wrong, text);
        }
        if case.has("negative") && !recordings.is_empty() {
            check.problem(Kind::Wrong, "recordings of a capture without a call".to_owned());
        }
        check.calls(&recordings);
        check.media(&data, &recordings, &rtp::streams(&case.path));
        check
    }

    fn problem(&mut self, kind: Kind, text: String) {
        self.problems.push(Problem { kind, text });
    }

    fn verdict(&self) -> Verdict {
        let later = self.later();
        let forgiven = |problem: &Problem| later.iter().any(|(_, kind)| *kind == problem.kind);
        match self.problems.as_slice() {
            [] if self.expects_a_call() => Verdict::Passed,
            [] => Verdict::NoCall,
            problems if problems.iter().all(forgiven) => {
                Verdict::Waits(later.iter().map(|(feature, _)| *feature).collect())
            }
            _ => Verdict::Failed,
        }
    }

    /// The features without which this capture cannot be understood.
    fn later(&self) -> Vec<(&'static str, Kind)> {
        let needs =
            |tags: &[&str]| tags.iter().any(|tag| self.case.has(tag) || self.case.link == **tag);
        let later = LATER.iter().filter(|(_, tags, _)| needs(tags));
        later.map(|(feature, _, kind)| (*feature, *kind)).collect()
    }

    fn expects_a_call(&self) -> bool {
        self.case.answers.calls.iter().any(|call| self.is_wanted(call))
    }

    /// Whether a call is to be recorded: it was answered, or had media.
    fn is_wanted(&self, call: &Call) -> bool {
        let streams = &self.case.answers.rtp_streams;
        call.answered || streams.iter().any(|stream| stream.call_ids.contains(&call.call_id))
    }

    fn line(&self) -> String {
        let Self { case, recordings, exact, kept, .. } = self;
        let name = &case.name;
        let found =
            format!("{recordings} recordings, {exact} streams bit-exact, {kept} kept as packets");
        let problems: Vec<&str> = self.problems.iter().map(|problem| &*problem.text).collect();
        match self.verdict() {
            Verdict::Passed => format!("passed   {name}: {found}"),
            Verdict::NoCall => format!("no call  {name}: {found}"),
            Verdict::Waits(features) => {
                format!("waits    {name}: for {} ({})", features.join(" and "), problems[0])
            }
            Verdict::Failed => {
                format!("FAILED   {name}:\n           {}", problems.join("\n           "))
            }
        }
    }
}

fn is_of(recording: &Recording, call_id: &str) -> bool {
    recording.call_id.as_deref() == Some(call_id)
}
