//! What the child's environment holds: names on a list, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

/// What is passed on where it is set.
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

/// What is never passed on, whoever asks for it: how these names begin.
const FORBIDDEN_BEGINNINGS: [&str; 9] =
    ["INTERNAL_", "ENCRYPTION_", "BETTER_AUTH_", "SLACK_", "AWS_", "LITELLM_", "COMPOSIO_", "PORTCULLIS_", "LD_"];

/// What is never passed on, whoever asks for it: whole names.
const FORBIDDEN: [&str; 3] = ["DATABASE_URL", "NODE_OPTIONS", "OPENCLAW_LOAD_SHELL_ENV"];

/// The setting that names more of what is to be passed on, between commas or blanks.
pub const PASS_SETTING: &str = "PORTCULLIS_PASS_ENV";

/// What is set for every child.
///
/// `OPENCLAW_CONFIG_READONLY`: the configuration is the control plane's. Without it `OpenClaw` writes its own changes into the
/// file, and at its next start puts an old copy in the place of a newer one. `OPENCLAW_NO_RESPAWN`: a restart stays within the
/// process that is supervised.
///
/// Source: OpenClaw 2026.9.6, docs/cli/config.md and docs/gateway/embedding.md.
pub const SET: [(&str, &str); 2] = [("OPENCLAW_CONFIG_READONLY", "1"), ("OPENCLAW_NO_RESPAWN", "1")];

/// Of `environment`, what a child may have. Names are compared as they are: Linux tells `path` from `PATH`.
#[must_use]
pub fn for_child(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
    let more =
        environment.get(OsStr::new(PASS_SETTING)).and_then(|names| names.to_str()).unwrap_or_default().to_owned();
    let asked: BTreeSet<&str> = more.split([',', ' ', '\t', '\n']).filter(|name| !name.is_empty()).collect();
    let is_passed = |name: &OsString| {
        name.to_str().is_some_and(|name| !is_forbidden(name) && (PASSED.contains(&name) || asked.contains(name)))
    };
    environment.into_iter().filter(|(name, _)| is_passed(name)).collect()
}

/// Whether a name is never passed on.
fn is_forbidden(name: &str) -> bool {
    // In any case: what reads an environment without regard to it must find nothing either.
    let name = name.to_ascii_uppercase();
    FORBIDDEN.contains(&name.as_str()) || FORBIDDEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
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
    fn what_is_forbidden_is_never_passed_on() {
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
        ];
        let asked = names.join(",");
        let mut pairs = vec![(PASS_SETTING, asked.as_str())];
        pairs.extend(names.iter().filter(|name| **name != PASS_SETTING).map(|name| (*name, "x")));
        assert!(passed(&pairs).is_empty());
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
