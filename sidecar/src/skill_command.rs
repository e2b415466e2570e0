//! `portcullis-skill`: the command-line client that skills call the control plane with.
//!
//! It reads the pool from `nexu-context.json` in `OPENCLAW_STATE_DIR` and nowhere else: a file that somebody placed in
//! a working folder could name another control plane, which would receive the token. The bot is the one in whose
//! agent's workspace the command runs, unless `--bot` names another of the pool's. The token is in the file that
//! `SKILL_API_TOKEN_FILE` names; if that file does not exist, in `SKILL_API_TOKEN`. Results go to standard output as
//! JSON, errors to standard error.

mod arguments;
mod caller;
mod machine;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use reqwest::Method;
use serde_json::{Map, Value, json};

use self::{
    arguments::{Artifact, Command, Composio, Secrets, What},
    caller::Caller,
    machine::{Context, Machine, read_input, skill_of_folder},
};
use crate::api::ApiError;

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
    if answer.has_connect_url() {
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
    use super::*;

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
}
