//! The machine that a skill runs on: its pool, its bot, its skill and its token.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::{
    api::AgentMeta,
    files::{self, templates::WORKSPACES},
    keeper::CONTEXT_FILE,
    token::{self, TokenError},
};

/// Setting that names the file with the token.
const TOKEN_FILE_SETTING: &str = "SKILL_API_TOKEN_FILE";

/// Setting that holds the token.
const TOKEN_SETTING: &str = "SKILL_API_TOKEN";

/// Largest file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Content of `nexu-context.json`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context {
    pub(super) api_url: String,
    pub(super) pool_id: String,
    pub(super) agents: BTreeMap<String, AgentMeta>,
}

/// Value of an environment variable, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "the command's one way to read its environment")]
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_file(path: &Path) -> io::Result<String> {
    String::from_utf8(files::read(path, FILE_LIMIT)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

pub(super) fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(FILE_LIMIT).read_to_string(&mut text);
    read.map_err(|_| Failure::Usage("standard input must be UTF-8".to_owned()))?;
    Ok(text)
}

/// The pool's machine: its context and state folder.
pub(super) struct Machine {
    pub(super) context: Context,
    /// Value of `OPENCLAW_STATE_DIR`.
    pub(super) state: PathBuf,
    /// Value of `--bot`.
    pub(super) named: Option<String>,
}

impl Machine {
    pub(super) fn find(named: Option<String>) -> Result<Self, Failure> {
        let state = setting("OPENCLAW_STATE_DIR").map(PathBuf::from).ok_or_else(|| {
            Failure::Usage(format!(
                "OPENCLAW_STATE_DIR is not set: it names the folder of {CONTEXT_FILE}, and OpenClaw passes it on to skills"
            ))
        })?;
        let path = state.join(CONTEXT_FILE);
        let text = read_file(&path).map_err(|error| {
            Failure::Usage(format!("{} cannot be read: {}; is a sidecar running?", path.display(), error.kind()))
        })?;
        let context = serde_json::from_str(&text)
            .map_err(|_| Failure::Usage(format!("{} is malformed: the sidecar writes it", path.display())))?;
        Ok(Self { context, state, named })
    }

    /// Id of the bot that the command is about.
    pub(super) fn bot(&self) -> Result<&str, Failure> {
        let agents = &self.context.agents;
        if let Some(named) = &self.named {
            let mut bots = agents.iter().map(|(agent, meta)| (agent, &meta.bot_id));
            let found = bots.find(|(agent, bot)| *bot == named || *agent == named);
            return found
                .map(|(_, bot)| bot.as_str())
                .ok_or_else(|| Failure::Usage(format!("--bot {named} is none of this pool's bots: {}", self.bots())));
        }
        let here = env::current_dir().ok();
        let agent = here.as_deref().and_then(|here| agent_of_folder(&self.state, here));
        if let Some(agent) = agent {
            let meta = agents.get(&agent).map(|meta| meta.bot_id.as_str());
            return meta.ok_or_else(|| {
                Failure::Usage(format!(
                    "this runs in the workspace of {agent}, which is none of this pool's agents: name the bot with --bot, \
                     one of {}",
                    self.bots()
                ))
            });
        }
        match agents.values().collect::<Vec<_>>().as_slice() {
            [only] => Ok(&only.bot_id),
            [] => Err(Failure::Usage("this pool has no agent".to_owned())),
            _ => Err(Failure::Usage(format!(
                "this pool has several agents, and this runs in the workspace of none: name the bot with --bot, one of {}",
                self.bots()
            ))),
        }
    }

    /// Ids of all bots of the pool, for error messages.
    fn bots(&self) -> String {
        self.context.agents.values().map(|meta| meta.bot_id.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Agent in whose workspace a folder lies: `<state>/workspaces/<agent>/…`, with links resolved.
fn agent_of_folder(state: &Path, folder: &Path) -> Option<String> {
    let workspaces = state.join(WORKSPACES).canonicalize().ok()?;
    let inner = folder.canonicalize().ok()?;
    let agent = inner.strip_prefix(workspaces).ok()?.components().next()?;
    agent.as_os_str().to_str().map(str::to_owned)
}

/// Skill in whose folder a folder lies: `…/skills/<skill>/…`.
pub(super) fn skill_of_folder(folder: &Path) -> Option<String> {
    let parts: Vec<&str> = folder.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let position = parts.iter().rposition(|part| *part == "skills")?;
    parts.get(position + 1).map(|skill| (*skill).to_owned())
}

pub(super) fn token() -> Result<SecretString, Failure> {
    let usage = |error: TokenError| Failure::Usage(error.to_string());
    let value =
        || setting(TOKEN_SETTING).map(|token| token::of_setting(TOKEN_SETTING, token.as_bytes()).map_err(usage));
    let missing = || {
        Failure::Usage(format!("there is no token: {TOKEN_FILE_SETTING} names no file, and {TOKEN_SETTING} is not set"))
    };
    let Some(path) = setting(TOKEN_FILE_SETTING) else { return value().unwrap_or_else(|| Err(missing())) };
    match token::read_file(TOKEN_FILE_SETTING, Path::new(&path)) {
        // The sidecar writes the file once the control plane has issued a token; until then the child's own is used.
        Err(error) if error.is_missing_file() => value().unwrap_or_else(|| Err(usage(error))),
        outcome => outcome.map_err(usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_known_by_the_workspace_that_it_runs_in() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        for inner in ["workspaces/ada/deep/er", "workspaces/bob", "skills/maps", "elsewhere/workspaces/eve"] {
            std::fs::create_dir_all(state.join(inner)).unwrap();
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&state, &link).unwrap();
        for state in [&state, &link] {
            let agent = |inner: &str| agent_of_folder(state, &folder.path().join(inner));
            assert_eq!(agent("state/workspaces/ada").as_deref(), Some("ada"));
            assert_eq!(agent("state/workspaces/ada/deep/er").as_deref(), Some("ada"));
            assert_eq!(agent("link/workspaces/bob").as_deref(), Some("bob"));
            for other in ["state/workspaces", "state/skills/maps", "state/elsewhere/workspaces/eve", "state", "nowhere"]
            {
                assert_eq!(agent(other), None, "{other}");
            }
        }
    }

    #[test]
    fn a_skill_is_known_by_the_folder_that_it_runs_in() {
        for (folder, skill) in [
            ("/home/x/.openclaw/skills/maps", Some("maps")),
            ("/home/x/.openclaw/skills/maps/bin", Some("maps")),
            ("/skills/old/skills/maps", Some("maps")),
            ("/home/x/.openclaw/skills", None),
            ("/home/x", None),
        ] {
            assert_eq!(skill_of_folder(Path::new(folder)).as_deref(), skill, "{folder}");
        }
    }
}
