//! Which database the catalog is in: the table `[catalog]` of the configuration, and what a data folder knows of it,
//! `catalog.place`, by which commands find the catalog without the configuration of `run`.
//!
//! ```text
//! {"postgres": "postgres://spanreel@db.example/spanreel", "passwordFile": "/etc/spanreel/password", "ca": null}
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use store::{DatabasePlace, PostgresSettings};

use crate::data_dir::write_json;

const FILE_NAME: &str = "catalog.place";

/// Where the catalog is; without a server, in the data folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) postgres: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    postgres: String,
    password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Settings {
    /// Whether they make sense; no server is asked.
    ///
    /// # Errors
    /// The key that is wrong, and what is right.
    pub(crate) fn check(&self) -> Result<()> {
        match self.server()? {
            Some(server) => server.check().context("catalog.postgres"),
            None if self.password_file.is_some() || self.ca.is_some() => {
                bail!(
                    "catalog.password_file and catalog.ca are for a server: give catalog.postgres, too"
                )
            }
            None => Ok(()),
        }
    }

    fn server(&self) -> Result<Option<PostgresSettings>> {
        let whole = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
        let Some(url) = self.postgres.clone() else { return Ok(None) };
        let password_file = whole(&self.password_file).context("catalog.password_file")?;
        let ca = whole(&self.ca).context("catalog.ca")?;
        Ok(Some(PostgresSettings { url, password_file, ca }))
    }
}

/// What the data folder knows; `file` is the catalog that is in it, otherwise.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(crate) fn read(data: &Path, file: PathBuf) -> Result<DatabasePlace> {
    let path = data.join(FILE_NAME);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(DatabasePlace::File(file)),
        bytes => bytes.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let Content { postgres: url, password_file, ca } = serde_json::from_slice(&bytes)
        .with_context(|| {
            format!("{} is damaged; remove it, and restart `spanreel run`", path.display())
        })?;
    Ok(DatabasePlace::Postgres(PostgresSettings { url, password_file, ca }))
}

/// The catalog is there from now on.
///
/// # Errors
/// The data folder cannot be written.
pub(crate) fn set(data: &Path, settings: &Settings) -> Result<()> {
    let path = data.join(FILE_NAME);
    let Some(server) = settings.server()? else {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        };
    };
    let PostgresSettings { url, password_file, ca } = server;
    write_json(&path, &Content { postgres: url, password_file, ca })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_remembered_until_the_catalog_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalog.db");
        let place = || read(dir.path(), file.clone()).unwrap();
        assert_eq!(place(), DatabasePlace::File(file.clone()));
        let settings = Settings {
            postgres: Some("postgres://a@db.example/x".into()),
            password_file: Some("/etc/password".into()),
            ca: None,
        };
        settings.check().unwrap();
        set(dir.path(), &settings).unwrap();
        assert_eq!(place(), DatabasePlace::Postgres(settings.server().unwrap().unwrap()));
        set(dir.path(), &Settings::default()).unwrap();
        assert_eq!(place(), DatabasePlace::File(file.clone()));
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        let error = format!("{:#}", read(dir.path(), file).unwrap_err());
        assert!(error.contains("catalog.place is damaged"), "{error}");
    }

    #[test]
    fn wrong_settings_say_what_is_right() {
        let refused = |postgres: Option<&str>, ca: Option<&str>| {
            let (postgres, ca) = (postgres.map(str::to_owned), ca.map(PathBuf::from));
            let settings = Settings { postgres, ca, password_file: None };
            format!("{:#}", settings.check().unwrap_err())
        };
        assert!(refused(None, Some("/ca")).contains("give catalog.postgres, too"));
        assert!(refused(Some("mysql://x"), None).contains("postgres://user@host:5432/database"));
        assert!(refused(Some("postgres://a:secret@db/x"), None).contains("password file"));
        assert!(refused(Some("postgres://a@db/x?sslmode=disable"), None).contains("this machine"));
    }
}
