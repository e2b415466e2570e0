//! Lookup of the child's program.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Search path without a `PATH` variable.
///
/// Source: execvp(3), "If this variable isn't defined".
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Candidate paths of `program`, in the order in which a start would try them. Relative paths start at `folder`, the
/// child's working directory.
#[must_use]
pub fn candidates(program: &OsStr, environment: &BTreeMap<OsString, OsString>, folder: &Path) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![folder.join(program)];
    }
    let folders = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    std::env::split_paths(folders).map(|of_path| folder.join(of_path).join(program)).collect()
}

/// Message for a program that was not found, with advice.
#[must_use]
pub fn fault(program: &OsStr) -> String {
    let name = Path::new(program).display();
    if program.as_bytes().contains(&b'/') {
        format!("{name} is not a program that OpenClaw's user can run")
    } else {
        format!(
            "{name} is not found on the PATH of OpenClaw's user: install OpenClaw (npm install --global openclaw), add its \
             folder to PATH, or name the program: portcullis-sidecar -- /path/to/openclaw gateway run"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_execvp_looks() {
        let environment = [("PATH".into(), "/first:second:/third".into())].into();
        let candidates = |program: &str| candidates(OsStr::new(program), &environment, Path::new("/state"));
        let expected = ["/first/openclaw", "/state/second/openclaw", "/third/openclaw"].map(PathBuf::from);
        assert_eq!(candidates("openclaw"), expected);
        assert_eq!(candidates("/x/openclaw"), [PathBuf::from("/x/openclaw")]);
        assert_eq!(candidates("./openclaw"), [PathBuf::from("/state/./openclaw")]);
        let none = super::candidates(OsStr::new("openclaw"), &BTreeMap::new(), Path::new("/state"));
        assert_eq!(none, [PathBuf::from("/bin/openclaw"), PathBuf::from("/usr/bin/openclaw")]);
    }
}
