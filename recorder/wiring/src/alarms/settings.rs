//! `[alarms]` of the configuration: where alarms go, and from when on something is one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Deserializer};

use super::outlets::syslog::{Address, Sender, Transport};
use super::outlets::{JsonOutlet, Line, LogOutlet, SyslogOutlet, WebhookOutlet, tls};

/// Facilities that a program may use (RFC 5424, table 1).
const FACILITIES: &[(&str, u8)] = &[
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
/// A shorter secret can be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// What is configured about alarms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) log: bool,
    pub(crate) json: Option<PathBuf>,
    #[serde(deserialize_with = "address")]
    pub(crate) syslog: Option<Address>,
    pub(crate) syslog_facility: String,
    pub(crate) syslog_ca: Option<PathBuf>,
    pub(crate) syslog_certificate: Option<PathBuf>,
    pub(crate) syslog_key: Option<PathBuf>,
    pub(crate) webhook: Option<String>,
    pub(crate) webhook_ca: Option<PathBuf>,
    pub(crate) webhook_secret: Option<PathBuf>,
    pub(crate) duplicates_percent: u8,
    pub(crate) incomplete_percent: u8,
    pub(crate) undecryptable_percent: u8,
    pub(crate) worker_percent: u8,
    pub(crate) retention_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log: true,
            json: None,
            syslog: None,
            syslog_facility: "daemon".to_owned(),
            syslog_ca: None,
            syslog_certificate: None,
            syslog_key: None,
            webhook: None,
            webhook_ca: None,
            webhook_secret: None,
            duplicates_percent: 5,
            incomplete_percent: 10,
            undecryptable_percent: 10,
            worker_percent: 85,
            retention_days: 0,
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

impl Settings {
    /// Whether the values make sense, also together; certificates and secrets are read.
    ///
    /// # Errors
    /// The key that is wrong, and what is right.
    pub(crate) fn check(&self) -> Result<()> {
        for (key, percent) in [
            ("duplicates_percent", self.duplicates_percent),
            ("incomplete_percent", self.incomplete_percent),
            ("undecryptable_percent", self.undecryptable_percent),
            ("worker_percent", self.worker_percent),
        ] {
            if !(1..=100).contains(&percent) {
                bail!("alarms.{key} is {percent}: it must be from 1 to 100");
            }
        }
        let tls = self.syslog.as_ref().is_some_and(|it| it.transport == Transport::Tls);
        let for_tls = [&self.syslog_ca, &self.syslog_certificate, &self.syslog_key];
        if !tls && for_tls.iter().any(|key| key.is_some()) {
            bail!("alarms.syslog_ca, _certificate and _key are for syslog = \"tls://...\" only");
        }
        if self.syslog_certificate.is_some() != self.syslog_key.is_some() {
            bail!("alarms.syslog_certificate and syslog_key go together");
        }
        let for_webhook = [&self.webhook_ca, &self.webhook_secret];
        if self.webhook.is_none() && for_webhook.iter().any(|key| key.is_some()) {
            bail!("alarms.webhook_ca and webhook_secret are of no use without webhook");
        }
        self.syslog("check")?;
        self.webhook("check").map(drop)
    }

    /// Starts every outlet that is configured.
    ///
    /// # Errors
    /// What [`Settings::check`] finds, or a thread that cannot be started.
    pub(super) fn outlets(&self, node: &str) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        if self.log {
            lines.push(Line::start(LogOutlet)?);
        }
        if let Some(path) = &self.json {
            lines.push(Line::start(JsonOutlet::new(path.clone(), node.to_owned()))?);
        }
        if let Some(outlet) = self.syslog(node)? {
            lines.push(Line::start(outlet)?);
        }
        if let Some(outlet) = self.webhook(node)? {
            lines.push(Line::start(outlet)?);
        }
        Ok(lines)
    }

    fn syslog(&self, node: &str) -> Result<Option<SyslogOutlet>> {
        let facility = FACILITIES.iter().find(|(name, _)| *name == self.syslog_facility);
        let Some((_, facility)) = facility else {
            let names: Vec<_> = FACILITIES.iter().map(|(name, _)| *name).collect();
            bail!(
                "alarms.syslog_facility is {:?}: it must be one of {}",
                self.syslog_facility,
                names.join(", ")
            );
        };
        let Some(address) = &self.syslog else { return Ok(None) };
        let identity = self.syslog_certificate.as_deref().zip(self.syslog_key.as_deref());
        let tls = (address.transport == Transport::Tls)
            .then(|| tls::client(self.syslog_ca.as_deref(), identity))
            .transpose()
            .context("alarms.syslog")?;
        let sender = Sender::new(*facility, node, std::process::id());
        Ok(Some(SyslogOutlet::new(address.clone(), sender, tls)))
    }

    fn webhook(&self, node: &str) -> Result<Option<WebhookOutlet>> {
        let Some(url) = &self.webhook else { return Ok(None) };
        let parsed: ureq::http::Uri = url.parse().context("alarms.webhook is no URL")?;
        let authorities = match (parsed.scheme_str(), parsed.host()) {
            (Some("https"), Some(_)) => {
                tls::authorities(self.webhook_ca.as_deref()).context("alarms.webhook")?
            }
            (Some("http"), Some("localhost" | "127.0.0.1" | "[::1]")) => Vec::new(),
            _ => bail!(
                "alarms.webhook must be an https:// URL (http:// only to this machine itself)"
            ),
        };
        let secret = self.webhook_secret.as_deref().map(secret).transpose()?;
        let secret = secret.as_ref().map(|secret| secret.as_slice());
        Ok(Some(WebhookOutlet::new(url.clone(), node.to_owned(), &authorities, secret)))
    }
}

/// A secret from its file, without the line end that editors put there.
fn secret(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let context = || format!("alarms.webhook_secret: cannot read {}", path.display());
    let mut secret = zeroize::Zeroizing::new(std::fs::read(path).with_context(context)?);
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    if secret.len() < SECRET_BYTES_MIN {
        bail!(
            "alarms.webhook_secret: {} holds {} bytes; it must be at least {SECRET_BYTES_MIN} (openssl rand -hex 32)",
            path.display(),
            secret.len()
        );
    }
    Ok(secret)
}
