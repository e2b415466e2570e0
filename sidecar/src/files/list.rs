//! Lists of the files that were written into a folder.

use std::collections::BTreeSet;

use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use super::place::Folder;

/// Name of an older sidecar's list, in the folder itself.
const OLD: &str = ".portcullis.json";

/// Largest list of an older sidecar that is read, in bytes.
const MAXIMUM_OLD: u64 = 1024 * 1024;

/// Maximum number of files in a list.
pub const MAXIMUM_FILES: usize = 20_000;

/// The files that were written into a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Files that the sidecar owns.
    pub files: BTreeSet<FilePath>,
    /// Files that were written once, and belong to the agent since.
    #[serde(default)]
    pub seeded: BTreeSet<FilePath>,
}

impl List {
    /// Reads the list that an older sidecar has left in the folder; an empty one if none can be read. The child can
    /// write it, which is harmless: it holds only paths below the folder, and is acted on with the child's rights.
    #[must_use]
    pub fn take_old(folder: &Folder) -> Self {
        let Ok((text, _)) = folder.read(OLD, MAXIMUM_OLD) else { return Self::default() };
        let list: Self = serde_json::from_slice(&text).unwrap_or_default();
        if list.files.len() + list.seeded.len() > MAXIMUM_FILES { Self::default() } else { list }
    }

    /// Removes the list of an older sidecar.
    pub fn remove_old(folder: &Folder) {
        // A failure does no harm: the list in the run folder is read from now on.
        let _ = folder.remove(OLD);
    }

    /// Drops entries that are in neither `known` nor `wanted`, since the list comes from a process of the child's user.
    #[must_use]
    pub fn within(mut self, known: &Self, wanted: &BTreeSet<FilePath>) -> Self {
        self.files.retain(|path| known.files.contains(path) || wanted.contains(path));
        self.seeded.retain(|path| known.seeded.contains(path) || wanted.contains(path));
        self
    }
}
