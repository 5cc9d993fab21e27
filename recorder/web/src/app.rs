//! What every request needs, and the rules that each handler keeps: ask for the right, note what is done, then do it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use base::Timestamp;
use base::disk::{Disk as _, SystemDisk};
use base::limits::PASSWORDS_HASHED_AT_ONCE_MAX;
use seal::{Certificate, PrivateKey, Signer};
use serde_json::{Value, json};
use store::{Catalog, Database, DatabaseError, DatabasePlace};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

pub use crate::audit::Act;
use crate::audit::{Audit, AuditError, What};
use crate::auth::{self, Caller, Right, Throttle};
use crate::link::{Recorder, SOCKET_NAME};
use crate::live;
use crate::media::{self, Player};
use crate::problem::{Answer, Problem};
use crate::recordings::{self, Opened};
use crate::server::ServerCertificate;
pub use crate::server::extract::{Json, Path, Query};

/// Where everything is. It stays as it is while the server runs.
pub struct Settings {
    /// Listens here.
    pub listen: SocketAddr,
    /// Listens here too and says where the real address is; nothing else is ever answered without TLS.
    pub redirect: Option<SocketAddr>,
    /// What people's browsers call this server, without a slash at the end: `https://span1.example:8443`. Links are made
    /// with it, never with what a request says its host was.
    pub url: String,
    /// What it shows to browsers.
    pub certificate: ServerCertificate,
    /// The node's name.
    pub node: String,
    /// Program and version.
    pub build: String,
    /// The data folder.
    pub data: PathBuf,
    /// The folder of recordings.
    pub recordings: PathBuf,
    /// Where the web's own tables are: users, log-ins, tokens, shares, searches, history.
    pub database: DatabasePlace,
    /// Where the catalog is.
    pub catalog: DatabasePlace,
    /// Opens recordings. Without it they are found, but not heard.
    pub recording_key: Option<Arc<PrivateKey>>,
    /// Opens metadata that this node sealed.
    pub catalog_key: Option<Arc<PrivateKey>>,
    /// Those whose signature under a recording counts.
    pub node_certificates: Vec<Certificate>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// What every request needs; the state of the router. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    settings: Settings,
    audit: Audit,
    database: Database,
    catalog: Opened,
    recorder: Recorder,
    live: live::Memory,
    throttle: Throttle,
    hashers: Semaphore,
    player: Player,
}

impl App {
    /// Opens what is on the disk.
    ///
    /// # Errors
    /// If the audit log or the database cannot be opened.
    pub fn new(settings: Settings, signer: Signer) -> Result<Self, StartError> {
        let folder = settings.data.join("audit");
        let audit = Audit::open(&folder, Arc::new(SystemDisk), settings.now, signer)?;
        private(&settings.database)?;
        let database = Database::open(&settings.database)?;
        auth::migrate(&database)?;
        live::migrate(&database)?;
        media::migrate(&database)?;
        recordings::migrate(&database)?;
        let catalog = Opened::new(settings.catalog.clone());
        let recorder = Recorder::new(settings.data.join(SOCKET_NAME), settings.now);
        Ok(Self(Arc::new(Inner {
            settings,
            audit,
            database,
            catalog,
            recorder,
            live: live::Memory::default(),
            throttle: Throttle::new(),
            hashers: Semaphore::new(PASSWORDS_HASHED_AT_ONCE_MAX),
            player: Player::new(),
        })))
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0.settings.now)()
    }

    /// Where everything is.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The recorder on this data folder, if one runs: whoever serves this app drives it with [`Recorder::run`].
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// What is told of the recorder to many at once.
    pub(crate) fn live(&self) -> &live::Memory {
        &self.0.live
    }

    /// The web's own tables: users, log-ins, tokens, shares, searches, history. Blocks: within [`App::blocking`].
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// The catalog, as it is in its place now. Blocks: within [`App::blocking`].
    ///
    /// # Errors
    /// 503 if it cannot be opened.
    pub fn catalog(&self) -> Answer<Catalog> {
        self.0.catalog.get()
    }

    /// What keeps guessing slow.
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// What all who play recordings share.
    pub(crate) fn player(&self) -> &Player {
        &self.0.player
    }

    /// Who did what.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Runs what blocks (database, files, hashing) on a thread for such things.
    ///
    /// # Errors
    /// What `work` gives; 500 if it panics.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || work(&app)).await.unwrap_or_else(|error| {
            tracing::error!("a request failed: {error}");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "this request failed; the log says why",
            ))
        })
    }

    /// The link that makes the first user, while there is none; an earlier one is worth nothing any more. Blocks.
    ///
    /// # Errors
    /// If the database does not answer.
    pub fn set_up_link(&self) -> Answer<Option<String>> {
        let url = &self.0.settings.url;
        Ok(auth::invite(self)?.map(|secret| format!("{url}/#/setup?token={secret}")))
    }

    /// The same for what hashes passwords: only few at once, so that a flood of log-ins takes few cores.
    ///
    /// # Errors
    /// As [`App::blocking`].
    pub(crate) async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        // It is never closed.
        let _permit = self.0.hashers.acquire().await;
        self.blocking(work).await
    }

    /// Asks for a right, before anything is touched. A refusal is noted.
    ///
    /// # Errors
    /// 403 if he may not; 503 if the refusal cannot be noted.
    pub fn allow(&self, caller: &Caller, right: Right, act: Act, subject: &str) -> Answer<()> {
        if caller.may(right) {
            return Ok(());
        }
        let detail = json!({ "needs": right });
        self.append(caller, act, subject, detail, false)?;
        Err(Problem::forbidden(format!("this needs the right {}", json!(right))))
    }

    /// Whether a caller still may, a while after [`App::allow`]: for what streams. While the database does not answer, he
    /// may.
    pub(crate) async fn still_may(&self, caller: &Caller, right: Right) -> bool {
        let caller = caller.clone();
        self.blocking(move |app| auth::still_may(app, &caller, right)).await.unwrap_or(true)
    }

    /// Notes what is done, before it is answered. Blocks until it is on the disk; an async handler may call it all the
    /// same.
    ///
    /// # Errors
    /// 503 if it cannot be noted: then it must not be done.
    pub fn note(&self, caller: &Caller, act: Act, subject: &str, detail: Value) -> Answer<()> {
        self.append(caller, act, subject, detail, true)
    }

    /// Notes what was refused for another reason than a missing right.
    ///
    /// # Errors
    /// As [`App::note`].
    pub fn note_refusal(
        &self,
        caller: &Caller,
        act: Act,
        subject: &str,
        detail: Value,
    ) -> Answer<()> {
        self.append(caller, act, subject, detail, false)
    }

    fn append(
        &self,
        caller: &Caller,
        act: Act,
        subject: &str,
        detail: Value,
        allowed: bool,
    ) -> Answer<()> {
        let address = Some(caller.address);
        let what = What { who: &caller.name, address, act, subject, detail, allowed };
        may_block(|| self.0.audit.append(&what)).map_err(|error| {
            Problem::unavailable("the audit log cannot be written, so nothing is answered", &error)
        })
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No audit log, no answers.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The database's file cannot be made.
    #[error("cannot make {}: {error}; check the folder and who owns it", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No database, no users.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Makes the database's file if it is not there, for this user alone: it has hashes of passwords in it. SQLite gives
/// the files beside it the same mode.
fn private(place: &DatabasePlace) -> Result<(), StartError> {
    let DatabasePlace::File(path) = place else { return Ok(()) };
    match SystemDisk.create(path, 0o600) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StartError::File { path: path.clone(), error })
        }
        _ => Ok(()),
    }
}

/// Runs what may wait for the disk. On a thread that drives requests, the others are driven on meanwhile.
fn may_block<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
