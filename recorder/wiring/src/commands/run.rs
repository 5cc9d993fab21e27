//! `spanreel run`.

use anyhow::Result;

use super::Verdict;
use crate::cli::Run as Arguments;
use crate::config::Config;
use crate::{live, output};

pub(super) fn run(arguments: &Arguments) -> Result<Verdict> {
    super::end_with_parent(arguments.end_with_parent)?;
    let reread = || configuration(arguments);
    let config = reread()?;
    if arguments.check {
        live::check(&config)?;
        output::line(format_args!("all is well: {} can be recorded", config.interface))?;
        return Ok(Verdict::Done);
    }
    let outcome = live::run(&config, &reread)?;
    if arguments.json {
        output::line(outcome.ledger.to_json())?;
    } else {
        tell(&outcome.ledger, &config)?;
    }
    for trouble in &outcome.troubles {
        crate::output::say(format_args!("spanreel: {trouble}"));
    }
    Ok(if outcome.troubles.is_empty() { Verdict::Done } else { Verdict::Bad })
}

/// The file, with the command line over it.
fn configuration(arguments: &Arguments) -> Result<Config> {
    let read = arguments.config.as_deref().map(Config::read).transpose()?;
    Ok(over(read.unwrap_or_default(), arguments))
}

fn over(mut config: Config, arguments: &Arguments) -> Config {
    fn replace<T: Clone>(value: &mut T, given: Option<&T>) {
        if let Some(given) = given {
            value.clone_from(given);
        }
    }
    fn replace_list<T: Clone>(value: &mut Vec<T>, given: &Vec<T>) {
        replace(value, (!given.is_empty()).then_some(given));
    }
    replace(&mut config.interface, arguments.interface.as_ref());
    replace(&mut config.data, arguments.data.as_ref());
    replace(&mut config.mode, arguments.mode.as_ref());
    replace(&mut config.role, arguments.role.as_ref());
    replace(&mut config.media_file_minutes, arguments.media_file_minutes.as_ref());
    replace(&mut config.stats_every_seconds, arguments.stats_every.as_ref());
    replace_list(&mut config.cores, &arguments.cores);
    replace_list(&mut config.signalling_ports, &arguments.signalling_ports);
    replace_list(&mut config.certificates, &arguments.certificates);
    config.queues = arguments.queues.or(config.queues);
    if let Some(listen) = arguments.web {
        config.web.get_or_insert_default().listen = listen;
    }
    config.seal &= !arguments.no_seal;
    config.mono |= arguments.mono;
    config.keep_unclaimed &= !arguments.drop_unclaimed;
    if arguments.no_seal {
        config.certificates.clear();
    }
    config
}

fn tell(ledger: &live::LiveLedger, config: &Config) -> Result<()> {
    output::line(format_args!("{ledger}\n"))?;
    output::line(ledger.calls())?;
    if !config.seal {
        output::line("the recordings are NOT ENCRYPTED")?;
    }
    output::line(format_args!("List them: spanreel list --data {}", config.data.display()))
}
