//! Databases of both kinds to test with.

use store::{DatabasePlace, PostgresSettings};

/// A database, empty, of this test alone.
pub(crate) struct Place {
    pub(crate) database: DatabasePlace,
    _scratch: tempfile::TempDir,
}

/// One of each kind that can run here.
pub(crate) fn places(name: &str) -> Vec<Place> {
    let scratch = tempfile::tempdir().unwrap();
    let file = DatabasePlace::File(scratch.path().join("catalog.db"));
    let mut places = vec![Place { database: file, _scratch: scratch }];
    if let Some(server) = test_postgres::shared() {
        places.push(Place {
            database: DatabasePlace::Postgres(settings(&server.database(name))),
            _scratch: tempfile::tempdir().unwrap(),
        });
    }
    places
}

pub(crate) fn settings(database: &test_postgres::Database) -> PostgresSettings {
    PostgresSettings {
        url: database.url.clone(),
        password_file: Some(database.password_file.clone()),
        ca: Some(database.ca.clone()),
    }
}
