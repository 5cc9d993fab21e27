//! Whether a folder is the one that recordings go to, and not the empty mount point that is seen when its file
//! system is gone.
//!
//! A place of its own carries a file [`MARK_NAME`] with a UUID and a line end, which the data folder knows too.
//! Where it is missing nothing is written: recordings on the wrong disk would fill it, and vanish from sight
//! when the right one is back.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use base::disk::{self, Disk};
use uuid::Uuid;

use super::error::At as _;
use super::{FILE_MODE, FolderError, Recordings};

/// The mark in a folder of recordings. Hidden, so that nobody takes it for a recording.
pub const MARK_NAME: &str = ".spanreel-place";
/// A UUID has 36.
const MARK_BYTES_MAX: usize = 64;

/// A place's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceMark(Uuid);

impl PlaceMark {
    /// A new one (RFC 9562, 5.4).
    #[must_use]
    pub fn of_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for PlaceMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for PlaceMark {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text.trim()).map(Self)
    }
}

impl Recordings {
    /// Opens the place at `path`. If its mark is `known`, it must be there, with this mark. Else it is made if
    /// it is not there, and marked with `new` unless it has a mark, which is then taken over. Gives its mark.
    ///
    /// # Errors
    /// As [`Recordings::open`], and [`FolderError::NotThePlace`].
    pub fn open_place(
        disk: Arc<dyn Disk>,
        path: &Path,
        known: Option<PlaceMark>,
        new: PlaceMark,
    ) -> Result<(Self, PlaceMark), FolderError> {
        let found = read_mark(&*disk, path)?;
        let wrong = |reason: String| FolderError::NotThePlace { path: path.to_path_buf(), reason };
        match (known, found) {
            (Some(known), Some(found)) if known == found => Ok((Self::open_on(disk, path)?, known)),
            (Some(_), Some(found)) => Err(wrong(format!(
                "it is marked {found}, as another appliance's or an older one; mount the right file system, \
                 or remove recordings.place from the data folder to go on with this one"
            ))),
            (Some(_), None) => Err(wrong(format!(
                "it lacks its mark {MARK_NAME}; mount its file system, or remove recordings.place from the data folder \
                 to begin a new place there"
            ))),
            (None, Some(found)) => Ok((Self::open_on(disk, path)?, found)),
            (None, None) => {
                let recordings = Self::open_on(Arc::clone(&disk), path)?;
                write_mark(&*disk, path, new)?;
                Ok((recordings, new))
            }
        }
    }
}

/// The mark of the place at `path`, if it has one.
fn read_mark(disk: &dyn Disk, path: &Path) -> Result<Option<PlaceMark>, FolderError> {
    let path = path.join(MARK_NAME);
    let file = match disk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.reading(&path)?,
    };
    let mut bytes = [0; MARK_BYTES_MAX];
    let length = disk::read_full_at(&*file, &mut bytes, 0).reading(&path)?;
    let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match text.and_then(|text| text.parse().ok()) {
        Some(mark) => Ok(Some(mark)),
        None => Err(FolderError::NotThePlace {
            path,
            reason: "its mark is damaged; restore it from the data folder's recordings.place"
                .into(),
        }),
    }
}

fn write_mark(disk: &dyn Disk, folder: &Path, mark: PlaceMark) -> Result<(), FolderError> {
    let (path, new) = (folder.join(MARK_NAME), folder.join(format!("{MARK_NAME}.new")));
    let write = || {
        match disk.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&new, FILE_MODE)?;
        let text = format!("{mark}\n");
        disk::write_all_at(&*file, &mut [IoSlice::new(text.as_bytes())], 0).map_err(|(_, e)| e)?;
        file.sync_data()?;
        disk.rename(&new, &path)?;
        disk.sync_folder(folder)
    };
    write().at(&path)
}
