//! Command line of `cargo local`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use portcullis_auth::PoolId;
use portcullis_local::wal_sync::Durability;

/// The whole of Portcullis in one process on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo local", bin_name = "cargo local", version, about, next_line_help = true)]
#[command(group = ArgGroup::new("task").args([
    "demo", "database_only", "sign", "send", "text", "runtime_token", "dead_letters", "redrive", "import_users",
]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Arguments {
    /// The port on 127.0.0.1; 0 for one that is free
    #[arg(long, default_value_t = 8787)]
    pub port: u16,
    /// Keep the data, and the keys it is sealed under, in this folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Failure that an answered write to --data survives: `power-cut`, for
    /// which each write waits for the disk, or the faster
    /// `process-death`
    #[arg(
        long,
        value_name = "EVENT",
        value_enum,
        default_value = "power-cut",
        hide_possible_values = true,
        requires = "data",
        verbatim_doc_comment
    )]
    pub survive: Survive,
    /// Print nothing but the address and problems
    #[arg(long)]
    pub quiet: bool,
    /// Print and log in JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Make a demonstration pool, bot and channel, send a signed message
    /// through, and show each request
    #[arg(long, verbatim_doc_comment)]
    pub demo: bool,
    /// Deliver the demonstration's messages to the pool that listens here
    #[arg(long, value_name = "IP:PORT", requires = "demo")]
    pub demo_pool: Option<SocketAddr>,
    /// Sign the event in this file for the demonstration's channel, send it
    /// to the running stack at --port, and print the answer
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub send: Option<PathBuf>,
    /// The same with a message of this text
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Print a token for this pool's machine, which the running stack at
    /// --port issues
    #[arg(long, value_name = "POOL", verbatim_doc_comment)]
    pub runtime_token: Option<PoolId>,
    /// Lifetime of the token in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, requires = "runtime_token")]
    pub ttl: u32,
    /// Start the database alone, for `cargo lambda watch`
    #[arg(long)]
    pub database_only: bool,
    /// Print a signed, fresh event of the body in this file, for
    /// `cargo lambda invoke slack --data-file`
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub sign: Option<PathBuf>,
    /// The name of the secret that --sign, --send and --text sign with; if
    /// none is named, `DEMO_SLACK_SIGNING_SECRET`
    #[arg(
        long,
        value_name = "NAME",
        default_value = "DEMO_SLACK_SIGNING_SECRET",
        hide_default_value = true,
        verbatim_doc_comment
    )]
    pub with: String,
    /// List the events that were given up on, in the folder of --data
    #[arg(long, requires = "data")]
    pub dead_letters: bool,
    /// Queue the events that were given up on again, in the folder of --data
    #[arg(long, requires = "data")]
    pub redrive: bool,
    /// Import the people of a better-auth database: a file of its rows of
    /// `user` and `account`, one JSON object a line. They go into the folder
    /// of --data, or else into the DynamoDB that the environment names
    /// (`TABLE_PREFIX`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, …)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub import_users: Option<PathBuf>,
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// Event that an answered write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Survive {
    PowerCut,
    ProcessDeath,
}

impl From<Survive> for Durability {
    fn from(survive: Survive) -> Self {
        match survive {
            Survive::PowerCut => Self::PowerCut,
            Survive::ProcessDeath => Self::ProcessDeath,
        }
    }
}

/// Helper processes of the demonstration's pool, which this program is too.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// The sidecar, set up by its environment, until its input ends
    #[command(hide = true)]
    Sidecar {
        /// The child's command
        #[arg(last = true)]
        child: Vec<OsString>,
    },
    /// The process in the place of OpenClaw
    #[command(hide = true)]
    StandInOpenclaw {
        /// The port on 127.0.0.1
        port: u16,
        /// Base URL of the Web API that it answers messages at
        #[arg(long)]
        slack_api: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_those_that_contradict_are_refused() {
        Arguments::command().debug_assert();
        let parse = |arguments: &[&str]| Arguments::try_parse_from([&["cargo local"], arguments].concat());
        assert_eq!(parse(&[]).unwrap().port, 8787);
        assert!(parse(&["--demo", "--demo-pool", "127.0.0.1:18789"]).is_ok());
        assert_eq!(parse(&["--runtime-token", "pool-1"]).unwrap().ttl, 86_400);
        for bad in [
            &["--demo-pool", "127.0.0.1:1"] as &[_],
            &["--demo", "--demo-pool", "localhost"],
            &["--redrive"],
            &["--survive", "process-death"],
            &["--data", "folder", "--survive", "nothing"],
            &["--demo", "--database-only"],
            &["--send", "event.json", "--text", "hello"],
            &["--ttl", "60"],
            &["--runtime-token", ""],
            &["--port", "65536"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_help_fits_into_80_columns() {
        for help in [Arguments::command().render_help(), Arguments::command().render_long_help()] {
            let help = help.to_string();
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{long:#?}");
        }
    }
}
