//! What a command prints as its result: standard output, and nothing else there. And what it has to say beside.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::Result;

/// Prints one line.
pub(crate) fn line(text: impl Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Says something on standard error. Should nobody be able to hear it (a log on a full disk, a terminal that is
/// gone), the work goes on all the same: `eprintln!` would panic.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether the command failed only because nobody reads on (`spanreel list | head`).
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
