//! Checks of who can change what a path leads to.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt::Write,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

/// Maximum number of symbolic links in one resolution.
///
/// Source: `path_resolution(7)`.
const MAXIMUM_LINKS: u32 = 40;

/// One lookup during a path's resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Folder of the lookup.
    pub folder: PathBuf,
    /// Path of the entry that is looked up.
    pub entry: PathBuf,
    /// Whether the folder's sticky bit is set: then only an entry's owner can replace it.
    pub is_sticky: bool,
}

/// Lists all lookups of an absolute path's resolution, links included.
#[must_use]
pub fn lookups(path: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest: VecDeque<OsString> = VecDeque::new();
    let mut links = 0;
    let mut at = PathBuf::from("/");
    push_front(&mut rest, path);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let entry = at.join(&name);
        let is_sticky = fs::metadata(&at).is_ok_and(|found| found.mode() & 0o1000 != 0);
        steps.push(Step { folder: at.clone(), entry: entry.clone(), is_sticky });
        match fs::read_link(&entry) {
            Ok(target) if links < MAXIMUM_LINKS => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push_front(&mut rest, &target);
            }
            Ok(_) | Err(_) => at = entry,
        }
    }
    steps
}

fn push_front(rest: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => rest.push_front(name.to_owned()),
            Component::ParentDir => rest.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// Creates a folder that only `owner` can access, and checks that only `owner` and root could replace it or a folder
/// above it. Returns its path without links.
///
/// # Errors
/// A message that says what is wrong with the folder.
pub fn private_folder(path: &Path, owner: u32) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("{} cannot be made: {error}", path.display());
    // Folders above it are not secret, and get mode 0755.
    make(path, 0o755).map_err(told)?;
    let path = fs::canonicalize(path).map_err(told)?;
    let mut folders: Vec<&Path> = path.ancestors().collect();
    folders.reverse();
    for pair in folders.windows(2) {
        let [folder, next] = pair else { continue };
        let found = fs::symlink_metadata(folder).map_err(told)?;
        if found.uid() != 0 && found.uid() != owner {
            return Err(format!("{} belongs to another user (uid {})", folder.display(), found.uid()));
        }
        let next = fs::symlink_metadata(next).map_err(told)?;
        let is_kept = found.mode() & 0o1000 != 0 && (next.uid() == owner || next.uid() == 0);
        if found.mode() & 0o022 != 0 && !is_kept {
            return Err(format!("{} can be written to by others: chmod go-w", folder.display()));
        }
    }
    let found = fs::symlink_metadata(&path).map_err(told)?;
    if !found.is_dir() {
        return Err(format!("{} is not a folder", path.display()));
    }
    if found.uid() != owner {
        return Err(format!("{} belongs to another user (uid {})", path.display(), found.uid()));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(told)?;
    }
    Ok(path)
}

/// Creates a folder with mode 0700, and missing folders above it with the mode `above`.
fn make(path: &Path, above: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| fs::symlink_metadata(folder).is_err()).collect();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Set explicitly, since the umask restricts the mode of creation.
            made => {
                made?;
                if folder != path {
                    fs::set_permissions(folder, fs::Permissions::from_mode(above))?;
                }
            }
        }
    }
    Ok(())
}

/// Encodes a text as the name of a folder: injective, and never a path elsewhere.
#[must_use]
pub fn name_of(text: &str) -> String {
    let mut name = String::new();
    for (index, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.' && index > 0 {
            name.push(byte.into());
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    // File names are at most 255 bytes. No encoded text has a tilde in it.
    if name.len() > 200 {
        name = format!("~{}", portcullis_crypto::Digest::of(text.as_bytes()).to_hex());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_folders_are_all_different_and_lead_nowhere() {
        let long = "ü".repeat(128);
        let longer = format!("{}x", "ü".repeat(127));
        let texts = ["pool-1", "pool.1", ".", "..", "../x", "a/b", "a%2fb", "%", "~", "Pool-1", &long, &longer];
        let names: BTreeSet<String> = texts.iter().map(|text| name_of(text)).collect();
        assert_eq!(names.len(), texts.len());
        for name in &names {
            let plain: Vec<Component> = Path::new(name).components().collect();
            assert!(
                matches!(plain[..], [Component::Normal(_)]) && name.len() <= 200 && !name.starts_with('.'),
                "{name}"
            );
        }
        assert_eq!(name_of("pool-1"), "pool-1");
    }

    #[test]
    fn every_folder_on_the_way_is_found_over_links_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::create_dir(root.join("links")).unwrap();
        std::os::unix::fs::symlink("../real", root.join("links/to")).unwrap();
        let found = lookups(&root.join("links/to/deep/token"));
        let folders: Vec<&Path> = found.iter().filter_map(|step| step.folder.strip_prefix(&root).ok()).collect();
        assert_eq!(folders, ["", "links", "", "real", "real/deep"].map(Path::new));
        // A link to itself, whose resolution must end.
        std::os::unix::fs::symlink("round", root.join("round")).unwrap();
        assert!(lookups(&root.join("round/x")).len() < 200);
    }

    #[test]
    fn a_folder_is_private_and_nobody_can_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        let path = |name: &str| folder.path().join(name);
        let open_up = |name: &str, mode| fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        let private = private_folder(&path("a/b"), owner).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        open_up("a/b", 0o755);
        private_folder(&path("a/b"), owner).unwrap();
        assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        for open in [0o777, 0o775, 0o757] {
            open_up("a", open);
            assert!(private_folder(&path("a/b"), owner).unwrap_err().contains("can be written to by others"));
        }
        // Sticky: only the folder's own owner can replace it.
        open_up("a", 0o1777);
        private_folder(&path("a/b"), owner).unwrap();
        fs::write(path("file"), "").unwrap();
        assert!(private_folder(&path("file"), owner).is_err());
        assert!(private_folder(&path("a/b"), owner + 1).unwrap_err().contains("belongs to another user"));
    }
}
