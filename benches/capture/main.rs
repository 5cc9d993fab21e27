//! What a packet costs from the wire into the journal, beside the least that AF_XDP can do, and beside a packet
//! socket; nanoseconds of CPU time, on a virtual Ethernet pair with native XDP.
//!
//! One CPU sends frames of one RTP packet of G.711 as fast as it can; the kernel's part of receiving (NAPI, the
//! XDP program, the copy into the socket's memory) runs on it too, as it does on a NIC's interrupt CPU. Another
//! CPU takes the frames. What sending alone costs is measured with a program that drops everything, and
//! subtracted. All ways take turns, several times, because machines are busy and virtual.
#![expect(clippy::print_stdout, reason = "it prints figures")]

mod load;
mod recorder;
mod table;
mod ways;

use anyhow::{Result, bail};
use benches::{cpu, machine, wire};
use clap::Parser;

use crate::load::Sender;
use crate::table::Table;
use crate::ways::{Bench, Way};

/// Where everybody runs: interrupts come to CPU 0 first, so it is left alone.
const SENDER_CPU: usize = 1;
const JOURNAL_CPU: usize = 2;
const RECEIVER_CPU: usize = 3;

/// Nanoseconds of CPU time a packet, from the wire into the journal.
#[derive(Debug, Parser)]
struct Options {
    /// Frames of each measurement.
    #[arg(long, default_value_t = 2_000_000)]
    frames: u32,
    /// Flows that the frames are of, chosen at random.
    #[arg(long, default_value_t = 2_000)]
    flows: u32,
    /// How often each way is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only these ways, by their names; the empty wire is always measured.
    #[arg(long, value_enum)]
    only: Vec<Way>,
    /// What cargo says; without meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(why) = why_not() {
        println!("skipped: {why}");
        return Ok(());
    }
    println!("{}", machine::described());
    println!(
        "{} frames of {} bytes in {} flows, {} rounds; ns of CPU time a frame: median [least-most]",
        options.frames,
        load::FRAME_BYTES,
        options.flows,
        options.rounds
    );
    wire::within(|| run(&options))
}

fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it makes network interfaces and loads BPF programs: run it as root".into());
    }
    let cpus = cpu::count();
    (cpus <= RECEIVER_CPU).then(|| format!("it needs 4 CPUs, there are {cpus}"))
}

fn run(options: &Options) -> Result<()> {
    let mut sender = Sender::new(options.flows)?;
    let mut bench = Bench::new()?;
    let mut ways: Vec<Way> = vec![Way::Wire];
    ways.extend(Way::ALL.into_iter().filter(|way| {
        *way != Way::Wire && (options.only.is_empty() || options.only.contains(way))
    }));
    for way in &ways {
        // Opens flows and touches memory for the first time.
        bench.measure(*way, &mut sender, options.frames / 2)?;
    }
    let mut table = Table::default();
    for _ in 0..options.rounds {
        for way in &ways {
            let measured = bench.measure(*way, &mut sender, options.frames)?;
            if measured.taken == 0 && *way != Way::Wire {
                bail!("nothing came by the way {way:?}");
            }
            table.add(*way, &measured);
        }
    }
    println!("{table}");
    bench.finish()
}
