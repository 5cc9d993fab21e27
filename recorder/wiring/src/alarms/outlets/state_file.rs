//! `alarms.json` of the data folder: the alarms as they are now, for `spanreel alarms`.
//!
//! Written whole and renamed into place, on every change and every few seconds, so that its time tells whether the
//! service lives. It is not flushed: after a power cut it would be out of date anyway.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use base::Timestamp;
use crossbeam::channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use super::OutletReport;
use crate::alarms::Alarm;

/// The file's name in the data folder.
const NAME: &str = "alarms.json";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// When it was written.
    pub(crate) time: Timestamp,
    /// The machine.
    pub(crate) node: String,
    /// The service's process id.
    pub(crate) pid: u32,
    /// False: it ended in order at `time`.
    pub(crate) running: bool,
    /// Alarms that are up, the worst first.
    pub(crate) raised: Vec<Alarm>,
    /// Alarms that cleared since the start, the newest first.
    pub(crate) history: Vec<Alarm>,
    /// What the outlets have done.
    pub(crate) outlets: Vec<OutletReport>,
}

impl State {
    /// Reads a data folder's file; nothing if there is none.
    ///
    /// # Errors
    /// It cannot be read, or another version wrote it.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let path = data.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display()))?,
        };
        let state = serde_json::from_str(&text);
        state.map(Some).with_context(|| {
            format!("{} is not as this version writes it; is another one running?", path.display())
        })
    }
}

/// The thread that writes the file: a hanging disk holds up nobody else.
#[derive(Debug)]
pub(crate) struct StateFile {
    states: Sender<State>,
    thread: JoinHandle<()>,
}

impl StateFile {
    /// Starts it for a data folder.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(data: &Path) -> Result<Self> {
        let path = data.join(NAME);
        let (states, queue) = bounded::<State>(1);
        let run = move || {
            let mut told = false;
            for state in queue {
                let written = write(&path, &state);
                if let (Err(error), false) = (&written, told) {
                    tracing::warn!("cannot write {}: {error}", path.display());
                }
                told = written.is_err();
            }
        };
        let thread = std::thread::Builder::new()
            .name("alarm-state".into())
            .spawn(run)
            .context("cannot start the thread that writes the state of the alarms")?;
        Ok(Self { states, thread })
    }

    /// Hands a state over. False if the last one is not written yet.
    pub(crate) fn offer(&self, state: State) -> bool {
        self.states.try_send(state).is_ok()
    }

    /// Nothing more will come: gives the thread to wait for.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.thread
    }
}

fn write(path: &PathBuf, state: &State) -> std::io::Result<()> {
    let new = path.with_file_name(format!(".{NAME}.new"));
    fs::write(&new, serde_json::to_vec_pretty(state)?)?;
    fs::rename(new, path)
}
