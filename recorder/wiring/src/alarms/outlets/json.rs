//! A JSON object a line, in a file or on standard error.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Outlet, OutletError};
use crate::alarms::{Event, text};

/// The file is opened for each event, so that it can be rotated; `-` is standard error.
#[derive(Debug)]
pub(crate) struct JsonOutlet {
    path: PathBuf,
    node: String,
}

impl JsonOutlet {
    pub(crate) fn new(path: PathBuf, node: String) -> Self {
        Self { path, node }
    }

    fn write(&self, lines: &str) -> std::io::Result<()> {
        if self.path == Path::new("-") {
            return std::io::stderr().write_all(lines.as_bytes());
        }
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o640).open(&self.path)?;
        file.write_all(lines.as_bytes())
    }
}

impl Outlet for JsonOutlet {
    fn name(&self) -> String {
        format!("json {}", self.path.display())
    }

    fn batch_max(&self) -> usize {
        64
    }

    fn send(&mut self, events: &[Arc<Event>]) -> Result<(), OutletError> {
        let lines: String =
            events.iter().map(|event| text::json(event, &self.node) + "\n").collect();
        let written = self.write(&lines);
        written.map_err(|error| OutletError::unreachable("cannot write", &error))
    }
}
