//! Keeps the child's files: a copy in memory, from which a file is restored whenever the child has changed it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use portcullis_openclaw::FilePath;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{
    api::{Skills, Template, Templates},
    files::{
        self,
        check::{Changes, Expectation, Expected},
        list::{List, MAXIMUM_FILES},
        skills::mode,
        templates::by_file,
    },
    log,
    worker::{FileError, Work, Worker},
};

/// Name of the file with the skills' token, in the state folder.
pub const TOKEN_FILE: &str = "skill-token";

/// Name of the file from which skills learn their control plane and pool, in the state folder.
pub const CONTEXT_FILE: &str = "nexu-context.json";

/// Name of the list of written files, in the run folder.
const LISTS_FILE: &str = "files.json";

/// Largest list that is read, in bytes. The child can write it if both run as one user.
const MAXIMUM_LISTS: u64 = 8 * 1024 * 1024;

/// The files that were written, by folder. Without an entry, an older sidecar's list may be in the folder itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lists {
    skills: Option<List>,
    workspaces: BTreeMap<String, List>,
}

impl Lists {
    /// Whether the lists have no more entries than this sidecar writes.
    fn is_bounded(&self) -> bool {
        let lists = self.skills.iter().chain(self.workspaces.values());
        lists.map(|list| list.files.len() + list.seeded.len()).sum::<usize>() <= 10 * MAXIMUM_FILES
    }
}

/// The last valid answers of the control plane; `None` before the first.
#[derive(Default)]
struct Kept {
    config: Option<Config>,
    token: Option<SecretString>,
    skills: Option<SkillFiles>,
    templates: Option<BTreeMap<FilePath, Template>>,
    /// Agents whose workspaces have the templates.
    agents: BTreeSet<String>,
    lists: Lists,
}

struct Config {
    text: String,
    context: String,
}

struct SkillFiles {
    texts: BTreeMap<FilePath, String>,
    expected: BTreeMap<FilePath, Expected>,
}

/// Writes and restores the files, through one request of its worker at a time.
pub struct Keeper {
    worker: Worker,
    state: PathBuf,
    config: PathBuf,
    lists: PathBuf,
    kept: Mutex<Kept>,
    restorations: Cell<u64>,
}

/// Outcome of a restoration.
#[derive(Debug)]
pub struct Restored {
    /// Whether the configuration on the disk is as it was written.
    pub is_config_there: bool,
    /// The first error of checking or restoring.
    pub error: Option<FileError>,
}

impl Keeper {
    /// Creates a keeper of the files in `state` and of `config`. The list of written files is in the folder `run`.
    #[must_use]
    pub fn new(worker: Worker, state: &Path, config: &Path, run: &Path) -> Self {
        let lists = run.join(LISTS_FILE);
        let known = files::read(&lists, MAXIMUM_LISTS).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let known = known.filter(Lists::is_bounded);
        Self {
            worker,
            state: state.to_owned(),
            config: config.to_owned(),
            lists,
            kept: Mutex::new(Kept { lists: known.unwrap_or_default(), ..Kept::default() }),
            restorations: Cell::new(0),
        }
    }

    /// Worker that handles the files.
    #[must_use]
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Whether a configuration is on the disk.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn has_config(&self) -> Result<bool, FileError> {
        self.worker.is_file(&self.config).await
    }

    /// Number of times that files had been changed by others and were restored.
    #[must_use]
    pub fn restorations(&self) -> u64 {
        self.restorations.get()
    }

    /// Keeps a configuration, and the context that skills read.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn keep_config(&self, text: String, context: String) -> Result<(), FileError> {
        let mut kept = self.kept.lock().await;
        kept.config = Some(Config { text, context });
        // The configuration last, because it refers to the agents in the context.
        self.write(&kept, &[self.state.join(CONTEXT_FILE), self.config.clone()].into()).await
    }

    /// Keeps the skills' token.
    ///
    /// # Errors
    /// [`FileError`].
    pub async fn keep_token(&self, token: SecretString) -> Result<(), FileError> {
        let mut kept = self.kept.lock().await;
        kept.token = Some(token);
        self.write(&kept, &[self.state.join(TOKEN_FILE)].into()).await
    }

    /// Keeps the skills.
    ///
    /// # Errors
    /// [`FileError`]; all other files are written.
    pub async fn keep_skills(&self, skills: Skills) -> Result<(), FileError> {
        let mut texts = BTreeMap::new();
        for (name, files) in skills.skills {
            for (path, text) in files {
                let path = format!("{name}/{path}");
                let path = FilePath::try_from(path).map_err(|error| FileError::Failed(error.to_string()))?;
                texts.insert(path, text);
            }
        }
        let expected = texts.iter().map(|(path, text)| (path.clone(), Expected::of(text.as_bytes(), mode(text))));
        let expected = expected.collect();
        let mut kept = self.kept.lock().await;
        kept.skills = Some(SkillFiles { texts, expected });
        self.sync_skills(&mut kept).await
    }

    /// Keeps templates in these agents' workspaces. `None` keeps the current templates.
    ///
    /// # Errors
    /// [`FileError`]; all other files are written.
    pub async fn keep_templates(
        &self,
        templates: Option<Templates>,
        agents: &BTreeSet<String>,
    ) -> Result<(), FileError> {
        let templates = templates.map(|found| by_file(found.templates));
        let templates = templates.transpose().map_err(|error| FileError::Failed(error.to_string()))?;
        let mut kept = self.kept.lock().await;
        kept.templates = templates.or_else(|| kept.templates.take());
        kept.agents.clone_from(agents);
        self.sync_templates(&mut kept, agents).await
    }

    /// Compares all kept files with the disk, and writes again those that differ. `OpenClaw`'s copies of the
    /// configuration are removed.
    pub async fn restore(&self) -> Restored {
        let mut kept = self.kept.lock().await;
        let changes = match self.worker.check(self.expectation(&kept)).await {
            Ok(changes) => changes,
            Err(error) => return Restored { is_config_there: false, error: Some(error) },
        };
        tell_of_copies(&changes);
        let Changes { files, skills, agents, .. } = changes;
        let is_known = |path: &PathBuf| self.content(&kept, path).is_some();
        let files: BTreeSet<PathBuf> = files.into_iter().filter(is_known).collect();
        let agents: BTreeSet<String> = agents.intersection(&kept.agents).cloned().collect();
        let is_config_changed = files.contains(&self.config);
        if !skills && files.is_empty() && agents.is_empty() {
            return Restored { is_config_there: true, error: None };
        }
        self.restorations.set(self.restorations.get() + 1);
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        log::warn(
            "files were changed on the disk: writing them again",
            &[("files", names.into()), ("skills", skills.into()), ("workspaces", agents.len().into())],
        );
        let skills = if skills { self.sync_skills(&mut kept).await } else { Ok(()) };
        let templates = self.sync_templates(&mut kept, &agents).await;
        let files = self.write(&kept, &files).await;
        Restored { is_config_there: !is_config_changed || files.is_ok(), error: skills.and(templates).and(files).err() }
    }

    fn expectation(&self, kept: &Kept) -> Expectation {
        let files = [self.state.join(TOKEN_FILE), self.state.join(CONTEXT_FILE), self.config.clone()];
        let files = files.into_iter().filter_map(|path| {
            let expected = Expected::of(self.content(kept, &path)?.as_bytes(), files::PRIVATE);
            Some((path, expected))
        });
        Expectation {
            files: files.collect(),
            skills: kept.skills.as_ref().map(|skills| skills.expected.clone()).unwrap_or_default(),
            templates: kept.templates.clone().unwrap_or_default(),
            agents: kept.agents.clone(),
            config: self.config.clone(),
        }
    }

    /// Content of a whole file, if it is known.
    fn content<'a>(&self, kept: &'a Kept, path: &Path) -> Option<&'a str> {
        if *path == self.config {
            kept.config.as_ref().map(|config| config.text.as_str())
        } else if *path == self.state.join(CONTEXT_FILE) {
            kept.config.as_ref().map(|config| config.context.as_str())
        } else if *path == self.state.join(TOKEN_FILE) {
            kept.token.as_ref().map(ExposeSecret::expose_secret)
        } else {
            None
        }
    }

    async fn write(&self, kept: &Kept, paths: &BTreeSet<PathBuf>) -> Result<(), FileError> {
        // The configuration last, because it refers to the other files.
        let others = paths.iter().filter(|path| **path != self.config);
        let ordered = others.chain(paths.get(&self.config));
        let written = ordered.filter_map(|path| Some((path.clone(), self.content(kept, path)?.to_owned())));
        let written: Vec<(PathBuf, String)> = written.collect();
        if written.is_empty() { Ok(()) } else { self.worker.done(Work::Write(written)).await }
    }

    async fn sync_skills(&self, kept: &mut Kept) -> Result<(), FileError> {
        let Some(SkillFiles { texts, .. }) = &kept.skills else { return Ok(()) };
        let wanted: BTreeSet<FilePath> = texts.keys().cloned().collect();
        let listed = kept.lists.skills.clone();
        // Listed before they are written, so that no file is ever on the disk unlisted. Without a list, an older
        // sidecar's is taken over first.
        if let Some(list) = &listed {
            let files = list.files.union(&wanted).cloned().collect();
            self.save(&mut kept.lists, |lists| lists.skills = Some(List { files, ..List::default() }))?;
        }
        let (list, failed) = self.worker.sync(Work::Skills { wanted: texts.clone(), listed: listed.clone() }).await?;
        let mut list = checked(list, listed.as_ref(), &BTreeSet::new())?;
        list.files.extend(wanted);
        self.save(&mut kept.lists, |lists| lists.skills = Some(list))?;
        failed.map_or(Ok(()), Err)
    }

    async fn sync_templates(&self, kept: &mut Kept, agents: &BTreeSet<String>) -> Result<(), FileError> {
        let Some(wanted) = &kept.templates else { return Ok(()) };
        let paths: BTreeSet<FilePath> = wanted.keys().cloned().collect();
        let mut outcome = Ok(());
        for agent in agents {
            let listed = kept.lists.workspaces.get(agent).cloned();
            let work = Work::Templates { agent: agent.clone(), wanted: wanted.clone(), listed: listed.clone() };
            let synced = match self.worker.sync(work).await {
                Ok((list, failed)) => checked(list, listed.as_ref(), &paths).and_then(|list| {
                    self.save(&mut kept.lists, |lists| drop(lists.workspaces.insert(agent.clone(), list)))?;
                    failed.map_or(Ok(()), Err)
                }),
                Err(error) => Err(error),
            };
            // One agent's failure does not hold back the others. A time-out does, since each of them would time out
            // too.
            let is_late = matches!(synced, Err(FileError::TooLate(_)));
            outcome = outcome.and(synced);
            if is_late {
                break;
            }
        }
        outcome
    }

    fn save(&self, lists: &mut Lists, change: impl FnOnce(&mut Lists)) -> Result<(), FileError> {
        let mut changed = lists.clone();
        change(&mut changed);
        if *lists != changed {
            let text = serde_json::to_vec(&changed).map_err(|error| FileError::List(io::Error::other(error)))?;
            files::write(&self.lists, &text).map_err(FileError::List)?;
            *lists = changed;
        }
        Ok(())
    }
}

/// Validates a list that a process of the child's user returned: it may name only known or wanted files. A list taken
/// over from an older sidecar is only bounded.
fn checked(list: List, known: Option<&List>, wanted: &BTreeSet<FilePath>) -> Result<List, FileError> {
    match known {
        Some(known) => Ok(list.within(known, wanted)),
        None if list.files.len() + list.seeded.len() > 2 * MAXIMUM_FILES => Err(FileError::NotUnderstood),
        None => Ok(list),
    }
}

fn tell_of_copies(changes: &Changes) {
    if changes.copies_removed > 0 {
        log::info("removed OpenClaw's copies of a configuration", &[("copies", changes.copies_removed.into())]);
    }
    if let Some(why) = &changes.copies_failed {
        log::warn(
            "copies of a configuration, which hold credentials, could not be removed",
            &[("because", why.chars().take(300).collect::<String>().into())],
        );
    }
}
