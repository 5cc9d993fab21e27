//! The configuration of `spanreel run`: a TOML file, and the command line over it.
//!
//! Every key is in [`KEYS`], which docs/CONFIGURATION.md repeats (a test compares them). A key that is not there
//! is an error that names the nearest one that is.

mod keys;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use self::keys::KEYS;
use crate::alarms;
use crate::catalog_place;
use crate::disk_watch::Mark;
use crate::telling::{Dtmf, OwnNumbers, Telling};
use crate::web_settings;

/// Where an appliance keeps everything, unless told otherwise.
pub(crate) const DATA_DIR: &str = "/var/lib/spanreel";
/// Longest media file, minutes, unless told otherwise; and at most: a day.
pub(crate) const MEDIA_FILE_MINUTES: u32 = 30;
const MEDIA_FILE_MINUTES_MAX: u32 = 1_440;
/// Capture cores are numbered by a byte.
const QUEUES_MAX: u32 = 256;

/// How frames are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CaptureMode {
    /// XDP where the driver has it, else TPACKET_V3.
    #[default]
    Auto,
    /// XDP and AF_XDP, or an error.
    Xdp,
    /// AF_PACKET, TPACKET_V3.
    Packet,
}

/// Whose interface it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A mirror port: nothing else uses it.
    #[default]
    Span,
    /// The host's own traffic too.
    Shared,
}

/// What `spanreel run` is to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) interface: String,
    pub(crate) mode: CaptureMode,
    pub(crate) role: Role,
    pub(crate) queues: Option<u32>,
    pub(crate) cores: Vec<usize>,
    pub(crate) busy_poll: bool,
    pub(crate) signalling_ports: Vec<Ports>,
    pub(crate) data: PathBuf,
    pub(crate) recordings: Option<PathBuf>,
    pub(crate) journal_second: Option<PathBuf>,
    pub(crate) disk_low: Mark,
    pub(crate) disk_critical: Mark,
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) seal: bool,
    pub(crate) mono: bool,
    pub(crate) media_file_minutes: u32,
    pub(crate) keep_unclaimed: bool,
    pub(crate) own_numbers: OwnNumbers,
    pub(crate) dtmf: Dtmf,
    pub(crate) stats_every_seconds: u64,
    pub(crate) catalog: catalog_place::Settings,
    /// No pages without it.
    pub(crate) web: Option<web_settings::Settings>,
    pub(crate) alarms: alarms::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interface: String::new(),
            mode: CaptureMode::Auto,
            role: Role::Span,
            queues: None,
            cores: Vec::new(),
            busy_poll: false,
            signalling_ports: vec![Ports(5060..=5060)],
            data: DATA_DIR.into(),
            recordings: None,
            journal_second: None,
            disk_low: Mark::Percent(10),
            disk_critical: Mark::Bytes(2 << 30),
            certificates: Vec::new(),
            seal: true,
            mono: false,
            media_file_minutes: MEDIA_FILE_MINUTES,
            keep_unclaimed: true,
            own_numbers: OwnNumbers::default(),
            dtmf: Dtmf::default(),
            stats_every_seconds: 0,
            catalog: catalog_place::Settings::default(),
            web: None,
            alarms: alarms::Settings::default(),
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file, the line and the key that are wrong, and what is right.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("the configuration {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| explained(text, &error))
    }

    /// Whether the values make sense, also together.
    ///
    /// # Errors
    /// The key that is wrong, and what is right.
    pub(crate) fn check(&self) -> Result<()> {
        if self.interface.is_empty() {
            bail!(
                "no interface: name one with --interface, or by `interface = \"eth1\"` in the configuration"
            );
        }
        if !(1..=MEDIA_FILE_MINUTES_MAX).contains(&self.media_file_minutes) {
            bail!(
                "media_file_minutes is {}: it must be from 1 to {MEDIA_FILE_MINUTES_MAX}",
                self.media_file_minutes
            );
        }
        if let Some(queues) = self.queues.filter(|queues| !(1..=QUEUES_MAX).contains(queues)) {
            bail!("queues is {queues}: it must be from 1 to {QUEUES_MAX}");
        }
        let cpus = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        if let Some(core) = self.cores.iter().find(|core| **core >= cpus) {
            bail!("cores names CPU {core}: this machine has 0 to {}", cpus - 1);
        }
        if self.busy_poll && (self.mode == CaptureMode::Packet || self.role == Role::Shared) {
            bail!(
                "busy_poll goes with XDP on a mirror port only: neither mode \"packet\" nor role \"shared\""
            );
        }
        if !self.seal && !self.certificates.is_empty() {
            bail!("seal is false, yet there are certificates: either goes without the other");
        }
        self.catalog.check()?;
        self.web.as_ref().map_or(Ok(()), web_settings::Settings::check)?;
        self.alarms.check()
    }

    /// What recordings tell by configuration.
    pub(crate) fn telling(&self) -> Telling {
        Telling { own_numbers: self.own_numbers.clone(), dtmf: self.dtmf }
    }

    /// The keys whose values differ, and that only a restart changes.
    pub(crate) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let differs = |key: &str| match key {
            key if key.starts_with("web.") => {
                web_settings::differ(self.web.as_ref(), new.web.as_ref(), key)
            }
            "interface" => self.interface != new.interface,
            "mode" => self.mode != new.mode,
            "role" => self.role != new.role,
            "queues" => self.queues != new.queues,
            "cores" => self.cores != new.cores,
            "busy_poll" => self.busy_poll != new.busy_poll,
            "data" => self.data != new.data,
            "recordings" => self.recordings != new.recordings,
            "journal_second" => self.journal_second != new.journal_second,
            "disk_low" => self.disk_low != new.disk_low,
            "disk_critical" => self.disk_critical != new.disk_critical,
            "catalog.postgres" => self.catalog.postgres != new.catalog.postgres,
            "catalog.password_file" => self.catalog.password_file != new.catalog.password_file,
            "catalog.ca" => self.catalog.ca != new.catalog.ca,
            "seal" => self.seal != new.seal,
            "mono" => self.mono != new.mono,
            "media_file_minutes" => self.media_file_minutes != new.media_file_minutes,
            _ => false,
        };
        let fixed = KEYS.iter().filter(|(_, _, _, reloads)| !reloads);
        fixed.map(|(key, ..)| *key).filter(|key| differs(key)).collect()
    }
}

/// A port, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports(pub(crate) RangeInclusive<u16>);

impl std::str::FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.trim().parse::<u16>().ok();
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (port(from), port(to)) {
            (Some(from), Some(to)) if from <= to => Ok(Self(from..=to)),
            _ => Err(format!("{text:?} is no port and no range of ports such as 5060-5080")),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, or a range of ports such as \"5060-5080\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Ports, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// With its line, and for an unknown key the nearest known one.
fn explained(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let unknown =
        error.message().strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match unknown {
        Some(key) => {
            anyhow::anyhow!("line {line}: there is no key `{key}`; {}", nearest(table(before), key))
        }
        None => anyhow::anyhow!("line {line}: {}", error.message()),
    }
}

/// The table (`[name]`) that what follows the text is in; empty: in none.
fn table(before: &str) -> &str {
    let mut headings = before.lines().rev().filter_map(|line| line.trim().strip_prefix('['));
    headings.next().and_then(|rest| rest.split(']').next()).map_or("", str::trim)
}

/// The keys of a table, by their names in it.
fn keys_of(table: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |(key, ..)| match key.split_once('.') {
        Some((name, rest)) => (name == table).then_some(rest),
        None => table.is_empty().then_some(*key),
    })
}

fn nearest(table: &str, key: &str) -> String {
    let known = keys_of(table).map(|known| (distance(key, known), known)).min();
    match known {
        Some((distance, known)) if distance <= known.len() / 2 => {
            format!("did you mean `{known}`?")
        }
        _ => {
            let all: Vec<_> = keys_of(table).collect();
            format!("the keys are {}", all.join(", "))
        }
    }
}

/// How many letters must be put in, taken out or replaced to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut left = index + 1;
        let mut new = vec![left];
        for (pair, wanted) in row.windows(2).zip(other.chars()) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(letter != wanted)).min(above + 1).min(left + 1);
            new.push(left);
        }
        row = new;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let config = Config::parse(
            "interface = \"eth1\"\nmode = \"packet\"\nsignalling_ports = [5060, \"5070-5080\"]\ncores = [0]\n",
        )
        .unwrap();
        assert_eq!((config.interface.as_str(), config.mode), ("eth1", CaptureMode::Packet));
        assert_eq!(config.signalling_ports, [Ports(5060..=5060), Ports(5070..=5080)]);
        assert_eq!((config.seal, config.media_file_minutes), (true, MEDIA_FILE_MINUTES));
        config.check().unwrap();
    }

    #[test]
    fn what_recordings_tell() {
        let config =
            Config::parse("own_numbers = [\"+4930*\", \"2??\"]\ndtmf = \"keep\"\n").unwrap();
        let patterns = ["+4930*", "2??"].map(|it| it.parse().unwrap());
        assert_eq!(config.own_numbers, OwnNumbers::new(patterns.into()));
        assert_eq!((config.dtmf, Config::default().dtmf), (Dtmf::Keep, Dtmf::Mask));
        let error = Config::parse("own_numbers = [\"\"]").unwrap_err().to_string();
        assert!(error.contains("2??"), "{error}");
    }

    #[test]
    fn a_misspelt_key_names_line_and_nearest_key() {
        let error =
            Config::parse("# here\ninterface = \"eth1\"\nkep_unclaimed = true\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 3: there is no key `kep_unclaimed`; did you mean `keep_unclaimed`?"
        );
        let error = Config::parse("zzz = 1").unwrap_err().to_string();
        assert!(
            error.starts_with("line 1: there is no key `zzz`; the keys are interface, mode"),
            "{error}"
        );
    }

    #[test]
    fn keys_of_a_table() {
        let config = Config::parse(
            "interface = \"eth1\"\n[alarms]\nsyslog = \"tcp://log\"\nworker_percent = 70\n",
        )
        .unwrap();
        assert_eq!(config.alarms.syslog.as_ref().unwrap().to_string(), "tcp://log:601");
        assert_eq!((config.alarms.worker_percent, config.alarms.log), (70, true));
        config.check().unwrap();
        let error = Config::parse("[alarms]\nlog = true\nsylog = \"udp://x\"\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: there is no key `sylog`; did you mean `syslog`?");
        let error = Config::parse("[alarms]\nzzz = 1\n").unwrap_err().to_string();
        assert!(error.contains("`zzz`; the keys are log, json, syslog, "), "{error}");
        let error = Config::parse("[alarms]\nsyslog = \"log:514\"\n").unwrap_err().to_string();
        assert!(error.starts_with("line 2: ") && error.contains("tls://host:6514"), "{error}");
    }

    #[test]
    fn pages_are_served_if_there_is_a_table_for_them() {
        let web = |text: &str| Config::parse(text).and_then(|it| it.check().map(|()| it.web));
        assert_eq!(web("interface=\"e\"").unwrap(), None);
        let given = web("interface=\"e\"\n[web]\n").unwrap().unwrap();
        assert_eq!(given.listen.to_string(), "0.0.0.0:8443");
        let refused =
            |text: &str| web(&format!("interface=\"e\"\n[web]\n{text}")).unwrap_err().to_string();
        assert!(refused("key = \"x\"").contains("go together"));
        assert!(refused("url = \"http://x\"").contains("https://"));
        assert!(refused("redirect = \"0.0.0.0:8443\"").contains("another"));
        assert!(refused("lisen = \"x\"").contains("did you mean `listen`?"));
        let new = Config { web: Some(web_settings::Settings::default()), ..Config::default() };
        assert_eq!(Config::default().needs_restart(&new), ["web.listen"]);
    }

    #[test]
    fn alarms_that_cannot_go_out_are_refused() {
        let refused = |text: &str| {
            let text = format!("interface=\"e\"\n[alarms]\n{text}");
            Config::parse(&text).and_then(|config| config.check()).unwrap_err().to_string()
        };
        assert!(refused("worker_percent = 0").contains("from 1 to 100"));
        assert!(refused("syslog_facility = \"kern\"").contains("user, daemon, local0"));
        assert!(refused("syslog = \"udp://a\"\nsyslog_ca = \"x\"").contains("tls://"));
        assert!(refused("syslog = \"tls://a\"\nsyslog_key = \"x\"").contains("go together"));
        assert!(refused("webhook = \"http://example.com/\"").contains("must be an https:// URL"));
        assert!(refused("webhook_secret = \"x\"").contains("without webhook"));
    }

    #[test]
    fn wrong_values_say_what_is_right() {
        let refused = |text: &str| {
            Config::parse(text).and_then(|config| config.check()).unwrap_err().to_string()
        };
        assert!(refused("").contains("--interface"));
        assert!(refused("interface=\"e\"\nmode = \"pcap\"").starts_with("line 2: unknown variant"));
        assert!(refused("interface=\"e\"\nmedia_file_minutes = 0").contains("from 1 to 1440"));
        assert!(refused("interface=\"e\"\nsignalling_ports = [70000]").contains("5060-5080"));
        assert!(refused("interface=\"e\"\nqueues = 0").contains("from 1 to 256"));
        assert!(
            refused("interface=\"e\"\nseal=false\ncertificates=[\"a\"]").contains("seal is false")
        );
        assert!(refused("interface=\"e\"\ncores = [100000]").contains("CPU 100000"));
        for other in ["mode = \"packet\"", "role = \"shared\""] {
            let text = format!("interface=\"e\"\nbusy_poll = true\n{other}");
            assert!(refused(&text).contains("busy_poll goes with XDP"));
        }
    }

    #[test]
    fn what_a_reload_does_not_change_is_named() {
        let old = Config::default();
        let new =
            Config { mono: true, keep_unclaimed: false, data: "/x".into(), ..Config::default() };
        assert_eq!(old.needs_restart(&new), ["data", "mono"]);
    }

    #[test]
    fn the_documentation_has_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIGURATION.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<_> = KEYS
            .iter()
            .map(|(key, default, meaning, reloads)| {
                let reload = if *reloads { "SIGHUP" } else { "restart" };
                format!("| `{key}` | {default} | {meaning} | {reload} |")
            })
            .collect();
        assert_eq!(rows, expected, "docs/CONFIGURATION.md lists every key as config.rs does");
    }
}
