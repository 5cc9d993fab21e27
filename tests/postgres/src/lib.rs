//! A real PostgreSQL for tests: in a folder of its own, with TLS and passwords, gone with the process that started it.
//!
//! ```no_run
//! let Some(server) = test_postgres::shared() else { return };
//! let database = server.database("mine");
//! // database.url, database.password_file, database.ca
//! ```
//!
//! PostgreSQL does not run as root: then it runs as the user `postgres` that Debian's package makes. A shell around it
//! reads from a pipe that ends when our process does, however that ends; then it stops the server and removes the
//! folder.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;

/// Where Debian has PostgreSQL's programs, a folder a version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The user, inside, that everything belongs to.
const USER: &str = "spanreel";
const PASSWORD: &str = "not the password of anything else";

/// Starts the server, waits until our process ends (the pipe is closed), stops it at once, leaves nothing behind.
const KEEPER: &str = r#"
"$@" & server=$!
read -r how
kill -$SIGNAL $server; wait $server
[ "$how" = stop ] || rm -rf "$FOLDER"
"#;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    /// Whether the folder stays.
    kept: bool,
    port: u16,
    keeper: Option<Child>,
}

/// A database in it, and what is needed to reach it.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgres://user@localhost:port/name`.
    pub url: String,
    /// Its first line is the password.
    pub password_file: PathBuf,
    /// The certificate (PEM) that the server's comes from.
    pub ca: PathBuf,
}

/// The one server of this process; prints why, and gives nothing, if it cannot run here.
pub fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
    match SHARED.get_or_init(Server::start) {
        Ok(server) => Some(server),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

impl Server {
    /// Starts a server of one's own, which can be stopped, started again and frozen.
    ///
    /// # Errors
    /// Why it cannot run here.
    pub fn start() -> Result<Self, String> {
        Self::start_in(None, &[])
    }

    /// The same below a given folder instead of the one for temporary files, with further settings (`name=value`).
    ///
    /// # Errors
    /// Why it cannot run here.
    pub fn start_in(below: Option<&Path>, settings: &[&str]) -> Result<Self, String> {
        let below = below.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = tempfile::Builder::new().prefix("spanreel-postgres-").tempdir_in(below);
        Self::start_at(folder.map_err(|error| error.to_string())?.keep(), false, settings)
    }

    /// The same in a folder that stays; what an earlier one left in it is there again, with its settings.
    ///
    /// # Errors
    /// Why it cannot run here.
    pub fn start_kept(folder: &Path, settings: &[&str]) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        Self::start_at(folder.to_owned(), true, settings)
    }

    fn start_at(folder: PathBuf, kept: bool, settings: &[&str]) -> Result<Self, String> {
        let programs = newest().ok_or(format!("no PostgreSQL in {VERSIONS}"))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = port.map_err(|error| error.to_string())?.port();
        let mut server = Self { programs, folder, kept, port, keeper: None };
        if !server.folder.join("data").exists() {
            server.prepare(settings).map_err(|error| error.to_string())?;
        }
        server.run()?;
        Ok(server)
    }

    fn prepare(&self, settings: &[&str]) -> io::Result<()> {
        let path = |name: &str| self.folder.join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])
            .map_err(io::Error::other)?;
        fs::write(path("server.crt"), pem("CERTIFICATE", made.cert.der()))?;
        fs::write(path("server.key"), pem("PRIVATE KEY", &made.signing_key.serialize_der()))?;
        fs::set_permissions(path("server.key"), fs::Permissions::from_mode(0o600))?;
        fs::write(path("password"), PASSWORD)?;
        if is_root()? {
            let (user, group) = (id("-u")?, id("-g")?);
            for name in ["", "server.crt", "server.key", "password"] {
                chown(path(name), Some(user), Some(group))?;
            }
        }
        let made = self
            .command("initdb")?
            .args(["--username", USER, "--pwfile"])
            .arg(path("password"))
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "-D"])
            .arg(path("data"))
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let folder = self.folder.display();
        let mut lines = vec![
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{folder}'"),
            "ssl = on".to_owned(),
            format!("ssl_cert_file = '{folder}/server.crt'"),
            format!("ssl_key_file = '{folder}/server.key'"),
            "fsync = off".to_owned(),
        ];
        lines.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let configuration = path("data").join("postgresql.conf");
        let before = fs::read_to_string(&configuration)?;
        fs::write(configuration, before + &lines.join("\n") + "\n")
    }

    fn run(&mut self) -> Result<(), String> {
        let server = self.command("postgres").map_err(|error| error.to_string())?;
        let log = fs::File::create(self.folder.join("log")).map_err(|error| error.to_string())?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string()])
            .env("FOLDER", if self.kept { Path::new("") } else { &self.folder })
            .env("SIGNAL", if self.kept { "INT" } else { "QUIT" })
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.keeper = Some(keeper.map_err(|error| error.to_string())?);
        for _ in 0..600 {
            if self.answers() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Err(format!("PostgreSQL does not start: {log}"))
    }

    /// Whether it takes connections.
    fn answers(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && self.sql("postgres", "SELECT 1").is_ok()
    }

    /// Makes an empty database whose name begins so.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn database(&self, name: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        if let Err(error) = self.sql("postgres", &format!("CREATE DATABASE {name}")) {
            panic!("cannot make the database {name}: {error}");
        }
        self.existing(&name)
    }

    /// One that is there.
    #[must_use]
    pub fn existing(&self, name: &str) -> Database {
        Database {
            url: format!("postgres://{USER}@localhost:{}/{name}?hostaddr=127.0.0.1", self.port),
            password_file: self.folder.join("password"),
            ca: self.folder.join("server.crt"),
        }
    }

    /// Runs statements in a database, as its owner; what they print.
    ///
    /// # Errors
    /// What `psql` says.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let ran = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-U", USER, "-d", database, "-c", sql])
            .output()
            .map_err(|error| error.to_string())?;
        match ran.status.success() {
            true => Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&ran.stderr).into_owned()),
        }
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops it, as a crash would, and keeps what it holds.
    pub fn stop(&mut self) {
        self.end("stop\n");
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        if let Err(error) = self.run() {
            panic!("{error}");
        }
    }

    /// Stops all its processes in their tracks, or lets them go on: it is there, and says nothing.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pids = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let Some(postmaster) = pids.lines().next() else { return };
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", postmaster]).output();
        let children = children.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        let mut command = Command::new("kill");
        command.args([signal, postmaster]).args(children.unwrap_or_default().split_whitespace());
        let _ = command.status();
    }

    fn end(&mut self, how: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if let Some(mut pipe) = keeper.stdin.take() {
            let _ = io::Write::write_all(&mut pipe, how.as_bytes());
        }
        let _ = keeper.wait();
    }

    /// One of PostgreSQL's programs, as a user that it accepts.
    fn command(&self, program: &str) -> io::Result<Command> {
        let program = self.programs.join(program);
        let mut command = match is_root()? {
            false => Command::new(program),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
                command.arg(program);
                command
            }
        };
        command.current_dir("/");
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.keeper.is_none() && !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
        self.end("remove\n");
    }
}

/// DER as PEM (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found =
        versions.map(|entry| entry.path()).filter(|path| path.join("bin/postgres").exists());
    found.max_by_key(|path| version(path)).map(|path| path.join("bin"))
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// Of the user that PostgreSQL runs as.
fn id(which: &str) -> io::Result<u32> {
    let out = Command::new("id").args([which, "postgres"]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.trim().parse().map_err(|_| io::Error::other("there is no user postgres"))
}
