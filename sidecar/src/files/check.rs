//! Checks whether written files are still as they were written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use super::{copies, place::Folder, reach, skills::SKILLS, state_folder, templates};
use crate::api::Template;

/// Size, digest and mode of a file as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    size: u64,
    digest: Digest,
    mode: u32,
}

impl Expected {
    /// Expectation of a file with this content and mode.
    #[must_use]
    pub fn of(content: &[u8], mode: u32) -> Self {
        Self { size: content.len() as u64, digest: Digest::of(content), mode }
    }

    fn is_in(&self, folder: &Folder, name: &str) -> bool {
        // A file of another size is not read.
        folder.read(name, self.size).is_ok_and(|(found, mode)| Self::of(&found, mode) == *self)
    }
}

/// All files that should be on the disk.
#[derive(Debug, Serialize, Deserialize)]
pub struct Expectation {
    /// Whole files by path: configuration, context and token.
    pub files: BTreeMap<PathBuf, Expected>,
    /// The skills' files.
    pub skills: BTreeMap<FilePath, Expected>,
    /// Templates by file.
    pub templates: BTreeMap<FilePath, Template>,
    /// Agents whose workspaces have the templates.
    pub agents: BTreeSet<String>,
    /// The configuration whose copies are removed.
    pub config: PathBuf,
}

/// Outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Paths of whole files that are missing or changed.
    pub files: BTreeSet<PathBuf>,
    /// Whether a skill's file is missing or changed.
    pub skills: bool,
    /// Agents with a missing or changed block in their workspaces.
    pub agents: BTreeSet<String>,
    /// Number of removed copies of the configuration.
    pub copies_removed: usize,
    /// Error of removing copies.
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
