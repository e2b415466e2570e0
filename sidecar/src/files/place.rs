//! A folder, held open by its file descriptor, and the files in it. A path is never resolved twice, so that replacing a
//! folder by a link half-way leads nowhere else.

use std::{
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, renameat},
    sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fsync, unlinkat},
};

use portcullis_openclaw::FilePath;

use crate::pace::random;

/// Prefix of temporary files; 16 hex digits follow.
pub const TEMPORARY: &str = ".portcullis-";

/// Handling of an entry that is in the place of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOther {
    /// A link is an error, since the operator or the agent may have made it. Anything else is moved aside.
    RefuseLinks,
    /// The folder is the sidecar's own: a link is removed, and never followed.
    Replace,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

/// Flags of an open that never blocks (FIFOs, leases), never follows a link, and closes on exec.
const SAFE: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

impl Folder {
    /// Opens a folder by path; links are followed.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens a folder in this one. A link is an error.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn enter(&self, name: &str) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, SAFE | OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?))
    }

    /// Opens the folder of a file below this one, and returns the file's name in it. With `make`, missing folders are
    /// created.
    ///
    /// # Errors
    /// Errors of the file system, and a refused link.
    pub fn reach<'a>(&self, path: &'a FilePath, make: Option<OnOther>) -> io::Result<(Self, &'a str)> {
        let mut folder = Self(self.0.try_clone()?);
        let mut parts = path.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Ok((folder, part));
            }
            folder = match make {
                Some(on_other) => folder.make(part, on_other)?,
                None => folder.enter(part)?,
            };
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// Opens a folder in this one, and creates it if it is missing. A folder that its owner may not enter gets mode
    /// 0700.
    ///
    /// # Errors
    /// Errors of the file system, and a refused link.
    pub fn make(&self, name: &str, on_other: OnOther) -> io::Result<Self> {
        let entered = self.enter(name).or_else(|error| {
            self.unlock(name, &error, Mode::S_IRWXU)?;
            self.enter(name)
        });
        match entered {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error().is_some_and(is_other) => {
                let Some(found) = self.stat(name)? else { return Err(error) };
                if kind(&found) == SFlag::S_IFLNK && on_other == OnOther::RefuseLinks {
                    return Err(io::Error::other(format!("{name} is a link, and is not followed")));
                }
                self.clear(name, &found)?;
            }
            outcome => return outcome,
        }
        match mkdirat(&self.0, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => self.enter(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Restores the owner's access after a denied open. Returns `error` if it is another one.
    fn unlock(&self, name: &str, error: &io::Error, mode: Mode) -> io::Result<()> {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error));
        }
        // A link that is followed does no harm: its target is the child's own as well, or chmod fails.
        Ok(fchmodat(&self.0, name, mode, FchmodatFlags::NoFollowSymlink)?)
    }

    /// Status of the entry with this name, without following a link; `None` if it does not exist.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn stat(&self, name: &str) -> io::Result<Option<FileStat>> {
        match fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a plain file of at most `limit` bytes. Returns its content and mode.
    ///
    /// # Errors
    /// Errors of [`super::read`].
    pub fn read(&self, name: &str, limit: u64) -> io::Result<(Vec<u8>, u32)> {
        let open = || openat(&self.0, name, SAFE | OFlag::O_RDONLY, Mode::empty()).map_err(io::Error::from);
        let opened = open().or_else(|error| {
            self.unlock(name, &error, Mode::S_IRUSR | Mode::S_IWUSR)?;
            open()
        });
        let file = File::from(opened?);
        let found = fstat(&file)?;
        if kind(&found) != SFlag::S_IFREG {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let size = u64::try_from(found.st_size).unwrap_or(0);
        if size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::new();
        // The file may grow while it is read.
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok((content, found.st_mode & 0o777))
    }

    /// Whether a plain file has exactly this content and mode.
    #[must_use]
    pub fn holds(&self, name: &str, content: &[u8], mode: u32) -> bool {
        self.read(name, content.len() as u64).is_ok_and(|(found, its)| found == content && its == mode)
    }

    /// Writes a file unless it already has this content and mode.
    ///
    /// # Errors
    /// Errors of [`Self::write`].
    pub fn keep(&self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        if self.holds(name, content, mode) { Ok(()) } else { self.write(name, content, mode) }
    }

    /// Writes a file atomically. An entry of another kind with this name is removed; a folder that is not empty is
    /// moved aside.
    ///
    /// # Errors
    /// Errors of the file system. No temporary file is left behind.
    pub fn write(&self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let temporary = random_name(TEMPORARY);
        let written = self.write_as(&temporary, content, mode).and_then(|()| self.put(&temporary, name));
        if written.is_err() {
            // The temporary file may not exist.
            let _ = unlinkat(&self.0, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    fn write_as(&self, temporary: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let flags = SAFE | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mut file = File::from(openat(&self.0, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    fn put(&self, temporary: &str, name: &str) -> io::Result<()> {
        match renameat(&self.0, temporary, &self.0, name) {
            Err(Errno::EISDIR | Errno::ENOTEMPTY | Errno::EEXIST) => {
                if let Some(found) = self.stat(name)? {
                    self.clear(name, &found)?;
                }
                renameat(&self.0, temporary, &self.0, name)?;
            }
            outcome => outcome?,
        }
        Ok(fsync(&self.0)?)
    }

    /// Frees a name. Plain files and folders that are not empty are renamed, since they may be someone's work.
    fn clear(&self, name: &str, found: &FileStat) -> io::Result<()> {
        let outcome = match kind(found) {
            SFlag::S_IFDIR => unlinkat(&self.0, name, UnlinkatFlags::RemoveDir),
            SFlag::S_IFREG => Err(Errno::ENOTEMPTY),
            _ => unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir),
        };
        match outcome {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
                let aside = random_name(&format!("{}.displaced-", name.get(..64).unwrap_or(name)));
                Ok(renameat(&self.0, name, &self.0, aside.as_str())?)
            }
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file. Returns whether it existed.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a folder if it is empty.
    pub fn remove_folder(&self, name: &str) {
        // A failure is expected for a folder that is not empty.
        let _ = unlinkat(&self.0, name, UnlinkatFlags::RemoveDir);
    }

    /// Path of this open folder, for functions of the standard library.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Whether opening a folder failed because the entry is not a folder.
fn is_other(error: i32) -> bool {
    matches!(Errno::from_raw(error), Errno::ENOTDIR | Errno::ELOOP)
}

/// Whether an error means that the file, or a folder on its path, does not exist. A link in a folder's place counts as
/// absent.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error().is_some_and(is_other)
}

fn random_name(beginning: &str) -> String {
    let mut suffix = [0; 8];
    random(&mut suffix);
    format!("{beginning}{:016x}", u64::from_be_bytes(suffix))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn any_file_in_a_files_place_is_replaced_and_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let folder = Folder::open(root.path()).unwrap();
        fs::write(path("elsewhere"), "kept").unwrap();
        symlink(path("elsewhere"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path("socket")).unwrap());
        fs::create_dir(path("empty")).unwrap();
        fs::create_dir_all(path("full/inner")).unwrap();
        fs::write(path("file"), "old").unwrap();
        for name in ["link", "fifo", "socket", "empty", "full", "file", "new"] {
            folder.write(name, b"new", 0o640).unwrap();
            assert!(fs::symlink_metadata(path(name)).unwrap().is_file(), "{name}");
            assert_eq!(folder.read(name, 3).unwrap(), (b"new".to_vec(), 0o640), "{name}");
        }
        assert_eq!(fs::read_to_string(path("elsewhere")).unwrap(), "kept");
        let mut others: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        others.retain(|name| name.to_str().unwrap().contains(['.', '-']));
        assert_eq!(others.len(), 1, "a folder with content is kept aside, and no temporary file is left: {others:?}");
        assert!(root.path().join(&others[0]).join("inner").is_dir());
    }

    #[test]
    fn only_a_plain_file_within_the_limit_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let folder = Folder::open(root.path()).unwrap();
        fs::write(path("file"), "four").unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        symlink("/proc/self/maps", path("proc")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        assert!(folder.read("file", 4).is_ok());
        assert_eq!(folder.read("file", 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for other in ["link", "zero", "proc", "fifo", "socket", "folder", "missing"] {
            assert!(folder.read(other, 4).is_err(), "{other}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused_or_replaced_and_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let folder = Folder::open(root.path()).unwrap();
        fs::create_dir(path("elsewhere")).unwrap();
        symlink(path("elsewhere"), path("link")).unwrap();
        assert!(folder.enter("link").is_err());
        let error = folder.make("link", OnOther::RefuseLinks).unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        folder.make("link", OnOther::Replace).unwrap().write("file", b"x", 0o600).unwrap();
        assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 0);
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        fs::write(path("file"), "kept").unwrap();
        for name in ["fifo", "file", "new"] {
            folder.make(name, OnOther::RefuseLinks).unwrap();
            assert!(path(name).is_dir(), "{name}");
        }
    }
}
