//! Allow-list of the child's environment variables.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

/// Variables that are passed on if they are set.
const PASSED: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_ENV",
    "NODE_EXTRA_CA_CERTS",
    "OPENCLAW_STATE_DIR",
    "OPENCLAW_CONFIG_PATH",
    "OPENCLAW_PROFILE",
    "OPENCLAW_LOG_LEVEL",
];

/// Prefixes of variables that are never passed on, even if the operator names them.
///
/// The last three are of systemd's protocols: with them a child could speak to systemd in the sidecar's name.
const FORBIDDEN_BEGINNINGS: [&str; 13] = [
    "INTERNAL_",
    "SKILL_API_TOKEN",
    "ENCRYPTION_",
    "BETTER_AUTH_",
    "SLACK_",
    "AWS_",
    "LITELLM_",
    "COMPOSIO_",
    "PORTCULLIS_",
    "LD_",
    "NOTIFY_",
    "WATCHDOG_",
    "LISTEN_",
];

/// Suffix of the names of keys and tokens that a rotation has replaced.
const FORBIDDEN_END: &str = "_PREVIOUS";

/// Whole names of variables that are never passed on, even if the operator names them.
const FORBIDDEN: [&str; 4] = ["CREDENTIALS_DIRECTORY", "DATABASE_URL", "NODE_OPTIONS", "OPENCLAW_LOAD_SHELL_ENV"];

/// Setting that lists additional variables to pass on, between commas or white space.
pub const PASS_SETTING: &str = "PORTCULLIS_PASS_ENV";

/// Variables that are set for every child.
///
/// `OPENCLAW_CONFIG_READONLY`: the configuration is the control plane's. Without it `OpenClaw` writes its own changes
/// into the file, and at its next start replaces a newer configuration by an old copy. `OPENCLAW_NO_RESPAWN`: a restart
/// stays within the process that is supervised.
///
/// Source: OpenClaw 2026.9.6, docs/cli/config.md and docs/gateway/embedding.md.
pub const SET: [(&str, &str); 2] = [("OPENCLAW_CONFIG_READONLY", "1"), ("OPENCLAW_NO_RESPAWN", "1")];

/// Filters `environment` for a child. Names are case-sensitive, as on Linux.
#[must_use]
pub fn for_child(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let more =
        environment.get(OsStr::new(PASS_SETTING)).and_then(|names| names.to_str()).unwrap_or_default().to_owned();
    let asked: BTreeSet<&str> = names(&more).collect();
    let is_passed = |name: &OsString| {
        name.to_str().is_some_and(|name| !is_forbidden(name) && (PASSED.contains(&name) || asked.contains(name)))
    };
    environment.into_iter().filter(|(name, _)| is_passed(name)).collect()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character == ',' || character.is_whitespace()).filter(|name| !name.is_empty())
}

/// Errors of the names in [`PASS_SETTING`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The value is not UTF-8.
    #[error("must be UTF-8")]
    NotText,
    /// The value holds patterns, assignments or quotes, which have no effect here.
    #[error(
        "must be names of variables between commas or white space: patterns, quotes and values have no meaning here"
    )]
    NotNames,
    /// The value holds names of the control plane's or the sidecar's own variables.
    #[error("OpenClaw is never given {0}")]
    Forbidden(String),
}

/// Checks the names that are to be passed on. Forbidden names are an error rather than ignored, so that the operator
/// sees them.
///
/// # Errors
/// [`PassError`]. Forbidden names take precedence over other errors.
pub fn check_asked(asked: &OsStr) -> Result<(), PassError> {
    let text = asked.to_string_lossy();
    let forbidden: BTreeSet<&str> = names(&text).filter(|name| is_forbidden(name)).collect();
    // Names of npm's settings contain the address of a registry.
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./:@-".contains(&byte));
    if !forbidden.is_empty() {
        let printable = |name: &str| name.chars().filter(|character| !character.is_control()).take(64).collect();
        return Err(PassError::Forbidden(forbidden.into_iter().map(printable).collect::<Vec<String>>().join(", ")));
    }
    match asked.to_str() {
        None => Err(PassError::NotText),
        Some(text) if !names(text).all(is_name) => Err(PassError::NotNames),
        Some(_) => Ok(()),
    }
}

/// Whether a variable is never passed on.
fn is_forbidden(name: &str) -> bool {
    // Case-insensitive, because a program may read its environment so.
    let name = name.to_ascii_uppercase();
    // Quotes, values and patterns around a forbidden name do not make it another one.
    let name = name.trim_start_matches(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let whole = name.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').next();
    let whole = whole.unwrap_or_default();
    FORBIDDEN.contains(&whole)
        || whole.ends_with(FORBIDDEN_END)
        || FORBIDDEN_BEGINNINGS.iter().any(|beginning| whole.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(pairs: &[(&str, &str)]) -> Vec<String> {
        let environment = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        for_child(environment).into_keys().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn only_exact_names_of_the_list_are_passed_on() {
        let all: Vec<(&str, &str)> = PASSED.iter().map(|name| (*name, "x")).collect();
        assert_eq!(passed(&all).len(), 21);
        for name in ["path", "Path", "PATHX", "XPATH", "LANGUAGE", "LC_MESSAGES", "NODE_PATH", "BASH_ENV", "MY_KEY", ""]
        {
            assert!(passed(&[(name, "x")]).is_empty(), "{name}");
        }
    }

    #[test]
    fn more_is_passed_on_where_it_is_named_and_is_no_secret() {
        let asked = "MY_KEY, OTHER\tTHIRD MY_KEY";
        assert_eq!(
            passed(&[(PASS_SETTING, asked), ("MY_KEY", "x"), ("THIRD", "x"), ("FOURTH", "x")]),
            ["MY_KEY", "THIRD"]
        );
    }

    #[test]
    fn a_forbidden_variable_is_never_passed_on() {
        let names = [
            "INTERNAL_API_TOKEN",
            "ENCRYPTION_KEY",
            "ENCRYPTION_KEYS",
            "BETTER_AUTH_SECRET",
            "SLACK_SIGNING_SECRET",
            "SLACK_BOT_TOKEN",
            "DATABASE_URL",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "LITELLM_API_KEY",
            "COMPOSIO_API_KEY",
            "PORTCULLIS_TOKEN_FILE",
            "PORTCULLIS_PASS_ENV",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "NODE_OPTIONS",
            "OPENCLAW_LOAD_SHELL_ENV",
            "aws_secret_access_key",
            "Ld_Preload",
            "SKILL_API_TOKEN",
            "SKILL_API_TOKEN_PREVIOUS",
            "Skill_Api_Token",
            "INTERNAL_API_TOKEN_PREVIOUS",
            "MY_KEY_PREVIOUS",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
            "CREDENTIALS_DIRECTORY",
        ];
        let asked = names.join(",");
        let mut pairs = vec![(PASS_SETTING, asked.as_str())];
        pairs.extend(names.iter().filter(|name| **name != PASS_SETTING).map(|name| (*name, "x")));
        assert!(passed(&pairs).is_empty());
        for name in names {
            let expected = Err(PassError::Forbidden(name.to_owned()));
            assert_eq!(check_asked(OsStr::new(name)), expected);
            for spelling in [
                format!("\r{name}\u{b}"),
                format!("WANTED,\u{a0}{name},,"),
                format!("{name},{name}"),
                format!("WANTED {name}"),
            ] {
                assert_eq!(check_asked(OsStr::new(&spelling)), expected, "{spelling:?}");
            }
            for spelling in [
                format!("\"{name}\""),
                format!("{name}=x"),
                format!("{name}*"),
                format!("${{{name}}}"),
                name.to_ascii_lowercase(),
            ] {
                assert!(matches!(check_asked(OsStr::new(&spelling)), Err(PassError::Forbidden(_))), "{spelling:?}");
            }
        }
    }

    #[test]
    fn requested_variables_are_names_and_all_forbidden_ones_are_listed() {
        let several = "WANTED,AWS_REGION\tskill_api_token x_PREVIOUS";
        assert_eq!(
            check_asked(OsStr::new(several)).unwrap_err().to_string(),
            "OpenClaw is never given AWS_REGION, skill_api_token, x_PREVIOUS"
        );
        for good in
            ["", " ", "MY_KEY", "npm_config_registry, npm_config_//r.example.com/:_authToken", "SKILL", "AWSKEY"]
        {
            assert_eq!(check_asked(OsStr::new(good)), Ok(()), "{good}");
        }
        for bad in ["*", "S*", "?", "SKILL_*", "A=b", "[A]", "'A'", "\u{17f}kill", "A;B", "A|B"] {
            assert_eq!(check_asked(OsStr::new(bad)), Err(PassError::NotNames), "{bad}");
        }
        assert_eq!(check_asked(std::os::unix::ffi::OsStrExt::from_bytes(b"A,\xff")), Err(PassError::NotText));
    }

    proptest! {
        #[test]
        fn nothing_is_passed_on_that_nobody_named(name in "[A-Z_]{1,12}", asked in "[A-Z_, ]{0,40}") {
            let found = passed(&[(PASS_SETTING, &asked), (&name, "x")]);
            let is_named = PASSED.contains(&name.as_str()) || asked.split([',', ' ']).any(|asked| asked == name);
            prop_assert!(found.is_empty() || is_named);
        }
    }
}
