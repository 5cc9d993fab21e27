//! What a fresh Debian 12 machine lacks.

use anyhow::{Result, bail};

use crate::shell::{self, has};

/// A program, how it tells its version, and the Debian package that has it.
pub(crate) type Program = (&'static str, &'static str, &'static str);

/// What the build and the tests need.
const PROGRAMS: [Program; 10] = [
    ("cc", "--version", "build-essential"),
    ("c++", "--version", "build-essential"),
    ("cmake", "--version", "cmake"),   // builds libFLAC
    ("openssl", "version", "openssl"), // the tests open our files with it
    ("flac", "--version", "flac"),     // likewise
    ("metaflac", "--version", "flac"),
    ("ip", "-Version", "iproute2"), // network namespaces
    ("tc", "-Version", "iproute2"), // a mirror port between them
    ("sipp", "-v", "sip-tester"),   // endpoints that call each other there
    ("/usr/lib/postgresql/15/bin/postgres", "--version", "postgresql"), // the other kind of database
];

/// Installs what the build and the tests need and this machine lacks, or says what to install.
pub(crate) fn run() -> Result<()> {
    install(&PROGRAMS)
}

/// Installs the missing ones, or says what to install.
pub(crate) fn install(programs: &[Program]) -> Result<()> {
    install_packages(&missing(programs))
}

/// The packages that have those that this machine lacks.
pub(crate) fn missing(programs: &[Program]) -> Vec<&'static str> {
    let lacking = programs.iter().filter(|(program, version, _)| !has(program, version));
    let mut packages: Vec<&str> = lacking.map(|program| program.2).collect();
    packages.dedup();
    packages
}

/// Installs Debian packages, or says which to install.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() || !has("apt-get", "--version") {
        bail!(
            "this machine lacks: {0}. Install them first, e.g. `sudo apt-get install {0}`",
            packages.join(" ")
        );
    }
    shell::run("apt-get", &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    shell::run("apt-get", &arguments)
}

/// Whether we may do everything.
pub(crate) fn is_root() -> bool {
    shell::output("id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}
