//! Removal of the copies that `OpenClaw` makes of its configuration.

use std::{fs, io, path::Path};

use super::{
    place::{TEMPORARY, is_absent},
    reach,
};
use crate::pace::timestamp;

/// Prefix of the folders in which `OpenClaw` prepares a backup of its configuration.
const UNFINISHED_BACKUP: &str = "openclaw-config-backup";

/// Suffixes of copies with fixed names.
const FIXED: [&str; 8] = ["bak", "bak.1", "bak.2", "bak.3", "bak.4", "bak.5", "last-good", "pre-update"];

/// Maximum entries of a folder that are read.
const MAXIMUM_ENTRIES: usize = 100_000;

/// Removes the copies of a configuration that `OpenClaw` makes beside it: they hold credentials, and outlive their
/// replacement. Returns how many were removed.
///
/// Source: OpenClaw 2026.9.6: a ring of five backups (`.bak`, `.bak.1` to `.bak.4`), the last that started well
/// (`.last-good`), one from before an update (`.pre-update`), and broken or rejected ones (`.clobbered.<time>`,
/// `.rejected.<time>`). A backup in the making is a folder, `openclaw-config-backup…`.
///
/// # Errors
/// Errors of the file system; the other copies are removed all the same. `FileTooLarge` if the folder has more than
/// 100,000 entries.
pub fn remove(state: &Path, config: &Path) -> io::Result<usize> {
    remove_among(state, config, MAXIMUM_ENTRIES)
}

fn remove_among(state: &Path, config: &Path, maximum: usize) -> io::Result<usize> {
    let (folder, name) = match reach(state, config, false) {
        Err(error) if is_absent(&error) => return Ok(0),
        reached => reached?,
    };
    let (mut removed, mut failed) = (0, None);
    // Fixed names first, because a folder with too many entries is not read to its end.
    for ending in FIXED {
        match folder.remove(&format!("{name}.{ending}")) {
            Ok(was_there) => removed += usize::from(was_there),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let is_copy = |entry: &str| {
        entry
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|rest| ["bak.", "clobbered.", "rejected."].iter().any(|beginning| rest.starts_with(beginning)))
    };
    for (index, entry) in fs::read_dir(folder.path())?.enumerate() {
        if index >= maximum {
            return Err(failed.unwrap_or(io::ErrorKind::FileTooLarge.into()));
        }
        let entry = entry?;
        let entry_name = entry.file_name();
        let Some(entry_name) = entry_name.to_str() else { continue };
        let outcome = if is_copy(entry_name) {
            folder.remove(entry_name)
        } else if entry_name.starts_with(UNFINISHED_BACKUP) && is_old(&entry) {
            fs::remove_dir_all(entry.path()).map(|()| true)
        } else if is_temporary(entry_name) && is_old(&entry) {
            // Left by a process that was killed before it could rename the file. It is not one of OpenClaw's copies.
            folder.remove(entry_name).map(|_| false)
        } else {
            continue;
        };
        match outcome {
            Ok(was_there) => removed += usize::from(was_there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(removed), Err)
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether an entry is unchanged for a minute: by then a backup is finished, or its writer has died.
fn is_old(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|found| found.modified()).ok();
    let changed = changed.and_then(|changed| jiff::Timestamp::try_from(changed).ok());
    changed.is_some_and(|changed| timestamp().duration_since(changed) > jiff::SignedDuration::from_mins(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_configuration_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let copies = [
            "openclaw.json.bak",
            "openclaw.json.bak.1",
            "openclaw.json.bak.4",
            "openclaw.json.bak.17",
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
        assert_eq!(remove(root, &config).unwrap(), copies.len());
        assert_eq!(remove(root, &config).unwrap(), 0);
        for name in copies {
            assert!(!root.join(name).exists(), "{name}");
        }
        for name in others.iter().chain(&["openclaw-config-backup-of-now"]) {
            assert!(root.join(name).exists(), "{name}");
        }
        assert_eq!(remove(root, &root.join("no/such/folder/openclaw.json")).unwrap(), 0);
    }

    #[test]
    fn a_folder_with_too_many_entries_is_not_read_to_its_end_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..10 {
            fs::write(folder.path().join(index.to_string()), "x").unwrap();
        }
        let config = folder.path().join("openclaw.json");
        fs::write(folder.path().join("openclaw.json.bak"), "x").unwrap();
        assert_eq!(remove_among(folder.path(), &config, 10).unwrap(), 1);
        fs::write(folder.path().join("openclaw.json.bak"), "x").unwrap();
        assert_eq!(remove_among(folder.path(), &config, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(!folder.path().join("openclaw.json.bak").exists(), "well-known copies are removed all the same");
    }
}
