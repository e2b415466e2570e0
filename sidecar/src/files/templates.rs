//! Templates in the workspaces of agents.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use nix::sys::stat::SFlag;
use portcullis_openclaw::FilePath;

use super::{
    PRIVATE,
    list::List,
    place::{Folder, OnOther},
    skills::remove,
    state_folder,
};
use crate::{
    api::{Template, WriteMode},
    block,
};

/// Name of the folder of the workspaces, in the state folder; each is named after its agent.
pub const WORKSPACES: &str = "workspaces";

/// Largest file of an agent that a block is put into, in bytes.
const MAXIMUM_AGENTS_FILE: u64 = 4 * 1024 * 1024;

/// File of a template. Its name is the file's own, as `AGENTS.md`; an older form of the name, as `agents`, means the
/// same file.
#[must_use]
pub fn template_file(name: &FilePath) -> String {
    let name = name.as_str();
    let is_file = name.rsplit_once('.').is_some_and(|(_, end)| end == "md");
    if is_file { name.to_owned() } else { format!("{}.md", name.to_ascii_uppercase()) }
}

/// Maps templates to their files. If two names mean one file, the file's own name wins.
///
/// # Errors
/// A name that cannot be a file's.
pub fn by_file(templates: BTreeMap<FilePath, Template>) -> io::Result<BTreeMap<FilePath, Template>> {
    let mut wanted = BTreeMap::new();
    for (name, template) in templates {
        let file = template_file(&name);
        let is_own = file == name.as_str();
        let file = FilePath::try_from(file).map_err(io::Error::other)?;
        if is_own || !wanted.contains_key(&file) {
            wanted.insert(file, template);
        }
    }
    Ok(wanted)
}

/// Opens an agent's workspace.
///
/// # Errors
/// Errors of the file system, and a refused link.
pub fn workspace(state: &Path, agent: &str, make: bool) -> io::Result<Folder> {
    let state = state_folder(state, make)?;
    if make {
        state.make(WORKSPACES, OnOther::RefuseLinks)?.make(agent, OnOther::RefuseLinks)
    } else {
        state.enter(WORKSPACES)?.enter(agent)
    }
}

/// Writes the templates, keyed by file, into an agent's workspace. A seeded template is written once, if the file does
/// not exist, and belongs to the agent from then on. An injected one is a block in its file ([`block`]), the rest of
/// which is the agent's; when the template is gone the block is removed, and the file too if nothing else is in it.
/// Returns the list of files afterwards, and the first error; the other files are handled all the same.
///
/// # Errors
/// Errors of opening the workspace.
pub fn sync(
    state: &Path,
    agent: &str,
    wanted: &BTreeMap<FilePath, Template>,
    listed: Option<List>,
) -> io::Result<(List, Option<io::Error>)> {
    let folder = workspace(state, agent, true)?;
    let mut list = listed.unwrap_or_else(|| List::take_old(&folder));
    let injected: BTreeSet<&FilePath> =
        wanted.iter().filter(|(_, one)| one.is_injected()).map(|(path, _)| path).collect();
    let gone: Vec<FilePath> = list.files.iter().filter(|path| !injected.contains(path)).cloned().collect();
    let mut failed = None;
    for path in gone {
        match take_out(&folder, &path) {
            Ok(()) => drop(list.files.remove(&path)),
            // Kept in the list, so that the removal is retried.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    for (path, template) in wanted {
        let outcome = match template.write_mode {
            WriteMode::Inject => inject(&folder, path, &template.content).map(|()| {
                list.files.insert(path.clone());
            }),
            WriteMode::Seed if list.seeded.contains(path) => Ok(()),
            WriteMode::Seed => seed(&folder, path, &template.content).map(|()| {
                list.seeded.insert(path.clone());
            }),
        };
        failed = failed.or(outcome.err());
    }
    List::remove_old(&folder);
    Ok((list, failed))
}

/// Whether the block of each injected template is in its file.
#[must_use]
pub fn are_there(state: &Path, agent: &str, wanted: &BTreeMap<FilePath, Template>) -> bool {
    let injected = wanted.iter().filter(|(_, template)| template.is_injected());
    let Ok(folder) = workspace(state, agent, false) else { return false };
    let is_there = |(path, template): (&FilePath, &Template)| {
        let (inner, name) = folder.reach(path, None)?;
        let found = agents_file(&inner, name)?;
        Ok::<_, io::Error>(found.is_some_and(|(text, _)| block::with_block(&text, &template.content) == text))
    };
    injected.map(is_there).all(|outcome| outcome.unwrap_or(false))
}

/// Reads the agent's file and its mode; `None` unless it is a plain file. A link, FIFO or socket is later replaced by a
/// file.
fn agents_file(folder: &Folder, name: &str) -> io::Result<Option<(Vec<u8>, u32)>> {
    let Some(found) = folder.stat(name)? else { return Ok(None) };
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG {
        return Ok(None);
    }
    folder.read(name, MAXIMUM_AGENTS_FILE).map(Some)
}

/// Puts a template's block into a file.
fn inject(folder: &Folder, path: &FilePath, content: &str) -> io::Result<()> {
    let (inner, name) = folder.reach(path, Some(OnOther::RefuseLinks))?;
    let (text, mode) = agents_file(&inner, name)?.unwrap_or((Vec::new(), PRIVATE));
    // A file with exactly the template's text is from a version without blocks, and wholly the sidecar's.
    let rest = if text.trim_ascii() == content.trim_ascii().as_bytes() { &[][..] } else { &text };
    let with_block = block::with_block(rest, content);
    if with_block == text { Ok(()) } else { inner.write(name, &with_block, mode) }
}

/// Writes a template if the file does not exist.
fn seed(folder: &Folder, path: &FilePath, content: &str) -> io::Result<()> {
    let (inner, name) = folder.reach(path, Some(OnOther::RefuseLinks))?;
    if inner.stat(name)?.is_some() { Ok(()) } else { inner.write(name, content.as_bytes(), PRIVATE) }
}

/// Removes the block from a file.
fn take_out(folder: &Folder, path: &FilePath) -> io::Result<()> {
    let (inner, name) = match folder.reach(path, None) {
        Err(error) if super::place::is_absent(&error) => return Ok(()),
        reached => reached?,
    };
    let Some((text, mode)) = agents_file(&inner, name)? else { return Ok(()) };
    match block::without_block(&text) {
        Some(rest) if rest == text => Ok(()),
        Some(rest) => inner.write(name, &rest, mode),
        None => remove(folder, path),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn path(text: &str) -> FilePath {
        text.to_owned().try_into().unwrap()
    }

    fn templates(templates: &[(&str, &str, WriteMode)]) -> BTreeMap<FilePath, Template> {
        let template = |(name, content, write_mode): &(&str, &str, WriteMode)| {
            (path(name), Template { content: (*content).to_owned(), write_mode: *write_mode })
        };
        by_file(templates.iter().map(template).collect()).unwrap()
    }

    /// An agent's workspace, and its list.
    struct Workspace {
        state: tempfile::TempDir,
        list: Option<List>,
    }

    impl Workspace {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            fs::create_dir_all(state.path().join(WORKSPACES).join("agent")).unwrap();
            Self { state, list: None }
        }

        fn file(&self, name: &str) -> std::path::PathBuf {
            self.state.path().join(WORKSPACES).join("agent").join(name)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.file(name)).ok()
        }

        fn sync(&mut self, wanted: &BTreeMap<FilePath, Template>) -> Option<io::Error> {
            let (list, failed) = sync(self.state.path(), "agent", wanted, self.list.take()).unwrap();
            assert!(failed.is_some() || are_there(self.state.path(), "agent", wanted));
            self.list = Some(list);
            failed
        }

        fn synced(&mut self, wanted: &BTreeMap<FilePath, Template>) {
            let failed = self.sync(wanted);
            assert!(failed.is_none(), "{failed:?}");
        }
    }

    #[test]
    fn a_template_is_seeded_once_and_injected_as_a_block_of_the_agents_file() {
        let mut workspace = Workspace::new();
        let both = templates(&[("AGENTS.md", "# Agents", WriteMode::Inject), ("SOUL.md", "# Soul", WriteMode::Seed)]);
        workspace.synced(&both);
        let agents = block::with_block(b"", "# Agents");
        assert_eq!(workspace.read("AGENTS.md").unwrap().as_bytes(), agents);
        assert_eq!(workspace.read("SOUL.md").as_deref(), Some("# Soul"));
        fs::write(workspace.file("SOUL.md"), "the agent's own").unwrap();
        fs::write(workspace.file("AGENTS.md"), "the agent's own\n").unwrap();
        fs::set_permissions(workspace.file("AGENTS.md"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!are_there(workspace.state.path(), "agent", &both));
        workspace.synced(&both);
        let own = block::with_block(b"the agent's own\n", "# Agents");
        let mode = fs::metadata(workspace.file("AGENTS.md")).unwrap().permissions().mode() & 0o777;
        assert_eq!((workspace.read("AGENTS.md").unwrap().as_bytes(), mode), (&own[..], 0o640));
        assert_eq!(workspace.read("SOUL.md").as_deref(), Some("the agent's own"));
        fs::remove_file(workspace.file("SOUL.md")).unwrap();
        workspace.synced(&both);
        assert_eq!(workspace.read("SOUL.md"), None, "a seeded file that the agent removed stays removed");
        fs::write(workspace.file("SOUL.md"), "again").unwrap();
        workspace.synced(&templates(&[]));
        assert_eq!(workspace.read("AGENTS.md").unwrap().trim(), "the agent's own");
        assert_eq!(workspace.read("SOUL.md").as_deref(), Some("again"));
        // A file with only the block is removed.
        fs::remove_file(workspace.file("AGENTS.md")).unwrap();
        workspace.synced(&both);
        workspace.synced(&templates(&[]));
        assert_eq!(workspace.read("AGENTS.md"), None);
    }

    #[test]
    fn a_template_is_its_file_by_either_name_and_the_files_own_counts() {
        let mut workspace = Workspace::new();
        let old = templates(&[("agents", "# Old", WriteMode::Inject)]);
        // A whole file, as an older sidecar wrote it.
        fs::write(workspace.file("AGENTS.md"), "# Old").unwrap();
        fs::write(workspace.file(".portcullis.json"), r#"{"files":["AGENTS.md"],"seeded":["SOUL.md"]}"#).unwrap();
        workspace.synced(&old);
        assert!(!workspace.file(".portcullis.json").exists());
        assert_eq!(workspace.read("AGENTS.md").unwrap().as_bytes(), block::with_block(b"", "# Old"));
        workspace.synced(&templates(&[("soul", "# Soul", WriteMode::Seed), ("agents", "# Old", WriteMode::Inject)]));
        assert_eq!(workspace.read("SOUL.md"), None, "it was seeded by the older sidecar");
        let both = templates(&[("agents", "# Old", WriteMode::Inject), ("AGENTS.md", "# New", WriteMode::Inject)]);
        workspace.synced(&both);
        assert_eq!(workspace.read("AGENTS.md").unwrap().as_bytes(), block::with_block(b"", "# New"));
        for (name, file) in [("AGENTS.md", "AGENTS.md"), ("agents", "AGENTS.md"), ("MY-FILE_2.md", "MY-FILE_2.md")] {
            assert_eq!(template_file(&path(name)), file);
        }
    }

    #[test]
    fn a_file_is_written_in_the_place_of_a_fifo_or_a_link_and_an_oversized_one_is_left() {
        let mut workspace = Workspace::new();
        let inject = templates(&[("AGENTS.md", "# Agents", WriteMode::Inject)]);
        let file = workspace.file("AGENTS.md");
        fs::write(&file, vec![b'x'; 5 * 1024 * 1024]).unwrap();
        assert!(workspace.sync(&inject).is_some());
        assert_eq!(fs::metadata(&file).unwrap().len(), 5 * 1024 * 1024);
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        workspace.synced(&inject);
        fs::remove_file(&file).unwrap();
        fs::write(workspace.file("elsewhere"), "kept").unwrap();
        symlink(workspace.file("elsewhere"), &file).unwrap();
        workspace.synced(&inject);
        assert_eq!(workspace.read("elsewhere").as_deref(), Some("kept"));
        assert!(!file.is_symlink());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        workspace.synced(&inject);
        fs::remove_file(&file).unwrap();
        fs::create_dir_all(file.join("full")).unwrap();
        workspace.synced(&inject);
        assert!(file.is_file());
    }

    #[test]
    fn a_template_does_not_seed_over_a_file_of_the_agents() {
        let mut workspace = Workspace::new();
        fs::write(workspace.file("SOUL.md"), "mine").unwrap();
        workspace.synced(&templates(&[("soul", "# Soul", WriteMode::Seed)]));
        assert_eq!(workspace.read("SOUL.md").as_deref(), Some("mine"));
    }
}
