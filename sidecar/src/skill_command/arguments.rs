//! Arguments of `portcullis-skill`.

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

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
    pub(super) bot: Option<String>,
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
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
pub(super) enum Secrets {
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
pub(super) enum Artifact {
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
pub(super) struct ArtifactFields {
    /// building, live, failed or stopped.
    #[arg(long)]
    pub(super) status: Option<String>,
    /// URL of a preview, http or https.
    #[arg(long)]
    pub(super) preview_url: Option<String>,
    /// Deployment target.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) deploy_target: Option<String>,
    /// Number of lines of code.
    #[arg(long)]
    pub(super) lines_of_code: Option<u64>,
    /// Number of files.
    #[arg(long)]
    pub(super) file_count: Option<u64>,
    /// Duration in milliseconds.
    #[arg(long)]
    pub(super) duration_ms: Option<u64>,
    /// Further fields, as JSON.
    #[arg(long, value_parser = parse_json, allow_hyphen_values = true)]
    pub(super) metadata: Option<Value>,
}

#[derive(Args, Debug)]
pub(super) struct Feedback {
    /// The feedback; a dash alone reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub(super) content: String,
    /// Channel of the feedback.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) channel: Option<String>,
    /// Author of the feedback.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) sender: Option<String>,
    /// Context of the chat.
    #[arg(long, allow_hyphen_values = true)]
    pub(super) conversation_context: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Composio {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{super::assert_help_fits, *};

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
}
