//! Where the child's program is.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Where a program is looked for when there is no `PATH`.
///
/// Source: execvp(3), "If this variable isn't defined".
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Where a start of `program` in this environment looks for it, in this order. A relative path is taken from `folder`, in
/// which the child starts.
#[must_use]
pub fn candidates(program: &OsStr, environment: &BTreeMap<OsString, OsString>, folder: &Path) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![folder.join(program)];
    }
    let folders = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
    std::env::split_paths(folders).map(|of_path| folder.join(of_path).join(program)).collect()
}

/// A program that was not found, in words that help.
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
