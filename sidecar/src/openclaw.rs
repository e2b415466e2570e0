//! `OpenClaw`'s other commands, each run as the child's user in the child's clean environment, with a time limit and bounded
//! output: its version, and its plugins.

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

/// How long `--version` may take: 0.2 s on an idle machine.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a list of plugins may take: 2 s on an idle machine.
const LIST_TIMEOUT: Duration = Duration::from_mins(1);

/// How long an installation of a plugin may take: 25 s where the network is well.
const INSTALL_TIMEOUT: Duration = Duration::from_mins(10);

/// The longest output that is read, in bytes: a list of plugins takes some 100 kB.
const OUTPUT_LIMIT: u64 = 4 * 1024 * 1024;

/// What `OpenClaw` is run with.
#[derive(Clone, Debug)]
pub struct OpenClaw {
    /// What starts it.
    pub launcher: Launcher,
    /// The child's program and its arguments.
    pub command: Vec<OsString>,
    /// Whose process it is.
    pub user: User,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// Its environment, but for its tokens.
    pub environment: BTreeMap<OsString, OsString>,
}

/// The version that the child's command says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Nobody has asked yet.
    NotYet,
    /// The command says none: it is not `OpenClaw`, or cannot be run.
    None,
    /// This one, as `2026.9.6`.
    Known(String),
}

impl Version {
    /// The version as text.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(version) => Some(version),
            Self::NotYet | Self::None => None,
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether its exit code was 0.
    pub is_success: bool,
    /// What it wrote on its standard output.
    pub output: Vec<u8>,
}

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not end in time.
    #[error("it took too long")]
    TooLong,
    /// It printed too much.
    #[error("it printed too much")]
    TooMuch,
    /// It ended with a failure.
    #[error("it failed")]
    Failed,
    /// Its output is not understood.
    #[error("its output is not understood")]
    NotUnderstood,
    /// The child's command may be anything.
    #[error("the child's command is not known to be OpenClaw's: its arguments have no gateway")]
    NotOpenClaw,
    /// It could not be run.
    #[error("it could not be run: {0}")]
    Io(#[from] io::Error),
}

impl OpenClaw {
    /// The command with other arguments in the place of those from `gateway` on. `None` where the command says neither
    /// `gateway` nor that it is `openclaw`: a script that starts `OpenClaw` whatever its arguments are would start another one.
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

    /// The version of the program that a start would run; `None` where it did not say in time.
    pub async fn version(&self) -> Option<Version> {
        match self.run(&["--version"], BTreeMap::new(), VERSION_TIMEOUT, Stdio::null()).await {
            Ok(ended) if ended.is_success => Some(parse_version(&ended.output).map_or(Version::None, Version::Known)),
            Err(RunError::TooLong) => None,
            Ok(_) | Err(_) => Some(Version::None),
        }
    }

    /// The versions of the plugins that are installed, the bundled ones among them, by their ids.
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

    /// Installs a plugin. `OpenClaw` would note it in its configuration, which is the control plane's: it is given `config` to
    /// write to instead. Its own output goes to standard error.
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

    /// Runs a command to its end. It has ended, with all that it started, when this returns.
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
                // Else something that it left behind could keep its output open.
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

/// The package of a plugin of `OpenClaw`'s own, as `plugins install` takes it.
#[must_use]
pub fn package(plugin: &str, version: &str) -> String {
    format!("npm:@openclaw/{plugin}@{version}")
}

/// Reads the output of `--version`: `OpenClaw 2026.9.6 (eb377ac)`, and of older ones `2026.3.7`.
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
    // A year tells OpenClaw's versions from those of the programs that may stand in its place.
    let is_version = year.len() == 4 && year.starts_with("20") && [year, month, patch].into_iter().all(is_number);
    (is_version && suffix.is_none_or(is_suffix)).then(|| version.to_owned())
}

fn parse_plugins(output: &[u8]) -> Option<BTreeMap<String, Option<String>>> {
    let list: Value = serde_json::from_slice(output).ok()?;
    let plugins = list["plugins"].as_array()?.iter();
    // One that a configuration names, and that is not installed, is not listed.
    let named = plugins
        .filter_map(|plugin| Some((plugin["id"].as_str()?.to_owned(), plugin["version"].as_str().map(str::to_owned))));
    Some(named.collect())
}

/// The plugins that a configuration names and enables.
#[must_use]
pub fn enabled_plugins(config: &Value) -> BTreeSet<String> {
    let entries = config["plugins"]["entries"].as_object();
    let enabled = entries.into_iter().flatten().filter(|(_, entry)| entry["enabled"] == true);
    enabled.map(|(id, _)| id.clone()).filter(|id| is_plugin_id(id)).collect()
}

/// The platforms that a configuration enables: those with channels, and the plugins that it names.
#[must_use]
pub fn enabled_platforms(config: &Value) -> BTreeSet<String> {
    let channels = config["channels"].as_object();
    let enabled = channels.into_iter().flatten().filter(|(_, channel)| channel["enabled"] != false);
    // What stands beside the platforms is for all of them.
    let platforms = enabled.map(|(id, _)| id.clone()).filter(|id| is_plugin_id(id) && id != "defaults");
    platforms.chain(enabled_plugins(config)).collect()
}

/// Whether a text can be a plugin's id: it becomes part of a command line.
#[must_use]
pub fn is_plugin_id(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_inner)
}

/// Whether a text can be the version of a package: 1 to 64 of ASCII letters, digits, `.` and `-`, a digit first.
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
            // These may start an OpenClaw whatever they are asked.
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
