//! Whether what was written is still there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use super::{copies, place::Folder, reach, skills::SKILLS, state_folder, templates};
use crate::api::Template;

/// A file as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    size: u64,
    digest: Digest,
    mode: u32,
}

impl Expected {
    /// A file with this content and mode.
    #[must_use]
    pub fn of(content: &[u8], mode: u32) -> Self {
        Self { size: content.len() as u64, digest: Digest::of(content), mode }
    }

    fn is_in(&self, folder: &Folder, name: &str) -> bool {
        // Nothing is read of a file with another size.
        folder.read(name, self.size).is_ok_and(|(found, mode)| Self::of(&found, mode) == *self)
    }
}

/// Everything that should be there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// Whole files, by their paths: the configuration, the context, the token.
    pub files: BTreeMap<PathBuf, Expected>,
    /// The skills' files.
    pub skills: BTreeMap<FilePath, Expected>,
    /// The templates, by their files.
    pub templates: BTreeMap<FilePath, Template>,
    /// The agents whose workspaces have them.
    pub agents: BTreeSet<String>,
    /// The configuration whose copies are removed.
    pub config: PathBuf,
}

/// Outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Whole files that are missing or changed.
    pub files: BTreeSet<PathBuf>,
    /// Whether a skill's file is missing or changed.
    pub skills: bool,
    /// The agents of whose workspaces a block is missing or changed.
    pub agents: BTreeSet<String>,
    /// How many copies of the configuration were removed.
    pub copies_removed: usize,
    /// Why copies could not be removed.
    pub copies_failed: Option<String>,
}

/// Compares files with `expected`, and removes copies of the configuration.
#[must_use]
pub fn check(state: &Path, expected: &Expectation) -> Changes {
    let is_changed = |(path, file): &(&PathBuf, &Expected)| {
        !reach(state, path, false).is_ok_and(|(folder, name)| file.is_in(&folder, name))
    };
    let removed = copies::remove(state, &expected.config);
    Changes {
        files: expected.files.iter().filter(is_changed).map(|(path, _)| path.clone()).collect(),
        skills: !are_skills_there(state, &expected.skills),
        agents: expected
            .agents
            .iter()
            .filter(|agent| !templates::are_there(state, agent, &expected.templates))
            .cloned()
            .collect(),
        copies_removed: removed.as_ref().copied().unwrap_or(0),
        copies_failed: removed.err().map(|error| error.to_string()),
    }
}

fn are_skills_there(state: &Path, expected: &BTreeMap<FilePath, Expected>) -> bool {
    if expected.is_empty() {
        return true;
    }
    let Ok(folder) = state_folder(state, false).and_then(|state| state.enter(SKILLS)) else { return false };
    expected.iter().all(|(path, file)| folder.reach(path, None).is_ok_and(|(inner, name)| file.is_in(&inner, name)))
}
