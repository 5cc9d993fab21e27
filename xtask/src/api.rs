//! `cargo xtask api`: schemathesis against a running server: no answer that is not in the API's description.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// What the server prints at its first start.
const LINK: &str = "/#/setup?token=";
/// How long it may take to, in tenths of a second.
const PATIENCE: u32 = 600;

/// Asks every operation, once with all rights and once with few.
pub(crate) fn run() -> Result<()> {
    crate::setup::run()?;
    let folder = shell::target().join("api");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let python = match tools(&folder) {
        Ok(python) => python,
        Err(error) => {
            eprintln!("skipped: schemathesis, because it cannot be installed: {error:#}");
            return Ok(());
        }
    };
    shell::run(cargo(), &["build", "--quiet", "--package", "wiring"])?;
    let spanreel = shell::target().join("debug/spanreel");
    let data = recordings(&spanreel, &folder)?;
    let server = Server::start(&spanreel, &data, &folder.join("web.log"))?;
    let config = config(&folder, &first_recording(&spanreel, &data)?)?;
    let people = shell::root().join("tests/api/people.py");
    let arguments = [server.url.as_ref(), server.certificate.as_os_str(), server.token.as_ref()];
    let people = shell::output(&python, &[&[people.as_os_str()], &arguments[..]].concat())?;
    for (headers, whose) in people.lines().zip(["all rights", "few rights"]) {
        eprintln!("Somebody with {whose} asks.");
        ask(&folder, &config, &server, headers)?;
    }
    Ok(())
}

/// A Python with schemathesis.
fn tools(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let requirements = shell::root().join("tests/api/requirements.txt");
    // It is complete only if this is there.
    let done = venv.join("requirements.txt");
    if fs::read(&done).ok() != Some(fs::read(&requirements)?) {
        // Debian has a Python that cannot make one.
        if shell::output("python3", &["-c", "import ensurepip, venv"]).is_err() {
            crate::setup::install_packages(&["python3-venv"])?;
        }
        shell::run("python3", &["-m".as_ref(), "venv".as_ref(), venv.as_os_str()])?;
        let install = ["-m", "pip", "install", "--quiet", "--requirement"].map(AsRef::as_ref);
        shell::run(&python, &[&install[..], &[requirements.as_os_str()]].concat())?;
        fs::copy(&requirements, &done)?;
    }
    Ok(python)
}

/// A data folder with some recordings.
fn recordings(spanreel: &Path, folder: &Path) -> Result<PathBuf> {
    let (data, capture) = (folder.join("data"), folder.join("calls.pcap"));
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
    }
    let synth = ["synth", "--calls", "20", "--seconds", "2", "--to"].map(AsRef::as_ref);
    shell::run(spanreel, &[&synth[..], &[capture.as_os_str()]].concat())?;
    let replay = ["replay".as_ref(), capture.as_os_str(), "--out".as_ref(), data.as_os_str()];
    shell::run(spanreel, &replay)?;
    Ok(data)
}

fn first_recording(spanreel: &Path, data: &Path) -> Result<String> {
    let list = ["list", "--json", "--limit", "1", "--data"].map(AsRef::as_ref);
    let list = shell::output(spanreel, &[&list[..], &[data.as_os_str()]].concat())?;
    match list.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()) {
        Some(id) => Ok(id.to_owned()),
        None => bail!("there is no recording"),
    }
}

/// What schemathesis is told, with a recording that is there.
fn config(folder: &Path, recording: &str) -> Result<PathBuf> {
    let template = fs::read_to_string(shell::root().join("tests/api/schemathesis.toml"))?;
    let config = folder.join("schemathesis.toml");
    fs::write(&config, template.replace("[\"RECORDING\"]", &format!("[\"{recording}\"]")))
        .with_context(|| format!("cannot write {}", config.display()))?;
    Ok(config)
}

/// Asks all operations as the one whom `headers` show.
fn ask(folder: &Path, config: &Path, server: &Server, headers: &str) -> Result<()> {
    let mut command = Command::new(folder.join("venv/bin/schemathesis"));
    command.arg("--config-file").arg(config).args(["run", "--no-color", "--tls-verify"]);
    command.arg(&server.certificate).arg(format!("{}/api/v2/openapi.json", server.url));
    for header in headers.split('\t') {
        command.args(["--header", header]);
    }
    // It may write files where it is started.
    let status = command.current_dir(folder).status().context("cannot start schemathesis")?;
    match status.success() {
        true => Ok(()),
        false => bail!("the API does not do what its description says, see above"),
    }
}

/// A server that is stopped when dropped.
struct Server {
    child: Child,
    url: String,
    /// What it shows, PEM.
    certificate: PathBuf,
    /// Makes the first user.
    token: String,
}

impl Server {
    fn start(spanreel: &Path, data: &Path, log: &Path) -> Result<Self> {
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let written =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(spanreel)
            .args(["web", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(written.try_clone()?)
            .stderr(written)
            .spawn()
            .context("cannot start spanreel web")?;
        let url = format!("https://localhost:{}", address.port());
        let certificate = data.join("keys/web.crt");
        let mut server = Self { child, url, certificate, token: String::new() };
        server.token = server.link(log)?;
        Ok(server)
    }

    /// The token in the link that it prints.
    fn link(&mut self, log: &Path) -> Result<String> {
        for _ in 0..PATIENCE {
            let text = fs::read_to_string(log)?;
            let rest = text.split(LINK).nth(1);
            let token = rest.and_then(|rest| rest.split_once(char::is_whitespace)).map(|it| it.0);
            if let Some(token) = token {
                return Ok(token.to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended ({status}): {text}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the server printed no set-up link; see {}", log.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
