//! Files of the skills, each in its skill's folder below `skills`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use portcullis_openclaw::FilePath;

use super::{
    EXECUTABLE, PRIVATE,
    list::List,
    place::{Folder, OnOther, is_absent},
    state_folder,
};

/// Name of the folder of the skills, in the state folder.
pub const SKILLS: &str = "skills";

/// Mode of a skill's file: scripts with a `#!` line are executable.
#[must_use]
pub fn mode(text: &str) -> u32 {
    if text.starts_with("#!") { EXECUTABLE } else { PRIVATE }
}

/// Writes `wanted` into the folder of the skills, and removes the files of `listed` that are not wanted; without
/// `listed`, those of an older sidecar's list. Files that others have put there are left alone. Returns the files that
/// the sidecar owns afterwards, and the first error; the other files are handled all the same, and each write is
/// atomic.
///
/// # Errors
/// Errors of opening the folder.
pub fn sync(
    state: &Path,
    wanted: &BTreeMap<FilePath, String>,
    listed: Option<List>,
) -> io::Result<(List, Option<io::Error>)> {
    let folder = state_folder(state, true)?.make(SKILLS, OnOther::RefuseLinks)?;
    let listed = listed.unwrap_or_else(|| List::take_old(&folder));
    let mut files: BTreeSet<FilePath> = wanted.keys().cloned().collect();
    let mut failed = None;
    for path in listed.files.iter().filter(|path| !wanted.contains_key(path)) {
        if let Err(error) = remove(&folder, path) {
            // Kept in the list, so that the removal is retried.
            files.insert(path.clone());
            failed = failed.or(Some(error));
        }
    }
    for (path, text) in wanted {
        let written = folder
            .reach(path, Some(OnOther::Replace))
            .and_then(|(inner, name)| inner.keep(name, text.as_bytes(), mode(text)));
        if let Err(error) = written {
            failed = failed.or(Some(error));
        }
    }
    List::remove_old(&folder);
    Ok((List { files, ..List::default() }, failed))
}

/// Removes a file, and folders that have become empty.
///
/// # Errors
/// Errors of the file system. A file that does not exist, or lies behind a link, counts as removed.
pub(super) fn remove(folder: &Folder, path: &FilePath) -> io::Result<()> {
    match folder.reach(path, None) {
        Err(error) if is_absent(&error) => {}
        reached => {
            let (inner, name) = reached?;
            match inner.remove(name) {
                // The agent has replaced the file by a folder, which stays.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                removed => drop(removed?),
            }
        }
    }
    let folders: Vec<&str> = path.folders().collect();
    for inner in folders.into_iter().rev() {
        let Ok(inner) = FilePath::try_from(inner.to_owned()) else { continue };
        if let Ok((parent, name)) = folder.reach(&inner, None) {
            parent.remove_folder(name);
        }
    }
    Ok(())
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

    fn wanted(files: &[(&str, &str)]) -> BTreeMap<FilePath, String> {
        files.iter().map(|(name, text)| (path(name), (*text).to_owned())).collect()
    }

    /// Syncs and asserts that nothing failed.
    fn synced(state: &Path, files: &[(&str, &str)], listed: Option<List>) -> List {
        let (list, failed) = sync(state, &wanted(files), listed).unwrap();
        assert!(failed.is_none(), "{failed:?}");
        list
    }

    #[test]
    fn skills_are_written_replaced_and_removed_and_strangers_files_are_left_alone() {
        let state = tempfile::tempdir().unwrap();
        let root = state.path().join(SKILLS);
        let read = |file: &str| fs::read_to_string(root.join(file)).ok();
        let first = [("maps/SKILL.md", "# Maps"), ("maps/bin/run.sh", "#!/bin/sh\n"), ("old/a/b/c", "x")];
        let list = synced(state.path(), &first, None);
        assert_eq!(read("maps/SKILL.md").as_deref(), Some("# Maps"));
        let mode = |file: &str| fs::metadata(root.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("maps/bin/run.sh"), mode("maps/SKILL.md")), (0o700, 0o600));
        fs::write(root.join("maps/notes"), "a stranger's").unwrap();
        fs::write(root.join("maps/SKILL.md"), "changed here").unwrap();
        let list = synced(state.path(), &[("maps/SKILL.md", "# Maps")], Some(list));
        assert_eq!(read("maps/SKILL.md").as_deref(), Some("# Maps"));
        assert_eq!(read("maps/notes").as_deref(), Some("a stranger's"));
        assert!(!root.join("maps/bin").exists() && !root.join("old").exists());
        let list = synced(state.path(), &[], Some(list));
        assert_eq!(list, List::default());
        assert!(!root.join("maps/SKILL.md").exists() && root.join("maps/notes").exists());
    }

    #[test]
    fn the_list_of_an_older_sidecar_is_taken_over_once_and_reaches_nothing_outside_the_folder() {
        let state = tempfile::tempdir().unwrap();
        let root = state.path().join(SKILLS);
        fs::create_dir(&root).unwrap();
        fs::write(state.path().join("victim"), "kept").unwrap();
        fs::write(root.join("mine"), "kept").unwrap();
        let list = root.join(".portcullis.json");
        for text in [r#"{"files":["../victim"]}"#, r#"{"files":["/etc/hostname"]}"#, "[", ""] {
            fs::write(&list, text).unwrap();
            synced(state.path(), &[], None);
            assert!(!list.exists());
        }
        nix::unistd::mkfifo(&list, nix::sys::stat::Mode::S_IRWXU).unwrap();
        synced(state.path(), &[], None);
        symlink("/dev/zero", &list).unwrap();
        synced(state.path(), &[], None);
        let too_large = format!(r#"{{"files":["mine"{}]}}"#, " ".repeat(8 * 1024 * 1024));
        fs::write(&list, too_large).unwrap();
        synced(state.path(), &[], None);
        assert!(root.join("mine").exists() && state.path().join("victim").exists());
        fs::write(&list, r#"{"files":["mine"]}"#).unwrap();
        synced(state.path(), &[], Some(List::default()));
        assert!(root.join("mine").exists(), "where there is a list, this one counts for nothing");
        fs::write(&list, r#"{"files":["mine"]}"#).unwrap();
        synced(state.path(), &[], None);
        assert!(!root.join("mine").exists() && !list.exists());
    }

    #[test]
    fn any_file_in_a_skills_place_is_replaced_and_a_linked_folder_of_skills_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (state.path().join(SKILLS), state.path().join("elsewhere"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, root.join("link")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(root.join("file"), "x").unwrap();
        fs::create_dir_all(root.join("folder/SKILL.md/full")).unwrap();
        fs::create_dir(root.join("closed")).unwrap();
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        let names = ["link", "fifo", "file", "folder", "closed"].map(|name| format!("{name}/SKILL.md"));
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "# x")).collect();
        let list = synced(state.path(), &files, None);
        for name in &names {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), "# x", "{name}");
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        // A listed file behind a link is not removed either.
        fs::write(elsewhere.join("SKILL.md"), "kept").unwrap();
        fs::remove_dir_all(root.join("link")).unwrap();
        symlink(&elsewhere, root.join("link")).unwrap();
        synced(state.path(), &[], Some(list));
        assert!(elsewhere.join("SKILL.md").exists());
        fs::remove_dir_all(&root).unwrap();
        symlink(&elsewhere, &root).unwrap();
        assert!(sync(state.path(), &wanted(&files), None).is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    }
}
