//! Commands of `OpenClaw` besides the gateway: its version and its plugins. Each runs as the child's user in the
//! child's clean environment, with a time-out and bounded output.

#![expect(clippy::indexing_slicing, reason = "reading a key of `serde_json::Value` that is not there gives null")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::{
    launcher::{Launcher, Start},
    tree::KILL_PATIENCE,
    user::User,
};

/// Time-out of `--version`, which takes 0.2 s on an idle machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// Time-out of a list of plugins, which takes 2 s on an idle machine.
const LIST_TIMEOUT: Duration = Duration::from_mins(1);

/// Time-out of a plugin's installation, which takes 25 s with a good network.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(10);

/// Longest output that is read, in bytes: a list of plugins takes some 100 kB.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// Parameters of running `OpenClaw`.
#[derive(Clone, Debug)]
pub struct OpenClaw {
    /// Starts the processes.
    pub launcher: Launcher,
    /// The child's program and arguments.
    pub command: Vec<OsString>,
    /// User that the processes run as.
    pub user: User,
    /// Working directory.
    pub folder: PathBuf,
    /// The child's environment without its tokens.
    pub environment: BTreeMap<OsString, OsString>,
}

/// Version of the child's `OpenClaw`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Before the first check.
    NotYet,
    /// The command prints no version: it is not `OpenClaw`, or cannot be run.
    None,
    /// A version, as `2026.9.6`.
    Known(String),
}

impl Version {
    /// Version as text, if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(version) => Some(version),
            Self::NotYet | Self::None => None,
        }
    }
}

/// Outcome of a command.
#[derive(Debug)]
pub struct Ended {
    /// Whether the exit code was 0.
    pub is_success: bool,
    /// Standard output.
    pub output: Vec<u8>,
}

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command did not end in time.
    #[error("it took too long")]
    TooLong,
    /// The command's output was too long.
    #[error("it printed too much")]
    TooMuch,
    /// The command failed.
    #[error("it failed")]
    Failed,
    /// The output could not be parsed.
    #[error("its output is not understood")]
    NotUnderstood,
    /// The configured command may not be `OpenClaw`'s, so other arguments are not tried.
    #[error("the child's command is not known to be OpenClaw's: its arguments have no gateway")]
    NotOpenClaw,
    /// The command could not be run.
    #[error("it could not be run: {0}")]
    Io(#[from] io::Error),
}

impl OpenClaw {
    /// Replaces the command's arguments from `gateway` on. Returns `None` if the command has no argument `gateway` and
    /// is not named `openclaw`: a script that ignores its arguments would start another gateway.
    fn with_arguments(&self, arguments: &[&OsStr]) -> Option<Vec<OsString>> {
        let (program, rest) = self.command.split_first()?;
        let name = Path::new(program).file_name()?.as_bytes();
        let kept = match rest.iter().position(|argument| argument == "gateway") {
            Some(end) => rest.iter().take(end).collect(),
            None if name == b"openclaw" || name == b"openclaw.mjs" => Vec::new(),
            None => return None,
        };
        let words = std::iter::once(program).chain(kept).map(OsString::as_os_str).chain(arguments.iter().copied());
        Some(words.map(OsStr::to_owned).collect())
    }

    /// Version of the program that a start would run; `None` after a time-out.
    pub async fn version(&self) -> Option<Version> {
        match self.run(&["--version"], BTreeMap::new(), VERSION_TIMEOUT, Stdio::null()).await {
            Ok(ended) if ended.is_success => Some(parse_version(&ended.output).map_or(Version::None, Version::Known)),
            Err(RunError::TooLong) => None,
            Ok(_) | Err(_) => Some(Version::None),
        }
    }

    /// Versions of the installed plugins by id, bundled ones included.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn plugins(&self) -> Result<BTreeMap<String, Option<String>>, RunError> {
        let ended = self.run(&["plugins", "list", "--json"], BTreeMap::new(), LIST_TIMEOUT, Stdio::null()).await?;
        if !ended.is_success {
            return Err(RunError::Failed);
        }
        parse_plugins(&ended.output).ok_or(RunError::NotUnderstood)
    }

    /// Installs a plugin. `OpenClaw` would record it in its configuration, which is the control plane's: it gets
    /// `config` to write to instead. Its output goes to standard error.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn install(&self, plugin: &str, version: &str, replace: bool, config: &Path) -> Result<(), RunError> {
        let package = package(plugin, version);
        let arguments = ["plugins", "install", &package, "--force"];
        let arguments = if replace { &arguments[..] } else { &arguments[..3] };
        let environment =
            [("OPENCLAW_CONFIG_READONLY".into(), "0".into()), ("OPENCLAW_CONFIG_PATH".into(), config.into())];
        let ended = self.run(arguments, environment.into(), INSTALL_TIMEOUT, Stdio::inherit()).await?;
        if ended.is_success { Ok(()) } else { Err(RunError::Failed) }
    }

    /// Runs a command to its end. All its descendants have ended when this returns.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn run(
        &self,
        arguments: &[&str],
        environment: BTreeMap<OsString, OsString>,
        limit: Duration,
        errors: Stdio,
    ) -> Result<Ended, RunError> {
        let words = self.with_arguments(&arguments.iter().map(OsStr::new).collect::<Vec<_>>());
        let words = words.ok_or(RunError::NotOpenClaw)?;
        let mut all = self.environment.clone();
        all.extend(environment);
        let start = Start { command: &words, user: &self.user, folder: &self.folder, environment: &all };
        let work = async {
            let (mut child, mut tree) = self.launcher.start(&start, Stdio::piped(), errors).await?;
            let output = child.stdout.take();
            let reading = async {
                let mut bytes = Vec::new();
                if let Some(output) = output {
                    output.take(OUTPUT_LIMIT + 1).read_to_end(&mut bytes).await?;
                }
                if bytes.len() as u64 > OUTPUT_LIMIT { Err(RunError::TooMuch) } else { Ok(bytes) }
            };
            let ending = async {
                let status = child.wait().await?;
                // A remaining descendant could keep the output open.
                tree.end().await;
                Ok(status.success())
            };
            let outcome = tokio::time::timeout(limit, async { tokio::try_join!(reading, ending) }).await;
            if !matches!(outcome, Ok(Ok(_))) {
                tree.end().await;
                let _ = tokio::time::timeout(KILL_PATIENCE, child.wait()).await;
            }
            let (output, is_success) = outcome.unwrap_or(Err(RunError::TooLong))?;
            Ok(Ended { is_success, output })
        };
        work.await
    }
}

/// Package name of one of `OpenClaw`'s own plugins, as `plugins install` expects it.
#[must_use]
pub fn package(plugin: &str, version: &str) -> String {
    format!("npm:@openclaw/{plugin}@{version}")
}

/// Parses the output of `--version`: `OpenClaw 2026.9.6 (eb377ac)`, or `2026.3.7` from older versions.
fn parse_version(output: &[u8]) -> Option<String> {
    let line = str::from_utf8(output).ok()?.trim();
    let mut words = line.strip_prefix("OpenClaw ").unwrap_or(line).split_ascii_whitespace();
    let version = words.next()?;
    let is_commit = |word: &str| word.starts_with('(') && word.ends_with(')');
    if !words.next().is_none_or(is_commit) || words.next().is_some() {
        return None;
    }
    let (numbers, suffix) = version.split_once('-').map_or((version, None), |(numbers, rest)| (numbers, Some(rest)));
    let numbers: Vec<&str> = numbers.split('.').collect();
    let [year, month, patch] = numbers[..] else { return None };
    let is_number = |text: &str| (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_suffix = |text: &str| {
        (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    // The year distinguishes OpenClaw's versions from those of other programs.
    let is_version = year.len() == 4 && year.starts_with("20") && [year, month, patch].into_iter().all(is_number);
    (is_version && suffix.is_none_or(is_suffix)).then(|| version.to_owned())
}

fn parse_plugins(output: &[u8]) -> Option<BTreeMap<String, Option<String>>> {
    let list: Value = serde_json::from_slice(output).ok()?;
    let plugins = list["plugins"].as_array()?.iter();
    // A plugin that a configuration names but that is not installed is not listed.
    let named = plugins
        .filter_map(|plugin| Some((plugin["id"].as_str()?.to_owned(), plugin["version"].as_str().map(str::to_owned))));
    Some(named.collect())
}

/// Ids of the plugins that a configuration names and enables.
#[must_use]
pub fn enabled_plugins(config: &Value) -> BTreeSet<String> {
    let entries = config["plugins"]["entries"].as_object();
    let enabled = entries.into_iter().flatten().filter(|(_, entry)| entry["enabled"] == true);
    enabled.map(|(id, _)| id.clone()).filter(|id| is_plugin_id(id)).collect()
}

/// Platforms that a configuration enables: its enabled channels, and its enabled plugins.
#[must_use]
pub fn enabled_platforms(config: &Value) -> BTreeSet<String> {
    let channels = config["channels"].as_object();
    let enabled = channels.into_iter().flatten().filter(|(_, channel)| channel["enabled"] != false);
    // `channels.defaults` is not a platform, but applies to all of them.
    let platforms = enabled.map(|(id, _)| id.clone()).filter(|id| is_plugin_id(id) && id != "defaults");
    platforms.chain(enabled_plugins(config)).collect()
}

/// Whether a text is a valid plugin id. It becomes part of a command line.
#[must_use]
pub fn is_plugin_id(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_inner)
}

/// Whether a text is a valid version of a package: 1 to 64 ASCII letters, digits, `.` and `-`, a digit first.
#[must_use]
pub fn is_plugin_version(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    (1..=64).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn openclaw(command: &[&str]) -> OpenClaw {
        OpenClaw {
            launcher: Launcher::own(),
            command: command.iter().map(OsString::from).collect(),
            user: User::own(),
            folder: "/".into(),
            environment: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        }
    }

    #[test]
    fn other_commands_are_run_by_the_program_of_the_child() {
        for (command, expected) in [
            (&["openclaw", "gateway", "run"][..], Some(&["openclaw", "--version"][..])),
            (&["node", "openclaw.mjs", "gateway", "run"], Some(&["node", "openclaw.mjs", "--version"])),
            (&["/x/wrapper", "gateway"], Some(&["/x/wrapper", "--version"])),
            (&["/x/openclaw"], Some(&["/x/openclaw", "--version"])),
            (&["/x/openclaw.mjs", "--dev"], Some(&["/x/openclaw.mjs", "--version"])),
            // Commands that may start an OpenClaw whatever their arguments are.
            (&["sh", "-c", "exec openclaw gateway run"], None),
            (&["/x/start-openclaw"], None),
            (&["gateway", "run"], None),
            (&[], None),
        ] {
            let words = openclaw(command).with_arguments(&[OsStr::new("--version")]);
            let expected = expected.map(|words| words.iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!(words, expected, "{command:?}");
        }
    }

    #[test]
    fn a_version_is_what_openclaw_says_and_nothing_else() {
        for (output, version) in [
            ("OpenClaw 2026.9.6 (eb377ac)\n", Some("2026.9.6")),
            ("OpenClaw 2026.9.6\n", Some("2026.9.6")),
            ("2026.3.7\n", Some("2026.3.7")),
            ("OpenClaw 2026.12.10-beta.4 (eb377ac)", Some("2026.12.10-beta.4")),
            ("2026.5.3-1", Some("2026.5.3-1")),
            ("v24.21.0\n", None),
            ("local 0.1.0\n", None),
            ("1.2.3", None),
            ("OpenClaw", None),
            ("OpenClaw 2026.9", None),
            ("OpenClaw 2026.9.6.1", None),
            ("OpenClaw 2026.9.6 is out", None),
            ("OpenClaw 2026.9.6-\u{7}", None),
            ("OpenClaw 2026.9.-6", None),
            ("GNU bash, version 5.2.15(1)-release\nCopyright", None),
            ("", None),
        ] {
            assert_eq!(parse_version(output.as_bytes()).as_deref(), version, "{output:?}");
        }
        assert_eq!(parse_version(b"\xff2026.9.6"), None);
    }

    #[test]
    fn plugins_are_those_that_are_listed() {
        let list = json!({ "plugins": [
            { "id": "slack", "version": "2026.9.6", "rootDir": "/x" },
            { "id": "old" },
            { "version": "2026.9.6" },
        ] });
        let plugins = parse_plugins(list.to_string().as_bytes()).unwrap();
        let expected = [("old".to_owned(), None), ("slack".to_owned(), Some("2026.9.6".to_owned()))];
        assert_eq!(plugins, expected.into());
        for other in ["", "{}", "[]", "plugins: none"] {
            assert_eq!(parse_plugins(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_configuration_tells_its_plugins_and_platforms() {
        let config = json!({
            "plugins": { "entries": {
                "slack": { "enabled": true }, "off": { "enabled": false }, "unsaid": {}, "--force": { "enabled": true },
            } },
            "channels": { "discord": { "enabled": true }, "feishu": { "enabled": false }, "defaults": {}, "../x": {} },
        });
        assert_eq!(enabled_plugins(&config), ["slack".to_owned()].into());
        assert_eq!(enabled_platforms(&config), ["discord".to_owned(), "slack".to_owned()].into());
        assert!(enabled_platforms(&json!([])).is_empty());
    }
}
