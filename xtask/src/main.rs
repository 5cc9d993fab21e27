//! The one toolbox: `cargo xtask demo`, `cargo xtask test`, and what they are made of.
//!
//! Each command does its own set-up, so that it works on a fresh Debian 12 machine that has only rustup
//! and git.

mod api;
mod demo;
mod ebpf;
mod long;
mod setup;
mod shell;
mod test;
mod web;
mod wire;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [CAPTURE]   record a capture (one of synthetic calls if none is given), list, verify and play it
  test             everything that CI runs: format, lints, licences, tests, fuzz targets
  fuzz [SECONDS]   every fuzz target for that long each [60], guided by coverage
  sim [SEEDS]      the recorder in one thread, with another fault at every turn: so many runs [10000]
  power [CUTS]     power cuts below the file system, under live calls: so many [200]; needs root
  kills [N]        kills the recorder at N random moments under 500 live calls [200]
  attack [SECONDS] floods of SIP, RTP, fragments and tunnels beside 500 live calls [60]
  soak [MINUTES]   changing load with restarts; memory, descriptors and files return to where they were [60]
  viewers [SECONDS] viewers, players and listeners beside 520 calls: no drop, and what they cost; phases so long [15]
  ebpf [--check]   build the XDP program anew; or see that the committed one is what its source gives
  web              build the window's pages (node, npm), which the program then has in it
  web test         the pages in a browser, with the real program
  screenshots      pictures of every page into docs/screenshots
  api              every operation of the API asked with good and bad data: does it do what its description says?
  setup            install what the others need";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["demo"] => demo::run(None),
        ["demo", capture] => demo::run(Some(capture.as_ref())),
        ["test"] => test::run(),
        ["fuzz"] => test::fuzz(60),
        ["fuzz", seconds] => seconds.parse().map_err(anyhow::Error::from).and_then(test::fuzz),
        ["sim"] => test::sim("10000"),
        ["sim", seeds] => test::sim(seeds),
        ["power"] => test::power("200"),
        ["power", cuts] => test::power(cuts),
        ["kills"] => long::kills(200),
        ["kills", count] => count.parse().map_err(anyhow::Error::from).and_then(long::kills),
        ["attack"] => long::attack(60),
        ["attack", seconds] => seconds.parse().map_err(anyhow::Error::from).and_then(long::attack),
        ["soak"] => long::soak(60.0),
        ["soak", minutes] => minutes.parse().map_err(anyhow::Error::from).and_then(long::soak),
        ["viewers"] => long::viewers(15),
        ["viewers", seconds] => {
            seconds.parse().map_err(anyhow::Error::from).and_then(long::viewers)
        }
        ["ebpf", ..] => ebpf::run(),
        ["web"] => web::build(),
        ["web", "test"] => web::test(),
        ["screenshots"] => web::screenshots(),
        ["api"] => api::run(),
        ["setup"] => setup::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
