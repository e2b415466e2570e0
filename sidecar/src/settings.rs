//! The sidecar's settings, from its environment, and the child's command, from its arguments.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis_auth::PoolId;
use portcullis_upstream::BaseUrl;

use crate::{
    environment::{PASS_SETTING, PassError, SET, check_asked, for_child},
    pace::Pace,
    path,
    user::{User, UserError},
};

/// Default address of `OpenClaw`'s gateway.
const GATEWAY: &str = "127.0.0.1:18789";

/// Default command of the child.
const COMMAND: [&str; 3] = ["openclaw", "gateway", "run"];

/// Upper limit of `PORTCULLIS_STOP_SECONDS`.
const MAXIMUM_STOP_SECONDS: u64 = 300;

/// The sidecar's settings. White space at both ends of a value is ignored, since editors and shells leave a newline
/// there.
#[derive(Debug)]
pub struct Settings {
    /// `PORTCULLIS_API_URL`: base URL of the control plane.
    pub api: BaseUrl,
    /// `PORTCULLIS_POOL_ID`: id of the pool.
    pub pool: String,
    /// `PORTCULLIS_POD_IP`: address that the control plane's deliveries reach this pool at.
    pub address: Option<String>,
    /// `PORTCULLIS_RUN_DIR`: folder of the sidecar's own files for this pool; by default in `/run/portcullis` for root,
    /// else in the state folder.
    pub run: PathBuf,
    /// `PORTCULLIS_GATEWAY`: address that `OpenClaw` is probed at.
    pub gateway: SocketAddr,
    /// `PORTCULLIS_STOP_SECONDS`: how long the child may take to end after SIGTERM.
    pub stop: Duration,
    /// Settings of the child.
    pub child: ChildSettings,
}

/// The settings of the child, which are enough to run `OpenClaw`'s other commands.
#[derive(Debug)]
pub struct ChildSettings {
    /// `PORTCULLIS_CHILD_USER`: user that the child runs as.
    pub user: User,
    /// `OPENCLAW_STATE_DIR`, else `.openclaw` in the child's home.
    pub state: PathBuf,
    /// `OPENCLAW_CONFIG_PATH`, else `openclaw.json` in the state folder.
    pub config: PathBuf,
    /// The child's program and arguments.
    pub command: Vec<OsString>,
    /// The child's environment without its tokens.
    pub environment: BTreeMap<OsString, OsString>,
}

/// Error of one setting. It holds no values except names of variables.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum SettingsError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0} {1}")]
    Malformed(&'static str, &'static str),
    #[error("PORTCULLIS_PASS_ENV: {0}")]
    Passed(#[from] PassError),
    #[error("PORTCULLIS_CHILD_USER: {0}")]
    User(#[from] UserError),
    #[error(
        "PORTCULLIS_CHILD_USER is not set: under root, OpenClaw needs a user of its own (to run both as one user, start the \
         sidecar as that user)"
    )]
    NoUser,
}

/// Errors of the settings, at least one.
#[derive(Debug)]
pub struct SettingsErrors(pub Vec<SettingsError>);

impl fmt::Display for SettingsErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

/// Reads settings one by one and collects their errors.
struct Reader<'a> {
    environment: &'a [(OsString, OsString)],
    /// Whether the sidecar is root.
    is_root: bool,
    errors: Vec<SettingsError>,
}

impl<'a> Reader<'a> {
    fn new(environment: &'a [(OsString, OsString)]) -> Self {
        Self { environment, is_root: nix::unistd::Uid::effective().is_root(), errors: Vec::new() }
    }

    /// Value of a setting without white space at its ends; `None` if it is empty.
    fn raw(&self, name: &str) -> Option<&'a OsStr> {
        let found = self.environment.iter().find(|(key, _)| key == OsStr::new(name)).map(|(_, value)| trimmed(value));
        found.filter(|value| !value.is_empty())
    }

    fn malformed(&mut self, name: &'static str, rule: &'static str) {
        self.errors.push(SettingsError::Malformed(name, rule));
    }

    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let text = self.raw(name)?.to_str();
        if text.is_none() {
            self.malformed(name, "must be UTF-8");
        }
        text
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(self.text(name)?);
        if value.is_none() {
            self.malformed(name, rule);
        }
        value
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        rule: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if self.raw(name).is_none() {
            self.errors.push(SettingsError::Missing(name));
        }
        self.parsed(name, rule, parse)
    }

    fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let path = PathBuf::from(self.raw(name)?);
        if path.is_relative() {
            self.malformed(name, "must be an absolute path");
        }
        Some(path)
    }
}

fn trimmed(value: &OsStr) -> &OsStr {
    OsStr::from_bytes(value.as_bytes().trim_ascii())
}

impl ChildSettings {
    /// Reads only the child's settings.
    ///
    /// # Errors
    /// Errors of all settings.
    pub fn read(
        environment: &[(OsString, OsString)],
        command: impl Iterator<Item = OsString>,
    ) -> Result<Self, SettingsErrors> {
        let mut reader = Reader::new(environment);
        let child = Self::read_with(&mut reader, command);
        child.filter(|_| reader.errors.is_empty()).ok_or(SettingsErrors(reader.errors))
    }

    /// Returns `None` only after an error was added to the reader.
    fn read_with(reader: &mut Reader<'_>, command: impl Iterator<Item = OsString>) -> Option<Self> {
        let user = match reader.text("PORTCULLIS_CHILD_USER") {
            Some(name) => User::named(name).map_err(SettingsError::from),
            None if reader.is_root => Err(SettingsError::NoUser),
            None => Ok(User::own()),
        };
        let user = user.unwrap_or_else(|error| {
            reader.errors.push(error);
            User::own()
        });
        let asked = reader.raw(PASS_SETTING).map(check_asked).transpose();
        reader.errors.extend(asked.err().map(SettingsError::from));
        let mut child = for_child(reader.environment.iter().cloned());
        child.extend(user.environment().map(|(name, value)| (name.into(), value.into())));
        child.extend(SET.map(|(name, value)| (name.into(), value.into())));
        let home = child.get(OsStr::new("HOME")).map(|home| trimmed(home)).filter(|home| !home.is_empty());
        let home = home.map(PathBuf::from);
        let state = reader.path("OPENCLAW_STATE_DIR").or_else(|| home.map(|home| home.join(".openclaw")));
        let Some(state) = state else {
            reader.errors.push(SettingsError::Missing("HOME"));
            return None;
        };
        if state.is_relative() && reader.raw("OPENCLAW_STATE_DIR").is_none() {
            reader.malformed("HOME", "must be an absolute path");
        }
        let config = reader.path("OPENCLAW_CONFIG_PATH").unwrap_or_else(|| state.join("openclaw.json"));
        child.insert("OPENCLAW_STATE_DIR".into(), state.clone().into());
        child.insert("OPENCLAW_CONFIG_PATH".into(), config.clone().into());
        child.insert("SKILL_API_TOKEN_FILE".into(), state.join(crate::keeper::TOKEN_FILE).into());
        let mut command: Vec<OsString> = command.collect();
        if command.is_empty() {
            command = COMMAND.map(OsString::from).into();
        }
        Some(Self { user, state, config, command, environment: child })
    }
}

impl Settings {
    /// Reads the settings. `command` is the child's command; if it is empty, `openclaw gateway run`.
    ///
    /// # Errors
    /// Errors of all settings.
    pub fn read(
        environment: &[(OsString, OsString)],
        command: impl Iterator<Item = OsString>,
    ) -> Result<Self, SettingsErrors> {
        Self::read_by(Reader::new(environment), command)
    }

    /// Reads the settings of a sidecar whose child is one of our own programs, which may run as root.
    ///
    /// # Errors
    /// Errors of all settings.
    pub fn read_for_trusted_child(
        environment: &[(OsString, OsString)],
        command: impl Iterator<Item = OsString>,
    ) -> Result<Self, SettingsErrors> {
        Self::read_by(Reader { is_root: false, ..Reader::new(environment) }, command)
    }

    fn read_by(mut reader: Reader<'_>, command: impl Iterator<Item = OsString>) -> Result<Self, SettingsErrors> {
        let settings = Self::read_with(&mut reader, command);
        settings.filter(|_| reader.errors.is_empty()).ok_or(SettingsErrors(reader.errors))
    }

    fn read_with(reader: &mut Reader<'_>, command: impl Iterator<Item = OsString>) -> Option<Self> {
        let api = reader.required(
            "PORTCULLIS_API_URL",
            "must be an https URL (http is for 127.0.0.1 and [::1] alone)",
            |url| if url.ends_with('/') { url.parse() } else { format!("{url}/").parse() }.ok(),
        );
        let pool = reader.required(
            "PORTCULLIS_POOL_ID",
            "must be 1 to 128 characters, none of them a control character",
            |pool| pool.parse::<PoolId>().ok().map(String::from),
        );
        let address = reader.parsed("PORTCULLIS_POD_IP", "must be an IP address, or ip:port", |address| {
            let is_address = address.parse::<IpAddr>().is_ok() || address.parse::<SocketAddr>().is_ok();
            is_address.then(|| address.to_owned())
        });
        let gateway = "must be a loopback address with a port";
        let gateway = match reader.raw("PORTCULLIS_GATEWAY") {
            Some(_) => reader.parsed("PORTCULLIS_GATEWAY", gateway, loopback),
            None => loopback(GATEWAY),
        };
        let stop = reader.parsed("PORTCULLIS_STOP_SECONDS", "must be a whole number from 1 to 300", |seconds| {
            let seconds: u64 = seconds.parse().ok()?;
            (1..=MAXIMUM_STOP_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
        });
        let run = reader.path("PORTCULLIS_RUN_DIR");
        let child = ChildSettings::read_with(reader, command);
        // Returns only after everything was read, so that all errors are reported at once.
        let child = child?;
        let pool = pool?;
        let own_run = || {
            let of_state = || child.state.join(".portcullis");
            if reader.is_root { Path::new("/run/portcullis").join(path::name_of(&pool)) } else { of_state() }
        };
        Some(Self {
            run: run.unwrap_or_else(own_run),
            api: api?,
            pool,
            address,
            gateway: gateway?,
            stop: stop.unwrap_or(Pace::default().termination),
            child,
        })
    }
}

fn loopback(address: &str) -> Option<SocketAddr> {
    address.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], arguments: &[&str]) -> Result<Settings, String> {
        read_as(false, pairs, arguments)
    }

    fn read_as(is_root: bool, pairs: &[(&str, &str)], arguments: &[&str]) -> Result<Settings, String> {
        let environment: Vec<_> = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let reader = Reader { environment: &environment, is_root, errors: Vec::new() };
        Settings::read_by(reader, arguments.iter().map(OsString::from)).map_err(|error| error.to_string())
    }

    const LEAST: [(&str, &str); 3] = [
        ("PORTCULLIS_API_URL", "https://portcullis.example.com"),
        ("PORTCULLIS_POOL_ID", "pool-1"),
        ("HOME", "/home/x"),
    ];

    #[test]
    fn a_url_and_a_pool_are_enough() {
        let settings = read(&LEAST, &[]).unwrap();
        assert_eq!(settings.api.as_str(), "https://portcullis.example.com/");
        assert_eq!(settings.child.state, PathBuf::from("/home/x/.openclaw"));
        assert_eq!(settings.child.config, PathBuf::from("/home/x/.openclaw/openclaw.json"));
        assert_eq!(settings.child.command, ["openclaw", "gateway", "run"]);
        assert_eq!(settings.stop, Duration::from_secs(30));
        let child =
            settings.child.environment.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()));
        let expected = [
            ("HOME", "/home/x"),
            ("OPENCLAW_CONFIG_PATH", "/home/x/.openclaw/openclaw.json"),
            ("OPENCLAW_CONFIG_READONLY", "1"),
            ("OPENCLAW_NO_RESPAWN", "1"),
            ("OPENCLAW_STATE_DIR", "/home/x/.openclaw"),
            ("SKILL_API_TOKEN_FILE", "/home/x/.openclaw/skill-token"),
        ];
        assert_eq!(child.collect::<Vec<_>>(), expected);
        assert_eq!(read(&LEAST, &["node", "openclaw.mjs"]).unwrap().child.command, ["node", "openclaw.mjs"]);
    }

    #[test]
    fn a_missing_or_malformed_setting_is_named_without_its_value() {
        for (name, value, expected) in [
            ("PORTCULLIS_API_URL", "", "PORTCULLIS_API_URL is not set"),
            ("PORTCULLIS_API_URL", "http://918273.example.com", "PORTCULLIS_API_URL must be an https URL"),
            ("PORTCULLIS_POOL_ID", "", "PORTCULLIS_POOL_ID is not set"),
            ("PORTCULLIS_GATEWAY", "918273:1", "PORTCULLIS_GATEWAY must be"),
            ("PORTCULLIS_GATEWAY", "10.0.0.1:18789", "PORTCULLIS_GATEWAY must be"),
            ("OPENCLAW_STATE_DIR", "918273/relative", "OPENCLAW_STATE_DIR must be an absolute path"),
            ("OPENCLAW_CONFIG_PATH", "918273/relative", "OPENCLAW_CONFIG_PATH must be an absolute path"),
            ("PORTCULLIS_RUN_DIR", "918273/relative", "PORTCULLIS_RUN_DIR must be an absolute path"),
            ("PORTCULLIS_POOL_ID", "918273\n918273", "PORTCULLIS_POOL_ID must be 1 to 128 characters"),
            ("PORTCULLIS_POD_IP", "918273.example.com", "PORTCULLIS_POD_IP must be an IP address"),
            ("PORTCULLIS_POD_IP", "10.0.0.7:918273", "PORTCULLIS_POD_IP must be an IP address"),
            ("PORTCULLIS_STOP_SECONDS", "0", "PORTCULLIS_STOP_SECONDS must be"),
            ("PORTCULLIS_STOP_SECONDS", "301", "PORTCULLIS_STOP_SECONDS must be"),
            ("PORTCULLIS_STOP_SECONDS", "1.5", "PORTCULLIS_STOP_SECONDS must be"),
            ("PORTCULLIS_STOP_SECONDS", "-1", "PORTCULLIS_STOP_SECONDS must be"),
            ("PORTCULLIS_PASS_ENV", "918273=x", "PORTCULLIS_PASS_ENV: must be names"),
            (
                "PORTCULLIS_PASS_ENV",
                "X SKILL_API_TOKEN",
                "PORTCULLIS_PASS_ENV: OpenClaw is never given SKILL_API_TOKEN",
            ),
            ("HOME", "", "HOME is not set"),
        ] {
            let mut pairs: Vec<_> = LEAST.into_iter().filter(|(key, _)| *key != name).collect();
            pairs.push((name, value));
            let error = read(&pairs, &[]).unwrap_err();
            assert!(error.contains(expected) && !error.contains("918273"), "{error}");
        }
        let mut pairs = LEAST.to_vec();
        pairs.push(("PORTCULLIS_CHILD_USER", "nobody-has-this-name"));
        assert!(read(&pairs, &[]).unwrap_err().contains("there is no user"));
    }

    #[test]
    fn root_needs_another_user_for_its_child() {
        let error = read_as(true, &LEAST, &[]).unwrap_err();
        assert!(error.starts_with("PORTCULLIS_CHILD_USER is not set"), "{error}");
        for root in ["root", "0"] {
            let pairs = [&LEAST[..], &[("PORTCULLIS_CHILD_USER", root)]].concat();
            let error = read_as(true, &pairs, &[]).unwrap_err();
            assert!(error.starts_with("PORTCULLIS_CHILD_USER: OpenClaw never runs as root"), "{error}");
        }
    }

    #[test]
    fn two_pools_never_share_a_folder_that_nobody_named() {
        let run = |pool: &str| {
            let mut pairs = LEAST.to_vec();
            pairs[1].1 = pool;
            let environment: Vec<_> = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
            let mut reader = Reader { environment: &environment, is_root: true, errors: Vec::new() };
            let settings = Settings::read_with(&mut reader, std::iter::empty()).unwrap();
            settings.run
        };
        assert_eq!(run("pool-1"), PathBuf::from("/run/portcullis/pool-1"));
        assert_eq!(run("../../etc"), PathBuf::from("/run/portcullis/%2e.%2f..%2fetc"));
        assert_eq!(read(&LEAST, &[]).unwrap().run, PathBuf::from("/home/x/.openclaw/.portcullis"));
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once_each_on_a_line_of_its_own() {
        let pairs = [
            ("PORTCULLIS_API_URL", "http://example.com"),
            ("PORTCULLIS_GATEWAY", "x"),
            ("PORTCULLIS_STOP_SECONDS", "x"),
            ("PORTCULLIS_CHILD_USER", "nobody-has-this-name"),
        ];
        let error = read(&pairs, &[]).unwrap_err();
        let named: Vec<&str> = error.lines().map(|line| line.split([' ', ':']).next().unwrap()).collect();
        let expected = [
            "PORTCULLIS_API_URL",
            "PORTCULLIS_POOL_ID",
            "PORTCULLIS_GATEWAY",
            "PORTCULLIS_STOP_SECONDS",
            "PORTCULLIS_CHILD_USER",
            "HOME",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn white_space_at_the_ends_of_a_value_does_not_count() {
        let pairs = [
            ("PORTCULLIS_API_URL", " https://portcullis.example.com\n"),
            ("PORTCULLIS_POOL_ID", "pool-1\r\n"),
            ("PORTCULLIS_POD_IP", "10.0.0.7 "),
            ("PORTCULLIS_STOP_SECONDS", "\t45\n"),
            ("OPENCLAW_STATE_DIR", "/data/openclaw\n"),
            ("PORTCULLIS_RUN_DIR", "/run/x\n"),
        ];
        let settings = read(&pairs, &[]).unwrap();
        assert_eq!((settings.api.as_str(), settings.pool.as_str()), ("https://portcullis.example.com/", "pool-1"));
        assert_eq!((settings.address.as_deref(), settings.stop.as_secs()), (Some("10.0.0.7"), 45));
        assert_eq!(settings.child.environment[OsStr::new("OPENCLAW_STATE_DIR")], "/data/openclaw");
        assert_eq!(settings.run, PathBuf::from("/run/x"));
    }
}
