//! `[web]` of the configuration: where the pages are served.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Deserialize;

/// Where, unless told otherwise.
const PORT: u16 = 8443;

/// What is configured about them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) redirect: Option<SocketAddr>,
    pub(crate) url: Option<String>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) recording_key: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)),
            redirect: None,
            url: None,
            certificate: None,
            key: None,
            recording_key: None,
        }
    }
}

impl Settings {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The key that is wrong, and what is right.
    pub(crate) fn check(&self) -> Result<()> {
        if self.certificate.is_some() != self.key.is_some() {
            bail!("web.certificate and web.key go together");
        }
        if self.redirect == Some(self.listen) {
            bail!("web.redirect is {}, as web.listen is: it must be another", self.listen);
        }
        if let Some(url) = self.url.as_ref().filter(|url| !url.starts_with("https://")) {
            bail!("web.url is {url:?}: it must begin with https://");
        }
        Ok(())
    }
}

/// Whether a key of this table (`web.listen`) has another value; without the table, nothing is served.
pub(crate) fn differ(old: Option<&Settings>, new: Option<&Settings>, key: &str) -> bool {
    let value = |it: Option<&Settings>| {
        let it = it?;
        Some(match key {
            "web.listen" => it.listen.to_string(),
            "web.redirect" => format!("{:?}", it.redirect),
            "web.url" => format!("{:?}", it.url),
            "web.certificate" => format!("{:?}", it.certificate),
            "web.key" => format!("{:?}", it.key),
            _ => format!("{:?}", it.recording_key),
        })
    };
    if old.is_some() && new.is_some() {
        value(old) != value(new)
    } else {
        key == "web.listen" && old != new
    }
}
