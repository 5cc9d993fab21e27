//! `spanreel alarms`: what the running service says of itself.

use std::time::Duration;

use anyhow::{Result, bail};

use super::Verdict;
use crate::alarms::{self, State};
use crate::cli::Alarms as Arguments;
use crate::{clock, output};

/// The service writes every few seconds; what is older than this is not of a service that is well.
const FRESH: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: &Arguments) -> Result<Verdict> {
    let data = &arguments.data.dir;
    let Some(state) = alarms::state_of(data)? else {
        bail!("no service has run in {}; name its data folder with --data DIR", data.display());
    };
    if arguments.json {
        output::line(serde_json::to_string(&state)?)?;
    } else {
        print(&state, arguments.history)?;
    }
    let trouble = trouble(&state);
    if let Some(trouble) = &trouble {
        crate::output::say(format_args!("spanreel: {trouble}"));
    }
    Ok(if trouble.is_none() { Verdict::Done } else { Verdict::Bad })
}

fn print(state: &State, history: bool) -> Result<()> {
    output::line(alarms::table(&state.raised))?;
    if history {
        output::line(format_args!("\nCLEARED\n{}", alarms::table(&state.history)))?;
    }
    for outlet in &state.outlets {
        let trouble = outlet.trouble.as_deref().unwrap_or("works");
        if outlet.trouble.is_some() || outlet.dropped() > 0 {
            output::line(format_args!(
                "\nOUTLET {}: {trouble}; {} events sent, {} lost",
                outlet.name,
                outlet.sent,
                outlet.dropped()
            ))?;
        }
    }
    Ok(())
}

/// Why what is shown may not be so any more.
fn trouble(state: &State) -> Option<String> {
    let State { time, pid, .. } = state;
    if !state.running {
        return Some(format!("the service ended at {time}; nothing is being recorded"));
    }
    let age = clock::now().since(*time);
    (age > FRESH).then(|| {
        format!(
            "the service (process {pid}) has not said anything for {} s: it does not run any more, or hangs",
            age.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(running: bool, age: Duration) -> State {
        let (raised, history, outlets) = (Vec::new(), Vec::new(), Vec::new());
        let time = clock::now().minus(age);
        State { time, node: "span1".into(), pid: 7, running, raised, history, outlets }
    }

    #[test]
    fn a_service_that_does_not_run_is_no_green() {
        assert_eq!(trouble(&state(true, Duration::ZERO)), None);
        let ended = trouble(&state(false, Duration::ZERO)).unwrap();
        assert!(ended.starts_with("the service ended at "), "{ended}");
        let hangs = trouble(&state(true, Duration::from_secs(31))).unwrap();
        assert!(hangs.contains("(process 7) has not said anything for 31 s"), "{hangs}");
    }
}
