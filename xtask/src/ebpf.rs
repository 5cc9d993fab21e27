//! `cargo xtask ebpf [--check]`: builds the XDP program, or sees whether the committed one is what its
//! sources give.
//!
//! The object is committed, so that nobody needs a compiler for BPF to build Spanreel. It is built by a
//! dated nightly, which rustup keeps for ever and installs without being root, and by `bpf-linker` on that
//! compiler's own LLVM; so its bytes are the same on every machine. Where rustup cannot get that nightly,
//! Debian's packages `rustc-web` and `rust-web-src` build it as well, though to other bytes.
//!
//! Beside the object stands what it was built from and by: a hash of the sources, the compiler, the linker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::setup::is_root;
use crate::shell::{self, has, succeed};

/// The compiler that built the committed object. When it is changed, the object changes with it.
const NIGHTLY: &str = "nightly-2026-05-20";
/// The linker that goes with its LLVM.
const LINKER_VERSION: &str = "0.13.0";
/// What the sources are: changes elsewhere do not change the object.
const SOURCES: [&str; 6] = [
    "abi/Cargo.toml",
    "abi/src",
    "program/.cargo/config.toml",
    "program/Cargo.lock",
    "program/Cargo.toml",
    "program/src",
];

/// The program, what the capture bench runs beside it, and the sender of `spanreel bench`.
const OBJECTS: [&str; 3] = ["spanreel", "bench", "transmit"];

/// Builds the objects into `ebpf/`, or compares.
pub(crate) fn run() -> Result<()> {
    match std::env::args().skip(2).collect::<Vec<_>>().as_slice() {
        [] => build(),
        [flag] if flag == "--check" => check(),
        other => bail!("cargo xtask ebpf takes nothing or --check, not {other:?}"),
    }
}

fn build() -> Result<()> {
    let start = Instant::now();
    let toolchain = match Toolchain::nightly() {
        Ok(nightly) => nightly,
        Err(error) => {
            eprintln!("{NIGHTLY} is not to be had ({error:#}); trying Debian's compiler");
            Toolchain::debian()?
        }
    };
    for (name, object) in toolchain.objects()? {
        let path = object_path(name);
        fs::write(&path, &object)?;
        println!("{}: {} bytes", path.display(), object.len());
    }
    fs::write(record_path(), toolchain.record()?)?;
    println!("in {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Compares.
pub(crate) fn check() -> Result<()> {
    let record = fs::read_to_string(record_path()).context("no object is committed")?;
    if !record.contains(&sources_line()?) {
        bail!("the sources in ebpf/ changed after the object was built: run `cargo xtask ebpf`");
    }
    let start = Instant::now();
    let toolchain = match matching(&record) {
        Ok(toolchain) => toolchain,
        Err(error) => {
            println!(
                "skipped: the object was not rebuilt, its compiler is not to be had: {error:#}"
            );
            return Ok(());
        }
    };
    for (name, object) in toolchain.objects()? {
        let path = object_path(name);
        if object != fs::read(&path)? {
            let path = path.display();
            bail!("{path} is not what its sources give: run `cargo xtask ebpf`");
        }
    }
    println!("the objects are what their sources give ({:.0} s)", start.elapsed().as_secs_f32());
    Ok(())
}

/// The toolchain that the record names.
fn matching(record: &str) -> Result<Toolchain> {
    let mut tried = Vec::new();
    for toolchain in [Toolchain::nightly(), Toolchain::debian()] {
        match toolchain.and_then(|toolchain| Ok((toolchain.record()?, toolchain))) {
            Ok((own, toolchain)) if own == record => return Ok(toolchain),
            Ok((own, _)) => tried.push(format!("another one is here:\n{own}")),
            Err(error) => tried.push(format!("{error:#}")),
        }
    }
    bail!("{}", tried.join("; "))
}

fn folder() -> PathBuf {
    shell::root().join("ebpf")
}

fn object_path(name: &str) -> PathBuf {
    folder().join(format!("{name}.bpf.o"))
}

fn record_path() -> PathBuf {
    folder().join("spanreel.bpf.o.txt")
}

/// A compiler with its library's source, and the LLVM that it was made with.
struct Toolchain {
    /// Names the folder of what is made with it.
    name: &'static str,
    rustc: PathBuf,
    cargo: PathBuf,
    /// The shared library.
    llvm: PathBuf,
}

impl Toolchain {
    /// By rustup; installs it if it is not there.
    fn nightly() -> Result<Self> {
        shell::run(
            "rustup",
            &["toolchain", "install", NIGHTLY, "--profile", "minimal", "--component", "rust-src"],
        )?;
        let rustc = shell::output("rustup", &["which", "--toolchain", NIGHTLY, "rustc"])?;
        let bin = Path::new(rustc.trim()).parent().context("rustup gave no path")?.to_owned();
        let llvm = library_in(&bin.join("../lib"))?;
        Ok(Self { name: "nightly", rustc: bin.join("rustc"), cargo: bin.join("cargo"), llvm })
    }

    /// By apt; installs it if it is not there and we may. Its cargo is the one that runs us.
    fn debian() -> Result<Self> {
        let rustc = PathBuf::from("/usr/bin/rustc");
        if !rustc.exists() || !Path::new("/usr/lib/rustlib/src/rust/library").exists() {
            if !is_root() || !has("apt-get", "--version") {
                bail!("without apt-get as root: `sudo apt-get install rustc-web rust-web-src`");
            }
            shell::run("apt-get", &["update", "-qq"])?;
            let install = ["install", "-y", "-qq", "--no-install-recommends"];
            shell::run("apt-get", &[&install[..], &["rustc-web", "rust-web-src"]].concat())?;
        }
        let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let llvm = library_in(Path::new(&libraries))?;
        Ok(Self { name: "debian", rustc, cargo: shell::cargo().into(), llvm })
    }

    /// What the object is built from and by. Equal records mean equal objects.
    fn record(&self) -> Result<String> {
        let rustc = version(&self.rustc)?;
        let llvm = rustc.lines().find(|line| line.starts_with("LLVM version")).unwrap_or_default();
        let rustc = rustc.lines().next().unwrap_or_default();
        Ok(format!("{}{rustc}\n{llvm}\nbpf-linker {LINKER_VERSION}\n", sources_line()?))
    }

    /// Builds the objects; gives each with its name.
    fn objects(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let linker = self.linker()?;
        let target = shell::target().join("ebpf").join(self.name);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(linker).chain(std::env::split_paths(&path)))?;
        let mut cargo = self.cargo();
        cargo.args(["build", "--release", "--locked", "--target-dir"]).arg(&target);
        cargo.current_dir(folder().join("program")).env("PATH", path);
        succeed(&mut cargo)?;
        let read = |name| {
            let object = target.join("bpfel-unknown-none/release").join(name);
            let read = fs::read(&object);
            Ok((name, read.with_context(|| format!("cannot read {}", object.display()))?))
        };
        OBJECTS.into_iter().map(read).collect()
    }

    /// The folder with a `bpf-linker` that uses this toolchain's LLVM; builds it the first time.
    fn linker(&self) -> Result<PathBuf> {
        let root = shell::target().join("ebpf-tools").join(self.name).join(LINKER_VERSION);
        let bin = root.join("bin");
        if bin.join("bpf-linker").exists() {
            return Ok(bin);
        }
        // It looks for the library under its plain name.
        let lib = root.join("llvm/lib");
        fs::create_dir_all(&lib)?;
        let link = lib.join("libLLVM.so");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&self.llvm, link)?;
        let mut cargo = self.cargo();
        cargo.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"]);
        cargo.args([
            "--no-default-features",
            "--features",
            &format!("llvm-{}", self.llvm_major()?),
        ]);
        cargo.arg("--root").arg(&root).arg("--target-dir").arg(root.join("target"));
        cargo.current_dir(&root).env("LLVM_PREFIX", root.join("llvm"));
        succeed(&mut cargo)?;
        let _ = fs::remove_dir_all(root.join("target"));
        Ok(bin)
    }

    fn llvm_major(&self) -> Result<String> {
        let text = version(&self.rustc)?;
        let line = text.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = line.and_then(|version| version.split('.').next());
        major.map(str::to_owned).context("rustc does not say its LLVM version")
    }

    /// Cargo with this compiler, and without what else the environment says of compilers.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new(&self.cargo);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER"]
        {
            cargo.env_remove(name);
        }
        for name in ["RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR", "CARGO_BUILD_RUSTC"] {
            cargo.env_remove(name);
        }
        cargo.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        cargo.env("LD_LIBRARY_PATH", self.llvm.parent().unwrap_or(Path::new("/")));
        cargo
    }
}

/// The shared LLVM library in `folder`: `libLLVM.so.22.1` or `libLLVM.so.22.1-rust-...`.
fn library_in(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut libraries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    libraries.retain(|path| name(path).starts_with("libLLVM.so."));
    libraries.sort();
    let newest = libraries.pop();
    newest.with_context(|| format!("no libLLVM.so in {}", folder.display()))
}

fn version(rustc: &Path) -> Result<String> {
    shell::output(rustc, &["-vV"])
}

/// The first line of the record: a hash over the sources.
fn sources_line() -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&folder().join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(folder())?.to_string_lossy().into_owned();
        let content = fs::read(&file)?;
        hash.update(format!("{name} {}\n", content.len()));
        hash.update(content);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sources {digest}\n"))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
