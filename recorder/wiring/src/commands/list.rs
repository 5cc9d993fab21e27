//! `spanreel list`.

use std::cell::RefCell;
use std::ops::ControlFlow;

use anyhow::Result;
use base::recording::Recording;
use store::catalog::{self, Rebuilt};
use store::{Catalog, Filter, Order};
use zeroize::Zeroizing;

use super::{Verdict, text};
use crate::cli::List;
use crate::data_dir::{DataDir, node_name};
use crate::{output, sealed};

pub(super) fn run(arguments: &List) -> Result<Verdict> {
    let data = DataDir::open(&arguments.data.dir)?;
    let whole = if arguments.rebuild { rebuild(&data, arguments)? } else { true };
    let catalog = Catalog::open_existing(&data.catalog()?)?;
    let mut printed = print(&catalog, arguments);
    if !arguments.json && printed.as_ref().is_ok_and(|count| *count == 0) {
        printed = output::line("no recordings").map(|()| 0);
    }
    printed?;
    Ok(if whole { Verdict::Done } else { Verdict::Bad })
}

/// Prints the recordings that are asked for, and gives their number.
fn print(catalog: &Catalog, arguments: &List) -> Result<usize> {
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let (mut count, mut result) = (0, Ok(()));
    catalog.each(&filter(arguments), Order::Earliest, None, |recording| {
        if count == limit {
            return ControlFlow::Break(());
        }
        result = print_one(&recording, arguments.json, count == 0);
        count += 1;
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result.map(|()| count)
}

fn print_one(recording: &Recording, json: bool, first: bool) -> Result<()> {
    if json {
        return output::line(serde_json::to_string(recording)?);
    }
    if first {
        output::line(text::HEADING)?;
    }
    output::line(text::line(recording))
}

fn filter(arguments: &List) -> Filter {
    let milliseconds =
        |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Filter {
        from: arguments.since,
        to: arguments.until,
        party: arguments.party.clone(),
        call_id: arguments.call_id.clone(),
        duration_min: arguments.min_duration.map(milliseconds),
        duration_max: arguments.max_duration.map(milliseconds),
        incomplete: arguments.incomplete,
        direction: arguments.direction,
        mos_max: arguments.max_mos,
        labels: arguments.labels.clone(),
        held: arguments.held.then_some(true),
        ..Filter::default()
    }
}

/// Makes the catalog anew; true if every folder is in it.
fn rebuild(data: &DataDir, arguments: &List) -> Result<bool> {
    let opener = RefCell::new(sealed::Opener::new(data, arguments.opening.key.as_deref()));
    let open = |bytes: &[u8]| {
        opener.borrow_mut().open(bytes).map(Zeroizing::new).map_err(|e| format!("{e:#}"))
    };
    let Rebuilt { recordings, problems } =
        catalog::rebuild(&data.catalog()?, &data.recordings(), &node_name(), open)?;
    for problem in &problems {
        crate::output::say(format_args!("spanreel: not in the catalog: {problem}"));
    }
    crate::output::say(format_args!(
        "spanreel: the catalog was made anew: {recordings} recordings, {} left out",
        problems.len()
    ));
    Ok(problems.is_empty())
}

#[cfg(test)]
mod tests {
    use base::recording::Direction;
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn what_is_asked_for_is_in_the_filter() {
        let words =
            "spanreel list --party 5* --direction inbound --max-mos 3.5 --label a --label b --held";
        let Command::List(list) = Cli::parse_from(words.split(' ')).command else { panic!() };
        let expected = Filter {
            party: Some("5*".into()),
            direction: Some(Direction::Inbound),
            mos_max: Some(3.5),
            labels: vec!["a".into(), "b".into()],
            held: Some(true),
            ..Filter::default()
        };
        assert_eq!(filter(&list), expected);
    }
}
