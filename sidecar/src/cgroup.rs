//! A cgroup for a child, which none of its descendants can leave: the kernel kills all its processes at once.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::pace::random;

/// Prefix of the names of our cgroups.
const PREFIX: &str = "portcullis-openclaw-";

/// A cgroup of version 2 below the sidecar's own.
///
/// Source: cgroups(7), and the kernel's Documentation/admin-guide/cgroup-v2.rst (`cgroup.kill`, Linux 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Creates a cgroup. Returns `None` if the sidecar's own cgroup is not found or is not writable, as without
    /// delegation and in most containers.
    #[must_use]
    pub fn create() -> Option<Self> {
        let mut suffix = [0; 8];
        random(&mut suffix);
        let folder = own_folder()?.join(format!("{PREFIX}{:016x}", u64::from_be_bytes(suffix)));
        fs::create_dir(&folder).ok()?;
        Some(Self { folder })
    }

    /// Returns the cgroup that an earlier sidecar recorded. `None` if the folder's name or place is not that of such a
    /// cgroup: no other cgroup is ever killed.
    #[must_use]
    pub fn recorded(folder: &Path) -> Option<Self> {
        let is_ours = folder.file_name()?.to_str()?.starts_with(PREFIX);
        let mount = mount(&fs::read_to_string("/proc/self/mountinfo").ok()?)?;
        let is_plain = folder.components().all(|part| !matches!(part, Component::ParentDir));
        (is_ours && is_plain && folder.starts_with(&mount.point)).then(|| Self { folder: folder.to_owned() })
    }

    /// Path of the cgroup's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a process is in this cgroup or in a descendant of it.
    #[must_use]
    pub fn holds(&self, pid: u32) -> bool {
        folder_of(pid).is_some_and(|folder| folder.starts_with(&self.folder))
    }

    /// Ids of the processes in this cgroup and its descendants.
    #[must_use]
    pub fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        self.visit(&mut |folder| {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            // 0 stands for a process of another PID namespace, which `kill` reaches.
            members.extend(text.lines().filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid != 0));
        });
        members
    }

    /// Kills all processes of the cgroup. On a kernel without `cgroup.kill` they remain, and the caller ends them one
    /// by one.
    pub fn kill(&self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }

    /// Removes the cgroup and its descendants; does nothing while a process lives in it.
    pub fn remove(&self) {
        self.visit(&mut |folder| {
            let _ = fs::remove_dir(folder);
        });
    }

    /// Visits this cgroup and its descendants, children before their parents.
    fn visit(&self, each: &mut impl FnMut(&Path)) {
        let mut folders = vec![self.folder.clone()];
        let mut next = 0;
        while let Some(folder) = folders.get(next).cloned() {
            next += 1;
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(below.map(|entry| entry.path()));
        }
        for folder in folders.iter().rev() {
            each(folder);
        }
    }
}

/// Mount of the cgroup hierarchy of version 2.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Path of the mounted cgroup within the hierarchy.
    root: PathBuf,
    point: PathBuf,
}

/// Parses `mountinfo`.
///
/// Source: proc(5), `/proc/pid/mountinfo`.
fn mount(mountinfo: &str) -> Option<Mount> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let is_wanted = after.split(' ').next()? == "cgroup2" && !root.contains('\\') && !point.contains('\\');
        is_wanted.then(|| Mount { root: root.into(), point: point.into() })
    })
}

/// Parses a process's path in the hierarchy of version 2.
///
/// Source: cgroups(7), `/proc/pid/cgroup`.
fn path(cgroup: &str) -> Option<&Path> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

fn folder(mount: &Mount, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(&mount.root).ok()?;
    below.components().all(|part| matches!(part, Component::Normal(_))).then(|| mount.point.join(below))
}

fn folder_of(process: impl std::fmt::Display) -> Option<PathBuf> {
    let mount = mount(&fs::read_to_string("/proc/self/mountinfo").ok()?)?;
    folder(&mount, path(&fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?)?)
}

fn own_folder() -> Option<PathBuf> {
    folder_of("self")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_cgroup_is_found_below_its_mount() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw\n";
        let mount = mount(hybrid).unwrap();
        assert_eq!(mount, Mount { root: "/".into(), point: "/sys/fs/cgroup/unified".into() });
        let found = path("9:name=systemd:/\n0::/system.slice/x.service\n").unwrap();
        assert_eq!(folder(&mount, found).unwrap(), Path::new("/sys/fs/cgroup/unified/system.slice/x.service"));
        assert_eq!(folder(&mount, Path::new("/")).unwrap(), Path::new("/sys/fs/cgroup/unified"));
        // A path outside of the container's cgroup namespace.
        assert_eq!(folder(&mount, Path::new("/../other")), None);
        let part = Mount { root: "/docker/x".into(), point: "/sys/fs/cgroup".into() };
        assert_eq!(folder(&part, Path::new("/docker/x/y")).unwrap(), Path::new("/sys/fs/cgroup/y"));
        assert_eq!(folder(&part, Path::new("/docker/other")), None);
        assert_eq!(path("1:cpu:/\n"), None);
    }

    #[test]
    fn only_a_cgroup_of_our_own_name_is_taken_from_a_record() {
        let Some(mount) = mount(&fs::read_to_string("/proc/self/mountinfo").unwrap()) else {
            eprintln!("skipped: no cgroup2 is mounted here");
            return;
        };
        assert!(Cgroup::recorded(&mount.point.join("x/portcullis-openclaw-1")).is_some());
        for other in
            ["", "system.slice", "portcullis-openclaw-1/..", "../portcullis-openclaw-1", "portcullis-openclaw-1/x"]
        {
            assert_eq!(Cgroup::recorded(&mount.point.join(other)), None, "{other}");
        }
        assert_eq!(Cgroup::recorded(Path::new("/tmp/portcullis-openclaw-1")), None);
    }
}
