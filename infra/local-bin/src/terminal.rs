//! Standard output and error, and the signals that end this program.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// Interval of the check for a reader.
const LOOK: Duration = Duration::from_millis(200);

/// Standard output has no reader left, as after `| head`. The program then ends with success.
#[derive(Debug, thiserror::Error)]
#[error("standard output has no reader any more")]
pub(crate) struct OutputClosed;

/// Writes to standard output and flushes it. `print!` would panic where the reader has gone.
///
/// # Errors
/// [`OutputClosed`], or another failure of writing, such as a full disk.
pub(crate) fn print(text: &str) -> Result<(), crate::Problem> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        outcome => Ok(outcome?),
    }
}

/// Writes a line to standard error, and ignores a failure to do so.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Completes when standard output is a pipe without a reader, even while nothing is written to it.
pub(crate) async fn reader_gone() {
    let output = io::stdout();
    loop {
        // The kernel reports errors even if no event was requested. A file has none.
        let mut watched = [PollFd::new(output.as_fd(), PollFlags::empty())];
        let told = poll(&mut watched, PollTimeout::ZERO).unwrap_or_default();
        let events = watched.iter().filter_map(PollFd::revents).fold(PollFlags::empty(), PollFlags::union);
        if told > 0 && events.contains(PollFlags::POLLERR) {
            return;
        }
        let _ = timeout(LOOK, std::future::pending::<()>()).await;
    }
}

/// Signals that end this program: Ctrl-C, Ctrl-\\, SIGTERM, and the terminal's end.
pub(crate) struct ShutdownSignal {
    signals: [Signal; 3],
    hangup: Option<Signal>,
}

impl ShutdownSignal {
    pub(crate) fn listen() -> io::Result<Self> {
        let listen = |kind| signal(kind);
        let signals = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::quit())?];
        let hangup = if ignores_hangup() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { signals, hangup })
    }

    pub(crate) async fn recv(&mut self) {
        let [interrupt, terminate, quit] = &mut self.signals;
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Returns whether SIGHUP was ignored at start, as `nohup` sets it. Listening for it would undo that.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal n is bit n - 1, and SIGHUP is 1.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
