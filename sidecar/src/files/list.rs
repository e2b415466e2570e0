//! Which files were written into a folder.

use std::collections::BTreeSet;

use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use super::place::Folder;

/// The file of an older sidecar's, in the folder itself.
const OLD: &str = ".portcullis.json";

/// The largest list of an older sidecar's that is read, in bytes.
const MAXIMUM_OLD: u64 = 1024 * 1024;

/// The most files that a list may name.
pub const MAXIMUM_FILES: usize = 20_000;

/// The files that were written into a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The files that are the sidecar's.
    pub files: BTreeSet<FilePath>,
    /// The files that were written once, and are the agent's since.
    #[serde(default)]
    pub seeded: BTreeSet<FilePath>,
}

impl List {
    /// The list that an older sidecar has left in the folder; an empty one where there is none that can be read. The child
    /// can write it: it holds paths below the folder alone, and is acted on with the child's rights.
    #[must_use]
    pub fn take_old(folder: &Folder) -> Self {
        let Ok((text, _)) = folder.read(OLD, MAXIMUM_OLD) else { return Self::default() };
        let list: Self = serde_json::from_slice(&text).unwrap_or_default();
        if list.files.len() + list.seeded.len() > MAXIMUM_FILES { Self::default() } else { list }
    }

    /// Removes the list of an older sidecar's.
    pub fn remove_old(folder: &Folder) {
        // It is not read again: the run folder has the list from now on.
        let _ = folder.remove(OLD);
    }

    /// This list without what neither `known` nor `wanted` has: the answer of a process that runs as the child's user.
    #[must_use]
    pub fn within(mut self, known: &Self, wanted: &BTreeSet<FilePath>) -> Self {
        self.files.retain(|path| known.files.contains(path) || wanted.contains(path));
        self.seeded.retain(|path| known.seeded.contains(path) || wanted.contains(path));
        self
    }
}
