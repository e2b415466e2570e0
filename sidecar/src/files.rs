//! Files that the child can touch, and their synchronisation with the control plane.
//!
//! All of this runs in a process of the child's user ([`crate::worker`]). The supervising process itself uses only
//! [`read`] and [`write()`], for its own run folder.

pub mod check;
pub mod copies;
pub mod list;
pub mod place;
pub mod skills;
pub mod templates;

use std::{fs, io, path::Path};

use place::{Folder, OnOther};

/// Mode of files that only the owner reads and writes.
pub const PRIVATE: u32 = 0o600;

/// Mode of files that only the owner reads, writes and executes.
pub const EXECUTABLE: u32 = 0o700;

/// Largest configuration that is read, in bytes. The control plane's answers are at most 8 MiB.
pub const MAXIMUM_CONFIG: u64 = 16 * 1024 * 1024;

/// Writes a file with mode 0600, atomically and durably: the old content stays until the new one is on the disk. A
/// link, FIFO, socket or folder in its place is replaced.
///
/// # Errors
/// Errors of the file system. No temporary file is left behind.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (parent, name) = parts(path)?;
    fs::create_dir_all(parent)?;
    Folder::open(parent)?.write(name, content, PRIVATE)
}

/// Reads a plain file of at most `limit` bytes. Follows no link in the file's place, and never waits for a FIFO or a
/// lease.
///
/// # Errors
/// Errors of the file system; `InvalidInput` if it is not a plain file, `FileTooLarge` if it is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (parent, name) = parts(path)?;
    Folder::open(parent)?.read(name, limit).map(|(content, _)| content)
}

/// Opens the folder of `path`, and returns it with the file's name. Each folder below `state` is opened without
/// following links; any other was named by the operator, and links are followed.
///
/// # Errors
/// Errors of the file system; a link in the place of a folder below `state` is refused.
pub fn reach<'a>(state: &Path, path: &'a Path, make: bool) -> io::Result<(Folder, &'a str)> {
    let (parent, name) = parts(path)?;
    let Ok(inner) = parent.strip_prefix(state) else {
        if make {
            fs::create_dir_all(parent)?;
        }
        return Ok((Folder::open(parent)?, name));
    };
    let mut folder = state_folder(state, make)?;
    for part in inner.components() {
        let part = part.as_os_str().to_str().ok_or(io::ErrorKind::InvalidInput)?;
        folder = if make { folder.make(part, OnOther::RefuseLinks)? } else { folder.enter(part)? };
    }
    Ok((folder, name))
}

/// Opens the folder of `OpenClaw`'s state. It may be a link, since the operator chose its path.
///
/// # Errors
/// Errors of the file system.
pub fn state_folder(state: &Path, make: bool) -> io::Result<Folder> {
    if make {
        fs::create_dir_all(state)?;
    }
    Folder::open(state)
}

fn parts(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.zip(name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
