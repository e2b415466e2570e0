//! What `cargo local` is asked to do.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// The whole of Portcullis in one process on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo local", version, about)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Arguments {
    /// The port on 127.0.0.1; 0 for one that is free
    #[arg(long, default_value_t = 8787)]
    pub port: u16,
    /// Keep the data, and the keys it is sealed under, in this folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print nothing but problems
    #[arg(long)]
    pub quiet: bool,
    /// Log in JSON
    #[arg(long)]
    pub json: bool,
    /// Make a demonstration pool, bot and channel, and send a signed message through
    #[arg(long)]
    pub demo: bool,
    /// Deliver the demonstration's messages to the pool that listens here
    #[arg(long, value_name = "IP:PORT", requires = "demo")]
    pub demo_pool: Option<SocketAddr>,
    /// Start the database alone, for `cargo lambda watch`
    #[arg(long, conflicts_with = "demo")]
    pub database_only: bool,
    /// Print a signed, fresh event for `cargo lambda invoke slack --data-file`, of the body in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["demo", "database_only"])]
    pub sign: Option<PathBuf>,
    /// The name of the secret that --sign signs with
    #[arg(long, value_name = "NAME", default_value = "DEMO_SLACK_SIGNING_SECRET", requires = "sign")]
    pub with: String,
    /// List the events that were given up on, in the folder of --data
    #[arg(long, requires = "data", conflicts_with_all = ["demo", "database_only", "sign"])]
    pub dead_letters: bool,
    /// Queue the events that were given up on again, in the folder of --data
    #[arg(long, requires = "data", conflicts_with_all = ["demo", "database_only", "sign"])]
    pub redrive: bool,
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// What else this program is, for the demonstration's pool.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// The sidecar, set up by its environment
    #[command(hide = true)]
    Sidecar {
        /// The child's command
        #[arg(last = true)]
        child: Vec<OsString>,
    },
    /// What stands where OpenClaw would be
    #[command(hide = true)]
    StandInOpenclaw {
        /// The port on 127.0.0.1
        port: u16,
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
        for bad in [
            &["--demo-pool", "127.0.0.1:1"] as &[_],
            &["--demo", "--demo-pool", "localhost"],
            &["--redrive"],
            &["--demo", "--database-only"],
            &["--port", "65536"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
