//! What a command prints as its result: standard output, and nothing else there.

use std::io::{ErrorKind, Write as _};

use anyhow::Result;

/// Prints one line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Whether the command failed only because nobody reads on (`spanreel list | head`).
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
