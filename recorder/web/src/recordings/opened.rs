//! The catalog, as it is in its place.

use std::sync::{Mutex, PoisonError};

use store::{Catalog, DatabasePlace};

use super::problem;
use crate::problem::Answer;

/// The catalog, opened when it is first asked for, and again when there is another file in its place: one that is
/// damaged is set aside, and may be made anew, while we run.
#[derive(Debug)]
pub(crate) struct Opened {
    place: DatabasePlace,
    catalog: Mutex<Option<Catalog>>,
}

impl Opened {
    /// Opens nothing yet.
    pub(crate) const fn new(place: DatabasePlace) -> Self {
        Self { place, catalog: Mutex::new(None) }
    }

    /// The catalog. Blocks.
    ///
    /// # Errors
    /// 503 if it cannot be opened.
    pub(crate) fn get(&self) -> Answer<Catalog> {
        let open = || self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = open().as_ref().filter(|catalog| catalog.is_in_place()) {
            return Ok(catalog.clone());
        }
        // Without the lock: others need not wait for one that does not answer.
        let catalog = Catalog::open(&self.place).map_err(problem)?;
        *open() = Some(catalog.clone());
        Ok(catalog)
    }
}
