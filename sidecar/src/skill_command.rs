//! `portcullis-skill`: the command-line client that skills call the control plane with.
//!
//! It reads the pool from `nexu-context.json` in `OPENCLAW_STATE_DIR` and nowhere else: a file that somebody placed in
//! a working folder could name another control plane, which would receive the token. The bot is the one in whose
//! agent's workspace the command runs, unless `--bot` names another of the pool's. The token is in the file that
//! `SKILL_API_TOKEN_FILE` names; if that file does not exist, in `SKILL_API_TOKEN`. Results go to standard output as
//! JSON, errors to standard error.

use std::{
    collections::BTreeMap,
    env,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use portcullis_upstream::BaseUrl;
use reqwest::{Client, Method, header::CONTENT_TYPE, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    api::{AgentMeta, ApiError, read_bytes, send},
    files::{self, templates::WORKSPACES},
    keeper::CONTEXT_FILE,
    token::{self, TokenError},
};

/// Time-out of a call: the control plane's own deadline is 28 s, because of third-party actions.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Setting that names the file with the token.
const TOKEN_FILE_SETTING: &str = "SKILL_API_TOKEN_FILE";

/// Setting that holds the token.
const TOKEN_SETTING: &str = "SKILL_API_TOKEN";

/// Largest file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Calls the control plane for a skill
///
/// Exit codes:
///   0  done
///   2  wrong usage
///   3  not found
///   4  refused
///   5  the control plane cannot be reached, or is not well: try again
///   6  not available on this control plane
#[derive(Debug, Parser)]
#[command(name = "portcullis-skill", version, verbatim_doc_comment, next_line_help = true)]
pub struct Command {
    /// The bot; else the one in whose workspace this runs, or the only one
    #[arg(long, global = true)]
    bot: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Secrets of the skill.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Artifacts of a conversation.
    #[command(subcommand)]
    Artifact(Box<Artifact>),
    /// Sends a user's feedback.
    Feedback(Feedback),
    /// Actions with people's own accounts.
    #[command(subcommand)]
    Composio(Composio),
}

#[derive(Debug, Subcommand)]
enum Secrets {
    /// Prints all secrets of the skill, or one of them.
    Get {
        /// The one to print: its value, or with --json an object of it alone
        #[arg(conflicts_with = "env")]
        name: Option<String>,
        /// As lines that a shell can read: export NAME='value'
        #[arg(long, conflicts_with = "json")]
        env: bool,
        /// As a JSON object, the default without a name.
        #[arg(long)]
        json: bool,
        /// The skill; else the one whose folder this runs in.
        #[arg(long)]
        skill: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Artifact {
    /// Creates an artifact.
    Create {
        /// Title.
        #[arg(long, allow_hyphen_values = true)]
        title: String,
        /// The conversation, by its session key: agent:…
        #[arg(long)]
        session_key: Option<String>,
        /// The conversation, by its chat: channel:… or user:…
        #[arg(long)]
        chat_id: Option<String>,
        /// The chat's thread.
        #[arg(long)]
        thread_id: Option<String>,
        /// code, content or deployment.
        #[arg(long = "type")]
        artifact_type: Option<String>,
        /// coding or content.
        #[arg(long)]
        source: Option<String>,
        /// Media type of the artifact.
        #[arg(long)]
        content_type: Option<String>,
        #[command(flatten)]
        more: ArtifactFields,
    },
    /// Updates an artifact.
    Update {
        /// Id, as create returned it.
        id: String,
        /// New title.
        #[arg(long, allow_hyphen_values = true)]
        title: Option<String>,
        #[command(flatten)]
        more: ArtifactFields,
    },
}

#[derive(Args, Debug)]
struct ArtifactFields {
    /// building, live, failed or stopped.
    #[arg(long)]
    status: Option<String>,
    /// URL of a preview, http or https.
    #[arg(long)]
    preview_url: Option<String>,
    /// Deployment target.
    #[arg(long, allow_hyphen_values = true)]
    deploy_target: Option<String>,
    /// Number of lines of code.
    #[arg(long)]
    lines_of_code: Option<u64>,
    /// Number of files.
    #[arg(long)]
    file_count: Option<u64>,
    /// Duration in milliseconds.
    #[arg(long)]
    duration_ms: Option<u64>,
    /// Further fields, as JSON.
    #[arg(long, value_parser = parse_json, allow_hyphen_values = true)]
    metadata: Option<Value>,
}

#[derive(Args, Debug)]
struct Feedback {
    /// The feedback; a dash alone reads it from standard input
    #[arg(allow_hyphen_values = true)]
    content: String,
    /// Channel of the feedback.
    #[arg(long, allow_hyphen_values = true)]
    channel: Option<String>,
    /// Author of the feedback.
    #[arg(long, allow_hyphen_values = true)]
    sender: Option<String>,
    /// Context of the chat.
    #[arg(long, allow_hyphen_values = true)]
    conversation_context: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Composio {
    /// Executes an action, as `GMAIL_SEND_EMAIL`.
    Execute {
        /// The action.
        action: String,
        /// Parameters as JSON; - reads them from standard input
        #[arg(default_value = "{}")]
        params: String,
    },
    /// Disconnects an account.
    Disconnect {
        /// The toolkit, as gmail.
        toolkit: String,
    },
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| "must be JSON".to_owned())
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0} is not available on this control plane")]
    NotAvailable(&'static str),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::Unavailable(_) => 5,
            Self::NotAvailable(_) => 6,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Content of `nexu-context.json`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    api_url: String,
    pool_id: String,
    agents: BTreeMap<String, AgentMeta>,
}

/// Value of an environment variable, unless it is empty.
#[expect(clippy::disallowed_methods, reason = "the command's one way to read its environment")]
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_file(path: &Path) -> io::Result<String> {
    String::from_utf8(files::read(path, FILE_LIMIT)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(FILE_LIMIT).read_to_string(&mut text);
    read.map_err(|_| Failure::Usage("standard input must be UTF-8".to_owned()))?;
    Ok(text)
}

/// The pool's machine: its context and state folder.
struct Machine {
    context: Context,
    /// Value of `OPENCLAW_STATE_DIR`.
    state: PathBuf,
    /// Value of `--bot`.
    named: Option<String>,
}

impl Machine {
    fn find(named: Option<String>) -> Result<Self, Failure> {
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
    fn bot(&self) -> Result<&str, Failure> {
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
fn skill_of_folder(folder: &Path) -> Option<String> {
    let parts: Vec<&str> = folder.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let position = parts.iter().rposition(|part| *part == "skills")?;
    parts.get(position + 1).map(|skill| (*skill).to_owned())
}

fn token() -> Result<SecretString, Failure> {
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

/// Client of the control plane for skills.
struct Caller {
    client: Client,
    base: BaseUrl,
    token: SecretString,
}

impl Caller {
    fn new(context: &Context) -> Result<Self, Failure> {
        let base = format!("{}/", context.api_url.trim_end_matches('/')).parse();
        let base: BaseUrl = base.map_err(|error| Failure::Usage(format!("{CONTEXT_FILE}: apiUrl {error}")))?;
        // Loopback is never called through a proxy, as in the sidecar.
        let client = if base.is_loopback() { Client::builder().no_proxy() } else { Client::builder() };
        let client = client.redirect(Policy::none()).timeout(TIMEOUT).user_agent("portcullis-skill").build();
        let client =
            client.map_err(|_| Failure::Unavailable("the system's root certificates cannot be read".to_owned()))?;
        Ok(Self { client, base, token: token()? })
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        pool: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.below(path);
        if let Some(pool) = pool {
            url.query_pairs_mut().append_pair("poolId", pool);
        }
        let mut request = self.client.request(method, url).bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = send(request).await?;
        let status = response.status().as_u16();
        let body = read_bytes(response).await?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    /// Returns the body of a success, or a failure with the control plane's message, which holds no secret.
    fn ok(self) -> Result<Value, Failure> {
        let message = || {
            let said = self.body["message"].as_str().unwrap_or("no reason was given");
            let mut message = format!("the control plane answered {}: {said}", self.status);
            for (field, why) in self.body["fields"].as_object().into_iter().flatten() {
                message.extend(["; ", field, " ", why.as_str().unwrap_or_default()]);
            }
            message
        };
        match self.status {
            200..=299 if !self.body.is_null() => Ok(self.body),
            200..=299 => Err(ApiError::NotUnderstood.into()),
            401 | 403 => Err(Failure::Refused(message())),
            404 => Err(Failure::NotFound(message())),
            400..=499 => Err(Failure::Usage(message())),
            _ => Err(Failure::Unavailable(message())),
        }
    }

    /// Does the same as [`Answer::ok`] for an optional feature: a control plane without it answers with a general 404.
    fn ok_if_available(self, what: &'static str) -> Result<Value, Failure> {
        let said = self.body["message"].as_str();
        let is_unknown_path = self.status == 404 && said.is_none_or(|said| said.eq_ignore_ascii_case("not found"));
        if is_unknown_path { Err(Failure::NotAvailable(what)) } else { self.ok() }
    }
}

/// Entry point of the command.
#[must_use]
pub fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(Failure::Unavailable(error.to_string())),
    };
    match outcome.and_then(|output| {
        let written = io::stdout().lock().write_all(output.as_bytes());
        written.map_err(|_| Failure::Usage("standard output was closed".to_owned()))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr().lock(), "portcullis-skill: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<String, Failure> {
    let machine = Machine::find(command.bot)?;
    let caller = Caller::new(&machine.context)?;
    match command.what {
        What::Secrets(Secrets::Get { name, env, json, skill }) => {
            let secrets = secrets(&machine.context, &caller, skill).await?;
            let form = match (env, json) {
                (true, _) => Form::Environment,
                (false, true) => Form::Json,
                (false, false) => Form::Plain,
            };
            secrets_output(&secrets, name.as_deref(), form)
        }
        What::Artifact(artifact) => artifact_command(&machine, &caller, *artifact).await,
        What::Feedback(feedback) => {
            let said = if feedback.content == "-" { read_input()? } else { feedback.content };
            let body = object([
                ("content", Some(json!(said))),
                ("agentId", Some(json!(machine.bot()?))),
                ("channel", feedback.channel.map(Value::from)),
                ("sender", feedback.sender.map(Value::from)),
                ("conversationContext", feedback.conversation_context.map(Value::from)),
            ]);
            let path = ["api", "internal", "feedback"];
            pretty(&caller.call(Method::POST, &path, None, Some(&body)).await?.ok()?)
        }
        What::Composio(composio) => composio_command(&machine, &caller, composio).await,
    }
}

async fn secrets(context: &Context, caller: &Caller, skill: Option<String>) -> Result<Map<String, Value>, Failure> {
    let of_folder = || env::current_dir().ok().as_deref().and_then(skill_of_folder);
    let skill = skill.or_else(of_folder).ok_or_else(|| {
        Failure::Usage("this does not run in a skill's folder: name the skill with --skill".to_owned())
    })?;
    let path = ["api", "internal", "secrets", &skill];
    match caller.call(Method::GET, &path, Some(&context.pool_id), None).await?.ok()? {
        Value::Object(secrets) => Ok(secrets),
        _ => Err(ApiError::NotUnderstood.into()),
    }
}

/// Output format of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One value unquoted, or all of them as a JSON object.
    Plain,
    /// A JSON object.
    Json,
    /// Lines for a shell: `export NAME='value'`.
    Environment,
}

fn secrets_output(secrets: &Map<String, Value>, name: Option<&str>, form: Form) -> Result<String, Failure> {
    let Some(name) = name else {
        if form != Form::Environment {
            return pretty(&Value::Object(secrets.clone()));
        }
        let lines = secrets.iter().map(|(name, value)| {
            let value = value.as_str().ok_or(ApiError::NotUnderstood)?;
            Ok(format!("export {name}={}\n", shell_quoted(value)))
        });
        return lines.collect();
    };
    let value =
        secrets.get(name).ok_or_else(|| Failure::NotFound(format!("there is no secret {name} for this skill")))?;
    if form == Form::Json {
        return pretty(&object([(name, Some(value.clone()))]));
    }
    value.as_str().map(str::to_owned).ok_or_else(|| ApiError::NotUnderstood.into())
}

/// Puts a text in single quotes, in which a shell reads every character literally.
///
/// Source: POSIX.1-2024, Shell Command Language, §2.2.2.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

async fn artifact_command(machine: &Machine, caller: &Caller, artifact: Artifact) -> Result<String, Failure> {
    let text = |value: Option<String>| value.map(Value::from);
    let (method, id, own, more) = match artifact {
        Artifact::Create { title, session_key, chat_id, thread_id, artifact_type, source, content_type, more } => {
            let own = vec![
                ("botId", Some(json!(machine.bot()?))),
                ("title", Some(json!(title))),
                ("sessionKey", text(session_key)),
                ("chatId", text(chat_id)),
                ("threadId", text(thread_id)),
                ("artifactType", text(artifact_type)),
                ("source", text(source)),
                ("contentType", text(content_type)),
            ];
            (Method::POST, None, own, more)
        }
        Artifact::Update { id, title, more } => (Method::PATCH, Some(id), vec![("title", text(title))], more),
    };
    let fields = own.into_iter().chain([
        ("status", text(more.status)),
        ("previewUrl", text(more.preview_url)),
        ("deployTarget", text(more.deploy_target)),
        ("linesOfCode", more.lines_of_code.map(Value::from)),
        ("fileCount", more.file_count.map(Value::from)),
        ("durationMs", more.duration_ms.map(Value::from)),
        ("metadata", more.metadata),
    ]);
    let body = object(fields);
    let path: Vec<&str> = ["api", "internal", "artifacts"].into_iter().chain(id.as_deref()).collect();
    pretty(&caller.call(method, &path, None, Some(&body)).await?.ok()?)
}

async fn composio_command(machine: &Machine, caller: &Caller, composio: Composio) -> Result<String, Failure> {
    let bot = machine.bot()?;
    let (verb, body) = match composio {
        Composio::Execute { action, params } => {
            let params = if params == "-" { read_input()? } else { params };
            let params = serde_json::from_str::<Map<String, Value>>(&params)
                .map_err(|_| Failure::Usage("the parameters must be a JSON object".to_owned()))?;
            ("execute", json!({ "botId": bot, "action": action, "params": params }))
        }
        Composio::Disconnect { toolkit } => ("disconnect", json!({ "botId": bot, "toolkitSlug": toolkit })),
    };
    let path = ["api", "internal", "composio", verb];
    let answer = caller.call(Method::POST, &path, None, Some(&body)).await?;
    // A 403 with a URL to connect the account is printed in full, because the skill needs the URL.
    if answer.status == 403 && answer.body["connectUrl"].is_string() {
        let _ = io::stdout().lock().write_all(pretty(&answer.body)?.as_bytes());
    }
    pretty(&answer.ok_if_available("Composio")?)
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value>)>) -> Value {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn pretty(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|_| ApiError::NotUnderstood)?;
    Ok(text + "\n")
}

/// Asserts that every line of each command's help fits into 80 columns.
#[cfg(test)]
pub(crate) fn assert_help_fits(mut command: clap::Command) {
    command.build();
    let helps = [command.render_help().to_string(), command.render_long_help().to_string()];
    for line in helps.iter().flat_map(|help| help.lines()) {
        assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
    }
    for inner in command.get_subcommands() {
        assert_help_fits(inner.clone());
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        assert_help_fits(Command::command());
    }

    #[test]
    fn text_that_begins_with_a_dash_is_text() {
        let parse = |arguments: &[&str]| {
            let arguments = [&["portcullis-skill"], arguments].concat();
            Command::try_parse_from(arguments).map(|command| command.what)
        };
        for text in
            ["- a point", "-", "--", "---", "-5 stars", "--great!", "-h is what I typed", "--help does not help"]
        {
            // A lone `--` ends the options everywhere.
            let arguments = if text == "--" { vec!["feedback", "--", text] } else { vec!["feedback", text] };
            let Ok(What::Feedback(feedback)) = parse(&arguments) else { panic!("{text}") };
            assert_eq!(feedback.content, text);
            let arguments = ["feedback", "--sender", text, "--conversation-context", text, text];
            if text != "--" {
                let Ok(What::Feedback(feedback)) = parse(&arguments) else { panic!("{text}") };
                assert_eq!((feedback.content.as_str(), feedback.sender.as_deref()), (text, Some(text)));
                assert_eq!(feedback.conversation_context.as_deref(), Some(text));
                let Ok(What::Artifact(artifact)) = parse(&["artifact", "create", "--title", text]) else {
                    panic!("{text}")
                };
                assert!(matches!(*artifact, Artifact::Create { title, .. } if title == text));
            }
        }
        assert_eq!(parse(&["feedback", "--help"]).unwrap_err().kind(), clap::error::ErrorKind::DisplayHelp);
        let Ok(What::Feedback(feedback)) = parse(&["feedback", "- a point", "--channel", "slack"]) else { panic!() };
        assert_eq!((feedback.content.as_str(), feedback.channel.as_deref()), ("- a point", Some("slack")));
    }

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

    #[test]
    fn a_secret_is_quoted_so_that_a_shell_reads_it_as_it_is() {
        let nasty = "a'b\"c`id`$(id)${HOME}\\\n;rm";
        let secrets: Map<String, Value> = [("KEY".to_owned(), json!(nasty))].into_iter().collect();
        let line = secrets_output(&secrets, None, Form::Environment).unwrap();
        let shell =
            std::process::Command::new("sh").arg("-c").arg(format!("{line}printf %s \"$KEY\"")).output().unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), nasty);
        assert_eq!(secrets_output(&secrets, Some("KEY"), Form::Plain).unwrap(), nasty);
        assert_eq!(secrets_output(&secrets, Some("OTHER"), Form::Plain).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn a_refusal_says_why_and_has_its_own_code() {
        for (status, body, code) in [
            (200, json!({}), None),
            (200, Value::Null, Some(5)),
            (400, json!({ "message": "No", "fields": { "title": "is missing" } }), Some(2)),
            (401, json!({ "message": "No" }), Some(4)),
            (403, Value::Null, Some(4)),
            (404, json!({ "message": "Bot not found" }), Some(3)),
            (409, json!({ "message": "Taken" }), Some(2)),
            (500, Value::Null, Some(5)),
            (503, json!({}), Some(5)),
        ] {
            let outcome = Answer { status, body }.ok();
            assert_eq!(outcome.err().map(|failure| failure.exit_code()), code, "{status}");
        }
        let of_composio = |body| Answer { status: 404, body }.ok_if_available("Composio").unwrap_err();
        assert_eq!(of_composio(json!({ "message": "Not found" })).exit_code(), 6);
        assert_eq!(of_composio(json!({ "message": "Bot not found" })).exit_code(), 3);
    }
}
