//! Writing files so that nobody ever reads half of one, and keeping a folder as the control plane has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::fcntl::OFlag;
use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;
use serde::{Deserialize, Serialize};

use crate::{
    api::{Skills, Template, Templates, WriteMode},
    block,
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

/// The largest file of an agent's that a block is put into, in bytes.
const MAXIMUM_AGENTS_FILE: u64 = 4 * 1024 * 1024;

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

/// The file that a template is. Its name is the file's own, as `AGENTS.md`; an older one, as `agents`, means that file too.
#[must_use]
pub fn template_file(name: &FilePath) -> String {
    let name = name.as_str();
    let is_file = name.rsplit_once('.').is_some_and(|(_, end)| end == "md");
    if is_file { name.to_owned() } else { format!("{}.md", name.to_ascii_uppercase()) }
}

/// The templates by their files. Of two names of one file, the file's own counts.
fn by_file(templates: &Templates) -> io::Result<BTreeMap<FilePath, &Template>> {
    let mut wanted = BTreeMap::new();
    for (name, template) in &templates.templates {
        let file = template_file(name);
        let is_own = file == name.as_str();
        let file = FilePath::try_from(file).map_err(io::Error::other)?;
        if is_own || !wanted.contains_key(&file) {
            wanted.insert(file, template);
        }
    }
    Ok(wanted)
}

/// Makes a workspace hold the templates. A seeded one is written once, where there is no such file, and is the agent's from
/// then on. An injected one is a block in its file ([`block`]), the rest of which is the agent's; where the template is gone
/// the block is removed, and the file with it if nothing else is in it.
///
/// # Errors
/// Those of the file system; the rest is tried all the same.
pub fn sync_templates(user: &User, workspace: &Path, templates: &Templates) -> io::Result<()> {
    let wanted = by_file(templates)?;
    user.act(|| {
        let mut list = List::read(workspace);
        let is_injected = |path: &FilePath| wanted.get(path).is_some_and(|one| one.write_mode == WriteMode::Inject);
        let gone: Vec<FilePath> = list.files.iter().filter(|path| !is_injected(path)).cloned().collect();
        let mut failed = None;
        for path in gone {
            match take_out(workspace, &path) {
                Ok(()) => drop(list.files.remove(&path)),
                // Listed still, so that it is tried again.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for (path, template) in &wanted {
            let file = workspace.join(path.as_str());
            let outcome = match template.write_mode {
                WriteMode::Inject => inject(&file, &template.content).map(|()| {
                    list.files.insert(path.clone());
                }),
                WriteMode::Seed if list.seeded.contains(path) => Ok(()),
                WriteMode::Seed => {
                    let is_there = fs::symlink_metadata(&file).is_ok();
                    let content = template.content.as_bytes();
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

/// The agent's file with its mode; nothing where there is no plain file.
fn agents_file(file: &Path) -> io::Result<Option<(Vec<u8>, u32)>> {
    match fs::symlink_metadata(file) {
        Ok(found) if found.is_file() => {
            let text = read_as_is(file, MAXIMUM_AGENTS_FILE)?;
            Ok(Some((text, found.permissions().mode() & 0o777)))
        }
        // A link is replaced and not followed, as everywhere.
        Ok(found) if found.is_symlink() => Ok(None),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a template's block into a file.
fn inject(file: &Path, content: &str) -> io::Result<()> {
    let (text, mode) = agents_file(file)?.unwrap_or((Vec::new(), PRIVATE));
    // A file that is the template itself was written before there were blocks, and is all ours.
    let text = if text.trim_ascii() == content.trim_ascii().as_bytes() { Vec::new() } else { text };
    write_if_other(file, &block::with_block(&text, content), mode).map(drop)
}

/// Takes our block out of a file.
fn take_out(workspace: &Path, path: &FilePath) -> io::Result<()> {
    let file = workspace.join(path.as_str());
    let Some((text, mode)) = agents_file(&file)? else { return Ok(()) };
    match block::without_block(&text) {
        Some(rest) => write_if_other(&file, &rest, mode).map(drop),
        None => remove_all(workspace, std::slice::from_ref(path)).map_or(Ok(()), Err),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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
    fn a_template_is_seeded_once_and_injected_as_a_block_of_the_agents_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let user = User::own();
        let both = templates(&[("AGENTS.md", "# Agents", WriteMode::Inject), ("SOUL.md", "# Soul", WriteMode::Seed)]);
        sync_templates(&user, root, &both).unwrap();
        let agents = block::with_block(b"", "# Agents");
        assert_eq!(read(root, "AGENTS.md").unwrap().as_bytes(), agents);
        assert_eq!(read(root, "SOUL.md").as_deref(), Some("# Soul"));
        fs::write(root.join("SOUL.md"), "the agent's own").unwrap();
        fs::write(root.join("AGENTS.md"), "the agent's own\n").unwrap();
        fs::set_permissions(root.join("AGENTS.md"), fs::Permissions::from_mode(0o640)).unwrap();
        sync_templates(&user, root, &both).unwrap();
        let own = block::with_block(b"the agent's own\n", "# Agents");
        assert_eq!((read(root, "AGENTS.md").unwrap().as_bytes(), mode(&root.join("AGENTS.md"))), (&own[..], 0o640));
        assert_eq!(read(root, "SOUL.md").as_deref(), Some("the agent's own"));
        fs::remove_file(root.join("SOUL.md")).unwrap();
        sync_templates(&user, root, &both).unwrap();
        assert_eq!(read(root, "SOUL.md"), None, "what the agent removed stays removed");
        fs::write(root.join("SOUL.md"), "again").unwrap();
        sync_templates(&user, root, &templates(&[])).unwrap();
        assert_eq!(read(root, "AGENTS.md").unwrap().trim(), "the agent's own");
        assert_eq!(read(root, "SOUL.md").as_deref(), Some("again"));
        // Of a file with nothing but the block, nothing is left.
        fs::remove_file(root.join("AGENTS.md")).unwrap();
        sync_templates(&user, root, &both).unwrap();
        sync_templates(&user, root, &templates(&[])).unwrap();
        assert_eq!(read(root, "AGENTS.md"), None);
    }

    #[test]
    fn a_template_is_its_file_by_either_name_and_the_files_own_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let user = User::own();
        let old = templates(&[("agents", "# Old", WriteMode::Inject)]);
        // As an older sidecar wrote it: the whole file.
        fs::write(root.join("AGENTS.md"), "# Old").unwrap();
        fs::write(root.join(LIST), r#"{"files":["AGENTS.md"]}"#).unwrap();
        sync_templates(&user, root, &old).unwrap();
        assert_eq!(read(root, "AGENTS.md").unwrap().as_bytes(), block::with_block(b"", "# Old"));
        let both = templates(&[("agents", "# Old", WriteMode::Inject), ("AGENTS.md", "# New", WriteMode::Inject)]);
        sync_templates(&user, root, &both).unwrap();
        assert_eq!(read(root, "AGENTS.md").unwrap().as_bytes(), block::with_block(b"", "# New"));
        for (name, file) in [("AGENTS.md", "AGENTS.md"), ("agents", "AGENTS.md"), ("MY-FILE_2.md", "MY-FILE_2.md")] {
            assert_eq!(template_file(&path(name)), file);
        }
    }

    #[test]
    fn a_block_goes_into_no_fifo_link_or_oversized_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let inject = templates(&[("AGENTS.md", "# Agents", WriteMode::Inject)]);
        let file = root.join("AGENTS.md");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(sync_templates(&User::own(), root, &inject).is_err());
        fs::remove_file(&file).unwrap();
        fs::write(&file, vec![b'x'; 5 * 1024 * 1024]).unwrap();
        assert!(sync_templates(&User::own(), root, &inject).is_err());
        assert_eq!(fs::metadata(&file).unwrap().len(), 5 * 1024 * 1024);
        fs::remove_file(&file).unwrap();
        fs::write(root.join("elsewhere"), "kept").unwrap();
        symlink(root.join("elsewhere"), &file).unwrap();
        sync_templates(&User::own(), root, &inject).unwrap();
        assert_eq!(read(root, "elsewhere").as_deref(), Some("kept"));
        assert!(!file.is_symlink());
    }

    #[test]
    fn a_template_does_not_seed_over_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("SOUL.md"), "mine").unwrap();
        sync_templates(&User::own(), folder.path(), &templates(&[("soul", "# Soul", WriteMode::Seed)])).unwrap();
        assert_eq!(read(folder.path(), "SOUL.md").as_deref(), Some("mine"));
    }
}
