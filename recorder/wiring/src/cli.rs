//! The command line, as it is written. What a command does is in [`crate::commands`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base::Timestamp;
use base::recording::Direction;
use capture::pace::Rate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{CaptureMode, DATA_DIR, MEDIA_FILE_MINUTES, Ports, Role};
use crate::telling::{Dtmf, Pattern};

/// Spanreel records the SIP and RTP calls that a mirror port shows: complete, encrypted, signed, searchable.
#[derive(Debug, Parser)]
#[command(name = "spanreel", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// More of the log on standard error (SPANREEL_LOG=debug does the same and more).
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record the calls that a mirror port shows, until told to stop.
    Run(Box<Run>),
    /// Turn capture files into finished recordings, through the engine that live traffic uses.
    Replay(Replay),
    /// Serve the window for people over a data folder: status, search, listening, sharing, and the API.
    Web(Box<Web>),
    /// Show what is wrong with the running service, how bad it is, and what to do.
    Alarms(Alarms),
    /// List recordings, newest last.
    List(List),
    /// Show one recording: parties, times, streams, quality, gaps, SIP ladder.
    Show(Show),
    /// Decrypt a recording's audio to a WAV, FLAC or Opus file, or to standard output.
    Play(Play),
    /// Decrypt a whole recording into a folder.
    Export(Export),
    /// Check that recordings are unaltered and whole; needs neither catalog nor private key.
    Verify(Verify),
    /// Create, show and check the certificates and keys of a data folder.
    Keys(Keys),
    /// Say what this machine and a mirror port can do, what is wrong, and what to do about it.
    Doctor(crate::doctor::Options),
    /// Measure what this machine carries: load it, check every call, search the most, plan.
    Bench(crate::bench::Options),
    /// Write a capture of synthetic calls with known audio, for tests and benchmarks.
    Synth(crate::synth::Options),
}

/// Which data folder.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The data folder: an appliance's, or what `replay --out` made.
    #[arg(long = "data", value_name = "DIR", default_value = DATA_DIR)]
    pub(crate) dir: PathBuf,
}

/// With which private key.
#[derive(Debug, Args)]
pub(crate) struct Opening {
    /// Private key (PEM) of a certificate that the recording was sealed for
    /// [default: keys/recording.key in the data folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// Arguments of `run`. What is given here goes before what the configuration says.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel run --interface eth1 --data /srv/calls\n  \
                        spanreel run --check --config /etc/spanreel.toml\n\n\
                        SIGTERM ends it, SIGHUP reads the configuration again, SIGUSR1 shows the ledger.")]
pub(crate) struct Run {
    /// The configuration (TOML); docs/CONFIGURATION.md has every key.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check everything and start nothing.
    #[arg(long)]
    pub(crate) check: bool,
    /// The interface that the mirrored traffic comes in on.
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// The data folder; made if it is not there [default: /var/lib/spanreel].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How frames are taken [default: auto].
    #[arg(long, value_enum)]
    pub(crate) mode: Option<CaptureMode>,
    /// Whose interface it is [default: span].
    #[arg(long, value_enum)]
    pub(crate) role: Option<Role>,
    /// Capture threads [default: one for each receive queue].
    #[arg(long, value_name = "N")]
    pub(crate) queues: Option<u32>,
    /// CPUs that the capture threads are kept on, one each.
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// Ports that carry SIP, or ranges of them [default: 5060].
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub(crate) signalling_ports: Vec<Ports>,
    /// Certificates (PEM, RSA or EC) to seal for; may be repeated
    /// [default: keys/recording.crt in the data folder, made if it is not there].
    #[arg(long = "cert", value_name = "FILE")]
    pub(crate) certificates: Vec<PathBuf>,
    /// Leave the files unencrypted. The recordings say so.
    #[arg(long, conflicts_with = "certificates")]
    pub(crate) no_seal: bool,
    /// One mixed channel instead of caller left, callee right.
    #[arg(long)]
    pub(crate) mono: bool,
    /// Longest media file, minutes; a longer call becomes several [default: 30].
    #[arg(long, value_name = "N")]
    pub(crate) media_file_minutes: Option<u32>,
    /// Do not keep audio whose signalling was not seen.
    #[arg(long)]
    pub(crate) drop_unclaimed: bool,
    /// Serve the pages there, by a process of its own; 0.0.0.0:8443, for example.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) web: Option<SocketAddr>,
    /// Write the ledger to the log so often.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stats_every: Option<u64>,
    /// Print the ledger at the end as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// End when the program that started this one does.
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel replay monday.pcap tuesday.pcapng.zst --out /tmp/calls\n  \
                        spanreel list --data /tmp/calls"
)]
pub(crate) struct Replay {
    /// Capture files (pcap or pcapng, plain, gzip or zstd), read in the order of their times.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The data folder to fill; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Pace: `1x` as captured, `10x` ten times as fast [default: as fast as it goes].
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<Rate>,
    /// Certificates (PEM, RSA or EC) to seal for; may be repeated
    /// [default: keys/recording.crt in the data folder, made if it is not there].
    #[arg(long = "cert", value_name = "FILE")]
    pub(crate) certificates: Vec<PathBuf>,
    /// Leave the files unencrypted. The recordings say so.
    #[arg(long, conflicts_with = "certificates")]
    pub(crate) no_seal: bool,
    /// One mixed channel instead of caller left, callee right.
    #[arg(long)]
    pub(crate) mono: bool,
    /// Longest media file, minutes; a longer call becomes several.
    #[arg(long, value_name = "N", default_value_t = MEDIA_FILE_MINUTES, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) media_file_minutes: u32,
    /// An own number ("+4930*", "2??") or address ("*@pbx.example.com"), by which the direction of calls is told;
    /// may be repeated.
    #[arg(long = "own", value_name = "PATTERN")]
    pub(crate) own_numbers: Vec<Pattern>,
    /// What recordings tell of keys pressed on a phone.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) dtmf: Dtmf,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// End when the program that started this one does.
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,
}

/// Arguments of `web`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel web --data /tmp/calls\n  spanreel web --data /srv/calls --url https://calls.example.com \
                        --cert calls.crt --key calls.key\n\n\
                        The first start prints a link that makes the first user. SIGTERM ends it."
)]
pub(crate) struct Web {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Listen here.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,
    /// Listen here for plain HTTP too, and send it to the real address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) redirect: Option<SocketAddr>,
    /// What browsers call this server; links begin with it [default: https:// with this machine's name and the port].
    #[arg(long, value_parser = web_url)]
    pub(crate) url: Option<String>,
    /// The server's certificate and its chain (PEM); it is read again when it changes
    /// [default: keys/web.crt in the data folder, made if it is not there].
    #[arg(long = "cert", value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Private key (PEM) that opens recordings; without one they are found, but not heard
    /// [default: keys/recording.key in the data folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) recording_key: Option<PathBuf>,
    /// Users and catalog are in this PostgreSQL database, `postgres://user@host:5432/database`
    /// [default: SQLite files in the data folder].
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// A file whose first line is its password.
    #[arg(long, value_name = "FILE", requires = "postgres")]
    pub(crate) postgres_password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that its certificate must come from [default: the system's].
    #[arg(long, value_name = "FILE", requires = "postgres")]
    pub(crate) postgres_ca: Option<PathBuf>,
    /// Start the server again when it ends.
    #[arg(long)]
    pub(crate) keep: bool,
    /// The process that this one belongs to, and ends with: `run` says so.
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) parent: Option<u32>,
}

/// Arguments of `alarms`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel alarms --data /srv/calls --history\n\n\
                        Exit status 1 if the service does not run or hangs.")]
pub(crate) struct Alarms {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Also those that cleared since the service started.
    #[arg(long)]
    pub(crate) history: bool,
    /// Everything as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel list --data /tmp/calls --party '+4930*' --since 2026-11-01 --incomplete"
)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Calls that began at this time or later (RFC 3339, or a date).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Calls that began before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// Calls with this caller or callee; `*` stands for anything.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) party: Option<String>,
    /// The call with this Call-ID.
    #[arg(long, value_name = "ID")]
    pub(crate) call_id: Option<String>,
    /// Calls of at least this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) min_duration: Option<Duration>,
    /// Calls of at most this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_duration: Option<Duration>,
    /// Only calls of which something is missing.
    #[arg(long)]
    pub(crate) incomplete: bool,
    /// Calls that went this way: inbound, outbound, internal or unknown.
    #[arg(long, value_name = "WAY", value_parser = direction)]
    pub(crate) direction: Option<Direction>,
    /// Calls of which a stream has this mean opinion score or a lower one.
    #[arg(long, value_name = "MOS")]
    pub(crate) max_mos: Option<f64>,
    /// Calls with this label; may be repeated: with all of them.
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Only calls under non-deletion.
    #[arg(long)]
    pub(crate) held: bool,
    /// At most this many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Make the catalog anew from the recordings' folders first.
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// One JSON object a line, in the shape of recording.json.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel show 0192f1c4 --data /tmp/calls")]
pub(crate) struct Show {
    /// The recording: its id, or the beginning of it that no other has.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) data: Data,
    /// As JSON, in the shape of recording.json.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `play` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AudioFormat {
    /// RIFF WAVE, 16 bit.
    Wav,
    /// As it is stored.
    Flac,
    /// Small, for listening: 24 kbit/s for each party.
    Opus,
}

/// Who is to be heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// Caller left, callee right.
    #[default]
    Both,
    /// The caller alone.
    Caller,
    /// The callee alone.
    Callee,
}

/// Arguments of `play`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  spanreel play 0192f1c4 --data /tmp/calls --to call.wav\n  \
                        spanreel play 0192f1c4 --data /tmp/calls --to - | aplay")]
pub(crate) struct Play {
    /// The recording: its id, or the beginning of it that no other has.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Where to: a file, or `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Which media file, by its mediaId [default: all parts of the first audio file, one after the other].
    #[arg(long, value_name = "ID")]
    pub(crate) media: Option<String>,
    /// What to write [default: by the file's ending, else WAV].
    #[arg(long)]
    pub(crate) format: Option<AudioFormat>,
    /// Who is to be heard.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) side: Who,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel export 0192f1c4 --data /tmp/calls --to /tmp/for-the-court"
)]
pub(crate) struct Export {
    /// The recording: its id, or the beginning of it that no other has.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// The folder to make; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  spanreel verify --data /tmp/calls\n  spanreel verify --audit --data /srv/calls\n  \
                        spanreel verify /mnt/evidence/0192f1c4-... \
                        --node-cert node.crt"
)]
pub(crate) struct Verify {
    /// Recordings by id, folders of recordings, or single files of them; or a file with its signature beside it, such
    /// as a report of `bench` [default: every recording of the data folder].
    #[arg(value_name = "ID|FOLDER|FILE")]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Certificates (PEM) of the nodes whose signature counts; may be repeated
    /// [default: keys/node.crt in the data folder, if it is there].
    #[arg(long = "node-cert", value_name = "FILE")]
    pub(crate) node_certificates: Vec<PathBuf>,
    /// Check the audit log of the data folder instead: that no line was altered, removed or added.
    #[arg(long, conflicts_with = "what")]
    pub(crate) audit: bool,
    /// One JSON object a recording.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// What `keys` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make the key pairs that a data folder does not have yet.
    Create {
        #[command(flatten)]
        data: Data,
        /// RSA 3072 instead of EC P-256 for the recording key.
        #[arg(long)]
        rsa: bool,
    },
    /// Show the certificates of a data folder.
    Show {
        #[command(flatten)]
        data: Data,
        /// One JSON object a certificate.
        #[arg(long)]
        json: bool,
    },
    /// Check that a certificate can be sealed for.
    Check {
        /// Certificates (PEM).
        #[arg(required = true, value_name = "FILE")]
        certificates: Vec<PathBuf>,
    },
}

/// `https://host` or `https://host:port`.
fn web_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let good = |host: &&str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    };
    let host = host.filter(good).ok_or("write it like https://calls.example.com:8443")?;
    Ok(format!("https://{host}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().map_err(|_| "seconds are a number, such as 90 or 0.5")?;
    Duration::try_from_secs_f64(number).map_err(|e| e.to_string())
}

/// A direction as the API names it.
fn direction(text: &str) -> Result<Direction, String> {
    let all = [Direction::Inbound, Direction::Outbound, Direction::Internal, Direction::Unknown];
    let named = all.into_iter().find(|direction| direction.name() == text);
    named.ok_or_else(|| format!("there are {}", all.map(Direction::name).join(", ")))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let whole =
        if text.contains(['T', 't', ' ']) { text.to_owned() } else { format!("{text}T00:00:00Z") };
    whole.parse().map_err(|e| format!("{e}; write it like 2026-11-23 or 2026-11-23T10:15:00Z"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read() {
        assert_eq!(moment("2026-11-23").unwrap().to_string(), "2026-11-23T00:00:00.000000Z");
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn a_url_is_a_host_and_nothing_else() {
        assert_eq!(web_url("https://span1:8443/").unwrap(), "https://span1:8443");
        assert_eq!(web_url("https://[2001:db8::1]:8443").unwrap(), "https://[2001:db8::1]:8443");
        for bad in
            ["http://span1", "span1", "https://", "https://a/b", "https://a\r\nb", "https://a@b"]
        {
            assert!(web_url(bad).is_err(), "{bad}");
        }
    }
}
