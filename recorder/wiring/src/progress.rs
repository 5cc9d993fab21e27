//! Progress of long work, on a terminal only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, or nothing.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of bytes read.
    pub(crate) fn bytes(total: u64, what: &'static str) -> Self {
        Self::new(total, what, "{msg:>10} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    /// Of things done.
    pub(crate) fn count(total: u64, what: &'static str) -> Self {
        Self::new(total, what, "{msg:>10} {bar:40} {pos}/{len} {eta}")
    }

    fn new(total: u64, what: &'static str, template: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(total).with_style(style).with_message(what))
    }

    /// So much is done.
    pub(crate) fn at(&self, position: u64) {
        self.0.set_position(position);
    }

    /// So much is left.
    pub(crate) fn left(&self, left: u64) {
        self.0.set_position(self.0.length().unwrap_or(0).saturating_sub(left));
    }

    /// The bar goes away.
    pub(crate) fn done(&self) {
        self.0.finish_and_clear();
    }
}
