//! `spanreel show`.

use anyhow::Result;

use super::{Verdict, text};
use crate::cli::Show;
use crate::data_dir::DataDir;
use crate::output;

pub(super) fn run(arguments: &Show) -> Result<Verdict> {
    let data = DataDir::open(&arguments.data.dir)?;
    let recording = data.recording(&arguments.id)?;
    if arguments.json {
        output::line(serde_json::to_string(&recording)?)?;
    } else {
        output::line(text::page(&recording).trim_end())?;
    }
    Ok(Verdict::Done)
}
