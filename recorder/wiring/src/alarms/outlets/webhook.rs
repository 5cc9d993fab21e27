//! A webhook: each event is POSTed as JSON, signed if there is a secret.
//!
//! `Idempotency-Key` is the same for the same event, so that a receiver can tell one that comes again.
//! `X-Spanreel-Signature: sha256=HEX` is HMAC-SHA256 of the body (RFC 2104, FIPS 198-1), which has the time in it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::tls::provider;
use super::{Outlet, OutletError};
use crate::alarms::{Event, text};

/// How long one request may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Alarms as HTTP requests.
pub(crate) struct WebhookOutlet {
    url: String,
    node: String,
    agent: Agent,
    key: Option<hmac::Key>,
}

impl WebhookOutlet {
    /// `authorities` are trusted; `secret` signs.
    pub(crate) fn new(
        url: String,
        node: String,
        authorities: &[rustls::pki_types::CertificateDer<'_>],
        secret: Option<&[u8]>,
    ) -> Self {
        let authorities: Vec<_> =
            authorities.iter().map(|it| Certificate::from_der(it).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::new_with_certs(&authorities))
            .build();
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("spanreel/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .into();
        let key = secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret));
        Self { url, node, agent, key }
    }

    fn post(&self, event: &Event) -> Result<(), OutletError> {
        let body = text::json(event, &self.node);
        let (id, change) = (event.alarm.id, event.change.name());
        let mut request = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .header("X-Spanreel-Event", change)
            .header(
                "Idempotency-Key",
                format!("{}/{id}/{change}/{}", hex(self.node.as_bytes()), event.time()),
            );
        if let Some(key) = &self.key {
            let tag = hmac::sign(key, body.as_bytes());
            request =
                request.header("X-Spanreel-Signature", format!("sha256={}", hex(tag.as_ref())));
        }
        match request.send(&body) {
            Ok(response) => judge(response.status().as_u16()),
            Err(error) => Err(OutletError::unreachable("no answer", &error)),
        }
    }
}

/// What answers mean (RFC 9110, 15): what may pass is tried again.
fn judge(status: u16) -> Result<(), OutletError> {
    let answer = format!("the answer is {status}");
    match status {
        200..=299 => Ok(()),
        408 | 425 | 429 | 500..=599 => Err(OutletError::Unreachable(answer)),
        _ => Err(OutletError::Refused(answer)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Outlet for WebhookOutlet {
    fn name(&self) -> String {
        // Path and query are often a secret.
        let shown: Vec<_> = self.url.splitn(4, '/').take(3).collect();
        format!("webhook {}", shown.join("/"))
    }

    fn send(&mut self, events: &[Arc<Event>]) -> Result<(), OutletError> {
        events.iter().try_for_each(|event| self.post(event))
    }
}
