//! Command line of `portcullis-sidecar`.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{end, own_program, prepare, run};

/// Syncs a pool and supervises its OpenClaw
///
/// Registers the pool, sends heartbeats, syncs configuration, skills and
/// templates from the control plane, and starts OpenClaw in an environment
/// without secrets of the control plane.
#[derive(Debug, Parser)]
#[command(name = "portcullis-sidecar", version, verbatim_doc_comment, next_line_help = true)]
#[command(after_long_help = SETTINGS)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    action: Option<Action>,
    /// OpenClaw's command, after --; openclaw gateway run by default
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ends an OpenClaw that outlived its sidecar
    ///
    /// A sidecar that crashes leaves OpenClaw running, and the next one adopts it. If
    /// no other is to start, this ends OpenClaw and all its descendants. It needs the
    /// sidecar's settings, and does nothing while a sidecar runs.
    #[command(verbatim_doc_comment)]
    End,
    /// Installs OpenClaw's plugins for the pool's platforms
    ///
    /// They are installed as OpenClaw's user, in OpenClaw's own version unless another
    /// is named. The platforms are those that the configuration enables: the one on the
    /// disk, else the control plane's. OpenClaw's settings are needed, and the control
    /// plane's only for its configuration. Variables that npm needs (for a private
    /// registry, for example) are named in `PORTCULLIS_PASS_ENV`.
    #[command(verbatim_doc_comment)]
    Prepare {
        /// Platforms to prepare for instead, as slack or feishu@2026.9.5
        platforms: Vec<String>,
        /// OpenClaw's command, after `--`
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

const SETTINGS: &str = "\
Settings, all from the environment:
  PORTCULLIS_API_URL       the control plane (required)
  PORTCULLIS_POOL_ID       the pool (required)
  PORTCULLIS_TOKEN_FILE    the file with the pool's token, or else
  INTERNAL_API_TOKEN       the token, taken out of the environment at once
  PORTCULLIS_POD_IP        where deliveries reach the pool: ip, or ip:port
  PORTCULLIS_CHILD_USER    the user that OpenClaw runs as: a name or a number
                           (required where the sidecar is root)
  PORTCULLIS_PASS_ENV      names of more variables that OpenClaw is given
  PORTCULLIS_RUN_DIR       where the sidecar notes its child, one folder a pool
                           (/run/portcullis/POOL)
  PORTCULLIS_GATEWAY       where OpenClaw is probed (127.0.0.1:18789)
  PORTCULLIS_STOP_SECONDS  how long OpenClaw may take to end: 1 to 300 (30)
  OPENCLAW_STATE_DIR       OpenClaw's state (~/.openclaw)
  OPENCLAW_CONFIG_PATH     its configuration (openclaw.json in its state)

The control plane is called through HTTPS_PROXY or ALL_PROXY, but for NO_PROXY;
one on this machine is never called through a proxy.

SIGTERM, SIGINT, SIGQUIT and SIGHUP end OpenClaw, then the sidecar.
The log is one JSON object a line on standard error.";

/// Entry point of the command.
#[must_use]
pub fn main() -> ExitCode {
    // Internal modes first: they are not for people, and so not in the help.
    if let Some(code) = own_program::mode() {
        return code;
    }
    let CommandLine { action, command } = CommandLine::parse();
    match action {
        Some(Action::Prepare { platforms, command }) => prepare::main(&platforms, &command),
        Some(Action::End) => end::main(),
        None => run::main(command.into_iter()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn command(arguments: &[&str]) -> Result<Vec<OsString>, clap::error::ErrorKind> {
        let arguments = [&["portcullis-sidecar"], arguments].concat();
        CommandLine::try_parse_from(arguments).map(|parsed| parsed.command).map_err(|error| error.kind())
    }

    #[test]
    fn a_childs_command_comes_after_two_dashes_alone() {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, InvalidSubcommand, UnknownArgument};
        CommandLine::command().debug_assert();
        assert_eq!(command(&[]), Ok(vec![]));
        assert_eq!(command(&["--", "node", "--help", "--", "x"]).unwrap(), ["node", "--help", "--", "x"]);
        assert_eq!(command(&["--help"]), Err(DisplayHelp));
        assert_eq!(command(&["--version"]), Err(DisplayVersion));
        for wrong in [&["openclaw", "gateway", "run"][..], &["--verbose"], &["-x"], &["x", "--", "openclaw"]] {
            let error = command(wrong).unwrap_err();
            assert!(matches!(error, UnknownArgument | InvalidSubcommand), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn help_fits_80_columns() {
        crate::skill_command::assert_help_fits(CommandLine::command());
    }

    #[test]
    fn prepare_takes_platforms_and_a_command() {
        let parse = |arguments: &[&str]| {
            let arguments = [&["portcullis-sidecar", "prepare"], arguments].concat();
            let Some(Action::Prepare { platforms, command }) = CommandLine::try_parse_from(arguments).unwrap().action
            else {
                panic!("prepare is lost")
            };
            (platforms, command)
        };
        assert_eq!(parse(&[]), (vec![], vec![]));
        assert_eq!(parse(&["slack", "--", "node", "x"]), (vec!["slack".into()], vec!["node".into(), "x".into()]));
    }
}
