//! Where the child's program is.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use crate::user::User;

/// Where a program is looked for when there is no `PATH`.
///
/// Source: execvp(3), "If this variable isn't defined".
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that a start of `program` in this environment runs; `None` where `user` can run none. A relative path is taken
/// from the folder that the child starts in, and so is not looked up: it is returned as it is.
#[must_use]
pub fn find(program: &OsStr, environment: &BTreeMap<OsString, OsString>, user: &User) -> Option<PathBuf> {
    let path = Path::new(program);
    if program.as_bytes().contains(&b'/') {
        return (path.is_relative() || is_executable(path, user)).then(|| path.to_owned());
    }
    let folders = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    std::env::split_paths(folders).map(|folder| folder.join(path)).find(|path| is_executable(path, user))
}

/// What is wrong with the program of a command, in words that help; `None` where it can be run.
#[must_use]
pub fn fault(command: &[OsString], environment: &BTreeMap<OsString, OsString>, user: &User) -> Option<String> {
    let program = command.first()?;
    if find(program, environment, user).is_some() {
        return None;
    }
    let name = Path::new(program).display();
    Some(if program.as_bytes().contains(&b'/') {
        format!("{name} is not a program that OpenClaw's user can run")
    } else {
        format!(
            "{name} is not found on the PATH of OpenClaw's user: install OpenClaw (npm install --global openclaw), add its \
             folder to PATH, or name the program: portcullis-sidecar -- /path/to/openclaw gateway run"
        )
    })
}

fn is_executable(path: &Path, user: &User) -> bool {
    let found = user.act(|| std::fs::metadata(path));
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_execvp_would_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("first/openclaw")).unwrap();
        std::fs::create_dir_all(path("second")).unwrap();
        std::fs::write(path("second/openclaw"), "").unwrap();
        let search = std::env::join_paths([path("first"), path("second")]).unwrap();
        let environment = [("PATH".into(), search)].into();
        let find = |program: &OsStr| find(program, &environment, &User::own());
        assert_eq!(find(OsStr::new("openclaw")), None, "a folder, and a file that nobody may run");
        std::fs::set_permissions(path("second/openclaw"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(OsStr::new("openclaw")), Some(path("second/openclaw")));
        assert_eq!(find(path("second/openclaw").as_os_str()), Some(path("second/openclaw")));
        assert_eq!(find(path("first/openclaw").as_os_str()), None);
        assert_eq!(find(OsStr::new("./openclaw")), Some("./openclaw".into()));
    }
}
