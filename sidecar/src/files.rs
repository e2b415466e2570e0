//! Writing files so that nobody ever reads half of one, and keeping a folder as the control plane has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use crate::{
    api::{Skills, Template, Templates, WriteMode},
    pace::{random, timestamp},
    user::User,
};

/// Only the owner reads and writes.
const PRIVATE: u32 = 0o600;

/// Only the owner reads, writes and runs.
const EXECUTABLE: u32 = 0o700;

/// What we have written is listed here, in each folder that we keep.
const LIST: &str = ".portcullis.json";

/// How the name of a folder begins in which `OpenClaw` prepares a backup of its configuration.
const UNFINISHED_BACKUP: &str = "openclaw-config-backup";

/// The largest file whose digest is taken, in bytes. A configuration comes in an answer of at most 8 MiB.
const MAXIMUM_DIGESTED: u64 = 16 * 1024 * 1024;

/// The largest list that is read, in bytes.
const MAXIMUM_LIST: u64 = 8 * 1024 * 1024;

/// Writes a file that its user alone can read: whole, or not at all. What was there stays until the new one is on the disk.
///
/// # Errors
/// Those of the file system. Nothing is left behind then.
pub fn write(user: &User, path: &Path, content: &[u8]) -> io::Result<()> {
    user.act(|| write_as_is(path, content, PRIVATE))
}

fn write_as_is(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let mut suffix = [0; 8];
    random(&mut suffix);
    let temporary = folder.join(format!(".portcullis-{:016x}", u64::from_be_bytes(suffix)));
    // `create_new` follows no link.
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    });
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Writes a file unless it holds just this. Returns whether it was written.
fn write_if_other(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    if holds(path, content) {
        return Ok(false);
    }
    write_as_is(path, content, mode).map(|()| true)
}

/// Whether a plain file holds just this.
fn holds(path: &Path, content: &[u8]) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == content.len() as u64);
    is_file && fs::read(path).is_ok_and(|found| found == content)
}

/// The digest of a file's content; `None` where there is no plain file of at most 16 MiB that `user` can read.
#[must_use]
pub fn digest(user: &User, path: &Path) -> Option<Digest> {
    read(user, path, MAXIMUM_DIGESTED).map(|content| Digest::of(&content))
}

/// A file's content; `None` where there is no plain file of at most `limit` bytes that `user` can read.
#[must_use]
pub fn read(user: &User, path: &Path, limit: u64) -> Option<Vec<u8>> {
    user.act(|| read_as_is(path, limit).ok())
}

fn read_as_is(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // A FIFO that the child has put there must not make the sidecar wait, and a link is not what was written.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
}

/// Removes the copies of a configuration that `OpenClaw` lays beside it: they hold credentials, and stay when those are
/// replaced. Returns how many there were.
///
/// Source: OpenClaw 2026.9.6: a ring of five backups (`.bak`, `.bak.1` to `.bak.4`), the last that started well
/// (`.last-good`), one of before an update (`.pre-update`), and what was found broken or turned away (`.clobbered.<time>`,
/// `.rejected.<time>`). A backup in the making is a folder, `openclaw-config-backup…`.
///
/// # Errors
/// Those of the file system; the rest is tried all the same.
pub fn remove_copies(user: &User, config: &Path) -> io::Result<usize> {
    let (Some(folder), Some(name)) = (config.parent(), config.file_name().and_then(OsStr::to_str)) else {
        return Ok(0);
    };
    let is_copy = |entry: &str| {
        entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| {
            matches!(rest, "bak" | "last-good" | "pre-update")
                || ["bak.", "clobbered.", "rejected."].iter().any(|beginning| rest.starts_with(beginning))
        })
    };
    user.act(|| {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let (mut removed, mut failed) = (0, None);
        for entry in entries {
            let entry = entry?;
            let entry_name = entry.file_name();
            let Some(entry_name) = entry_name.to_str() else { continue };
            let outcome = if is_copy(entry_name) {
                fs::remove_file(entry.path())
            } else if entry_name.starts_with(UNFINISHED_BACKUP) && is_old(&entry) {
                fs::remove_dir_all(entry.path())
            } else {
                continue;
            };
            match outcome {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(removed), Err)
    })
}

/// Whether nothing has changed in a folder for a minute: a backup in the making is gone by then, or its writer has died.
fn is_old(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|found| found.modified()).ok();
    let changed = changed.and_then(|changed| jiff::Timestamp::try_from(changed).ok());
    changed.is_some_and(|changed| timestamp().duration_since(changed) > jiff::SignedDuration::from_mins(1))
}

/// What we have written into a folder.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    /// The files that are ours.
    files: BTreeSet<FilePath>,
    /// The files that were written once, and are not ours any more.
    #[serde(default)]
    seeded: BTreeSet<FilePath>,
}

impl List {
    /// The folder's list; an empty one where there is none that can be read. Whoever changes it changes what becomes of their
    /// own files alone: it is read and acted on with their rights, and holds paths below the folder.
    fn read(folder: &Path) -> Self {
        let mut text = Vec::new();
        let read = OpenOptions::new().read(true).open(folder.join(LIST)).and_then(|file| {
            if file.metadata()?.is_file() { file.take(MAXIMUM_LIST).read_to_end(&mut text) } else { Ok(0) }
        });
        if read.is_err() {
            return Self::default();
        }
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        write_if_other(&folder.join(LIST), &text, PRIVATE).map(drop)
    }
}

/// Makes `folder` hold the skills' files, each in its skill's folder, and removes those of ours that are not among them.
/// Files that others have laid there are left alone.
///
/// # Errors
/// Those of the file system; the rest is tried all the same, and what is there of each file is whole.
pub fn sync_skills(user: &User, folder: &Path, skills: &Skills) -> io::Result<()> {
    let mut wanted: BTreeMap<FilePath, &str> = BTreeMap::new();
    for (name, files) in &skills.skills {
        for (path, text) in files {
            let path = FilePath::try_from(format!("{name}/{path}")).map_err(io::Error::other)?;
            wanted.insert(path, text);
        }
    }
    user.act(|| {
        let mut list = List::read(folder);
        let gone: Vec<FilePath> = list.files.iter().filter(|path| !wanted.contains_key(path)).cloned().collect();
        let mut failed = remove_all(folder, &gone);
        // Before they are written, so that none of them is ever there unlisted.
        list.files.extend(wanted.keys().cloned());
        fs::create_dir_all(folder)?;
        list.write(folder)?;
        for (path, text) in &wanted {
            let mode = if text.starts_with("#!") { EXECUTABLE } else { PRIVATE };
            if let Err(error) = write_if_other(&folder.join(path.as_str()), text.as_bytes(), mode) {
                failed = failed.or(Some(error));
            }
        }
        list.files = wanted.into_keys().collect();
        list.write(folder)?;
        failed.map_or(Ok(()), Err)
    })
}

/// Removes files, and the folders that are empty then. Returns the first error.
fn remove_all(folder: &Path, paths: &[FilePath]) -> Option<io::Error> {
    let mut failed = None;
    for path in paths {
        match fs::remove_file(folder.join(path.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => failed = failed.or(Some(error)),
            _ => {
                let folders: Vec<&str> = path.folders().collect();
                for inner in folders.into_iter().rev() {
                    // One that is not empty stays.
                    let _ = fs::remove_dir(folder.join(inner));
                }
            }
        }
    }
    failed
}

/// The file that a template is: `agents` is `AGENTS.md`, which is how `OpenClaw` names what it reads in a workspace.
#[must_use]
pub fn template_file(name: &FilePath) -> PathBuf {
    PathBuf::from(format!("{}.md", name.as_str().to_ascii_uppercase()))
}

/// Makes a workspace hold the templates: one to be injected whenever it differs, one to be seeded once. An injected one that
/// is gone is removed; a seeded one belongs to the agent.
///
/// # Errors
/// Those of the file system; the rest is tried all the same.
pub fn sync_templates(user: &User, workspace: &Path, templates: &Templates) -> io::Result<()> {
    let named = templates.templates.iter().map(|(name, template)| {
        let file = template_file(name).to_string_lossy().into_owned();
        FilePath::try_from(file).map(|file| (file, template)).map_err(io::Error::other)
    });
    let wanted = named.collect::<io::Result<BTreeMap<FilePath, &Template>>>()?;
    user.act(|| {
        let mut list = List::read(workspace);
        let is_injected = |path: &FilePath| wanted.get(path).is_some_and(|one| one.write_mode == WriteMode::Inject);
        let gone: Vec<FilePath> =
            list.files.iter().filter(|path| !is_injected(path) && !wanted.contains_key(path)).cloned().collect();
        let mut failed = remove_all(workspace, &gone);
        list.files.retain(|path| is_injected(path));
        for (path, template) in &wanted {
            let file = workspace.join(path.as_str());
            let content = template.content.as_bytes();
            let outcome = match template.write_mode {
                WriteMode::Inject => write_if_other(&file, content, PRIVATE).map(|_| {
                    list.files.insert(path.clone());
                }),
                WriteMode::Seed if list.seeded.contains(path) => Ok(()),
                WriteMode::Seed => {
                    let is_there = fs::symlink_metadata(&file).is_ok();
                    let written = if is_there { Ok(()) } else { write_as_is(&file, content, PRIVATE) };
                    written.map(|()| {
                        list.seeded.insert(path.clone());
                    })
                }
            };
            failed = failed.or(outcome.err());
        }
        fs::create_dir_all(workspace)?;
        list.write(workspace)?;
        failed.map_or(Ok(()), Err)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::try_from(text.to_owned()).unwrap()
    }

    fn skills(files: &[(&str, &str, &str)]) -> Skills {
        let mut skills: BTreeMap<FilePath, BTreeMap<FilePath, String>> = BTreeMap::new();
        for (skill, file, text) in files {
            skills.entry(path(skill)).or_default().insert(path(file), (*text).to_owned());
        }
        Skills { version: 1, skills }
    }

    fn templates(templates: &[(&str, &str, WriteMode)]) -> Templates {
        let template = |(name, content, write_mode): &(&str, &str, WriteMode)| {
            (path(name), Template { content: (*content).to_owned(), write_mode: *write_mode })
        };
        Templates { version: 1, templates: templates.iter().map(template).collect() }
    }

    fn read(folder: &Path, file: &str) -> Option<String> {
        fs::read_to_string(folder.join(file)).ok()
    }

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_its_owners_alone_and_replaces_a_link_instead_of_following_it() {
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, file) = (folder.path().join("elsewhere"), folder.path().join("deep/openclaw.json"));
        fs::write(&elsewhere, "kept").unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        symlink(&elsewhere, &file).unwrap();
        write(&User::own(), &file, b"new").unwrap();
        assert_eq!(
            (read(folder.path(), "elsewhere").as_deref(), read(folder.path(), "deep/openclaw.json").as_deref()),
            (Some("kept"), Some("new"))
        );
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        // A folder in the file's place.
        let file = folder.path().join("openclaw.json");
        fs::create_dir_all(file.join("full")).unwrap();
        assert!(write(&User::own(), &file, b"new").is_err());
        assert!(file.join("full").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn copies_of_a_configuration_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let copies = [
            "openclaw.json.bak",
            "openclaw.json.bak.1",
            "openclaw.json.bak.4",
            "openclaw.json.last-good",
            "openclaw.json.pre-update",
            "openclaw.json.clobbered.2026-11-25T10-00-00-000Z",
            "openclaw.json.clobbered.2026-11-25T10-00-00-000Z-01",
            "openclaw.json.rejected.2026-11-25T10-00-00-000Z",
        ];
        let others =
            ["openclaw.json", "openclaw.json5", "openclaw.json.lock", "other.json.bak", "bak", "nexu-context.json"];
        for name in copies.iter().chain(&others) {
            fs::write(root.join(name), "x").unwrap();
        }
        fs::create_dir(root.join("openclaw-config-backup-of-now")).unwrap();
        let config = root.join("openclaw.json");
        assert_eq!(remove_copies(&User::own(), &config).unwrap(), copies.len());
        assert_eq!(remove_copies(&User::own(), &config).unwrap(), 0);
        for name in copies {
            assert!(!root.join(name).exists(), "{name}");
        }
        for name in others.iter().chain(&["openclaw-config-backup-of-now"]) {
            assert!(root.join(name).exists(), "{name}");
        }
        assert_eq!(remove_copies(&User::own(), &root.join("no/such/folder/openclaw.json")).unwrap(), 0);
    }

    #[test]
    fn a_digest_is_of_a_plain_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "x").unwrap();
        symlink(path("file"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let digest = |name| digest(&User::own(), &path(name));
        assert_eq!(digest("file"), Some(Digest::of(b"x")));
        for other in ["link", "fifo", "folder", "missing"] {
            assert_eq!(digest(other), None, "{other}");
        }
    }

    #[test]
    fn skills_are_written_replaced_and_removed_and_strangers_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let user = User::own();
        let first =
            skills(&[("maps", "SKILL.md", "# Maps"), ("maps", "bin/run.sh", "#!/bin/sh\n"), ("old", "a/b/c", "x")]);
        sync_skills(&user, root, &first).unwrap();
        assert_eq!(read(root, "maps/SKILL.md").as_deref(), Some("# Maps"));
        assert_eq!((mode(&root.join("maps/bin/run.sh")), mode(&root.join("maps/SKILL.md"))), (0o700, 0o600));
        fs::write(root.join("maps/notes"), "a stranger's").unwrap();
        fs::write(root.join("maps/SKILL.md"), "changed here").unwrap();
        sync_skills(&user, root, &skills(&[("maps", "SKILL.md", "# Maps")])).unwrap();
        assert_eq!(read(root, "maps/SKILL.md").as_deref(), Some("# Maps"));
        assert_eq!(read(root, "maps/notes").as_deref(), Some("a stranger's"));
        assert!(!root.join("maps/bin").exists() && !root.join("old").exists());
        sync_skills(&user, root, &skills(&[])).unwrap();
        assert!(!root.join("maps/SKILL.md").exists() && root.join("maps/notes").exists());
    }

    #[test]
    fn a_list_that_was_tampered_with_reaches_nothing_outside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("skills");
        fs::create_dir(&root).unwrap();
        fs::write(folder.path().join("victim"), "kept").unwrap();
        for list in [r#"{"files":["../victim"]}"#, r#"{"files":["/etc/hostname"]}"#, "[", ""] {
            fs::write(root.join(LIST), list).unwrap();
            sync_skills(&User::own(), &root, &skills(&[])).unwrap();
        }
        assert_eq!(read(folder.path(), "victim").as_deref(), Some("kept"));
    }

    #[test]
    fn a_template_is_seeded_once_and_injected_always() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let user = User::own();
        let both = templates(&[("agents", "# Agents", WriteMode::Inject), ("soul", "# Soul", WriteMode::Seed)]);
        sync_templates(&user, root, &both).unwrap();
        for file in ["AGENTS.md", "SOUL.md"] {
            assert!(read(root, file).is_some());
            fs::write(root.join(file), "the agent's own").unwrap();
        }
        sync_templates(&user, root, &both).unwrap();
        assert_eq!(read(root, "AGENTS.md").as_deref(), Some("# Agents"));
        assert_eq!(read(root, "SOUL.md").as_deref(), Some("the agent's own"));
        fs::remove_file(root.join("SOUL.md")).unwrap();
        sync_templates(&user, root, &both).unwrap();
        assert_eq!(read(root, "SOUL.md"), None, "what the agent removed stays removed");
        fs::write(root.join("SOUL.md"), "again").unwrap();
        sync_templates(&user, root, &templates(&[])).unwrap();
        assert_eq!((read(root, "AGENTS.md"), read(root, "SOUL.md").as_deref()), (None, Some("again")));
    }

    #[test]
    fn a_template_does_not_seed_over_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("SOUL.md"), "mine").unwrap();
        sync_templates(&User::own(), folder.path(), &templates(&[("soul", "# Soul", WriteMode::Seed)])).unwrap();
        assert_eq!(read(folder.path(), "SOUL.md").as_deref(), Some("mine"));
    }
}
