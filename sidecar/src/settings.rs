//! The sidecar's settings: all of them from its environment, and the child's command from its arguments.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::PathBuf,
};

use portcullis_upstream::BaseUrl;

use crate::{
    environment::{SET, for_child},
    user::{User, UserError},
};

/// Where `OpenClaw`'s gateway listens.
const GATEWAY: &str = "127.0.0.1:18789";

/// What `OpenClaw` is started with, where no arguments say otherwise.
const COMMAND: [&str; 3] = ["openclaw", "gateway", "run"];

/// What the sidecar is told.
#[derive(Debug)]
pub struct Settings {
    /// `PORTCULLIS_API_URL`.
    pub api: BaseUrl,
    /// `PORTCULLIS_POOL_ID`.
    pub pool: String,
    /// `PORTCULLIS_POD_IP`: where the control plane's deliveries reach this pool.
    pub address: Option<String>,
    /// `PORTCULLIS_CHILD_USER`.
    pub user: User,
    /// `OPENCLAW_STATE_DIR`, else `.openclaw` in the child's home.
    pub state: PathBuf,
    /// `OPENCLAW_CONFIG_PATH`, else `openclaw.json` in the state's folder.
    pub config: PathBuf,
    /// `PORTCULLIS_RUN_DIR`: where the sidecar keeps what is its own; `/run/portcullis` for root, else in the state's folder.
    pub run: PathBuf,
    /// `PORTCULLIS_GATEWAY`: where `OpenClaw` is probed.
    pub gateway: SocketAddr,
    /// The child's command.
    pub command: Vec<OsString>,
    /// The child's environment, but for its tokens.
    pub environment: BTreeMap<OsString, OsString>,
}

/// What is missing or malformed; none of its values.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself")]
pub enum SettingsError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0} {1}")]
    Malformed(&'static str, &'static str),
    #[error("PORTCULLIS_CHILD_USER: {0}")]
    User(#[from] UserError),
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(
        environment: &[(OsString, OsString)],
        arguments: impl Iterator<Item = OsString>,
    ) -> Result<Self, SettingsError> {
        let raw = |name: &str| {
            let found = environment.iter().find(|(key, _)| key == OsStr::new(name)).map(|(_, value)| value);
            found.filter(|value| !value.is_empty())
        };
        let text = |name: &'static str| {
            let value = raw(name).map(|value| value.to_str().ok_or(SettingsError::Malformed(name, "must be UTF-8")));
            value.transpose()
        };
        let required = |name: &'static str| text(name)?.ok_or(SettingsError::Missing(name));

        let api = required("PORTCULLIS_API_URL")?;
        let api = if api.ends_with('/') { api.to_owned() } else { format!("{api}/") };
        let must_be = "must be an https URL (http is for 127.0.0.1 and [::1] alone)";
        let api = api.parse().map_err(|_| SettingsError::Malformed("PORTCULLIS_API_URL", must_be))?;
        let user = text("PORTCULLIS_CHILD_USER")?.map_or_else(|| Ok(User::own()), User::named)?;

        let mut child = for_child(environment.iter().cloned());
        child.extend(user.environment().map(|(name, value)| (name.into(), value.into())));
        let state = child.get(OsStr::new("OPENCLAW_STATE_DIR")).map(PathBuf::from);
        let home = child.get(OsStr::new("HOME")).filter(|home| !home.is_empty()).map(PathBuf::from);
        let state = state.or(home.map(|home| home.join(".openclaw"))).ok_or(SettingsError::Missing("HOME"))?;
        let config = child.get(OsStr::new("OPENCLAW_CONFIG_PATH")).map(PathBuf::from);
        let config = config.unwrap_or_else(|| state.join("openclaw.json"));
        if !state.is_absolute() || !config.is_absolute() {
            return Err(SettingsError::Malformed(
                "OPENCLAW_STATE_DIR",
                "and OPENCLAW_CONFIG_PATH must be absolute paths",
            ));
        }
        child.extend(SET.map(|(name, value)| (name.into(), value.into())));
        child.insert("OPENCLAW_STATE_DIR".into(), state.clone().into());
        child.insert("OPENCLAW_CONFIG_PATH".into(), config.clone().into());
        child.insert("SKILL_API_TOKEN_FILE".into(), state.join(crate::sync::TOKEN_FILE).into());

        let own_run =
            if nix::unistd::Uid::effective().is_root() { "/run/portcullis".into() } else { state.join(".portcullis") };
        let gateway = text("PORTCULLIS_GATEWAY")?.unwrap_or(GATEWAY).parse().ok();
        let gateway = gateway.filter(|address: &SocketAddr| address.ip().is_loopback());
        let arguments: Vec<OsString> = arguments.skip_while(|argument| argument == "--").collect();
        Ok(Self {
            api,
            pool: required("PORTCULLIS_POOL_ID")?.to_owned(),
            address: text("PORTCULLIS_POD_IP")?.map(str::to_owned),
            user,
            state,
            config,
            run: raw("PORTCULLIS_RUN_DIR").map_or(own_run, PathBuf::from),
            gateway: gateway
                .ok_or(SettingsError::Malformed("PORTCULLIS_GATEWAY", "must be a loopback address with a port"))?,
            command: if arguments.is_empty() { COMMAND.map(OsString::from).into() } else { arguments },
            environment: child,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], arguments: &[&str]) -> Result<Settings, String> {
        let environment: Vec<_> = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Settings::read(&environment, arguments.iter().map(OsString::from)).map_err(|error| error.to_string())
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
        assert_eq!(settings.state, PathBuf::from("/home/x/.openclaw"));
        assert_eq!(settings.config, PathBuf::from("/home/x/.openclaw/openclaw.json"));
        assert_eq!(settings.command, ["openclaw", "gateway", "run"]);
        let child = settings.environment.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()));
        let expected = [
            ("HOME", "/home/x"),
            ("OPENCLAW_CONFIG_PATH", "/home/x/.openclaw/openclaw.json"),
            ("OPENCLAW_CONFIG_READONLY", "1"),
            ("OPENCLAW_NO_RESPAWN", "1"),
            ("OPENCLAW_STATE_DIR", "/home/x/.openclaw"),
            ("SKILL_API_TOKEN_FILE", "/home/x/.openclaw/skill-token"),
        ];
        assert_eq!(child.collect::<Vec<_>>(), expected);
        assert_eq!(read(&LEAST, &["--", "node", "openclaw.mjs"]).unwrap().command, ["node", "openclaw.mjs"]);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named_and_its_value_is_not() {
        for (name, value, expected) in [
            ("PORTCULLIS_API_URL", "", "PORTCULLIS_API_URL is not set"),
            ("PORTCULLIS_API_URL", "http://918273.example.com", "PORTCULLIS_API_URL must be an https URL"),
            ("PORTCULLIS_POOL_ID", "", "PORTCULLIS_POOL_ID is not set"),
            ("PORTCULLIS_GATEWAY", "918273:1", "PORTCULLIS_GATEWAY must be"),
            ("PORTCULLIS_GATEWAY", "10.0.0.1:18789", "PORTCULLIS_GATEWAY must be"),
            ("OPENCLAW_STATE_DIR", "918273/relative", "must be absolute"),
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
}
