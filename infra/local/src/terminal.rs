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

/// How often it looks whether anybody still reads what it prints.
const LOOK: Duration = Duration::from_millis(200);

/// Standard output has no reader any more, as after `| head`. The program ends, and that is no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output has no reader any more")]
pub(crate) struct OutputClosed;

/// Writes to standard output at once. `print!` would panic where its reader has gone.
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

/// Writes a line to standard error. One that cannot be written must not end what it is about.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Comes when standard output is a pipe whose reader has gone, also where nothing is written to it.
pub(crate) async fn reader_gone() {
    let output = io::stdout();
    loop {
        // Asked for nothing, the kernel still tells of errors; a file has none.
        let mut watched = [PollFd::new(output.as_fd(), PollFlags::empty())];
        let told = poll(&mut watched, PollTimeout::ZERO).unwrap_or_default();
        let events = watched.iter().filter_map(PollFd::revents).fold(PollFlags::empty(), PollFlags::union);
        if told > 0 && events.contains(PollFlags::POLLERR) {
            return;
        }
        let _ = timeout(LOOK, std::future::pending::<()>()).await;
    }
}

/// Somebody ending this: with Ctrl-C or Ctrl-\\, with SIGTERM, or by closing the terminal.
pub(crate) struct End {
    signals: [Signal; 3],
    hangup: Option<Signal>,
}

impl End {
    pub(crate) fn listen() -> io::Result<Self> {
        let listen = |kind| signal(kind);
        let signals = [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::quit())?];
        let hangup = if ignores_hangup() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { signals, hangup })
    }

    pub(crate) async fn come(&mut self) {
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

/// Whether this was started with SIGHUP ignored, as `nohup` does: listening would undo that.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal n is bit n - 1, and SIGHUP is 1.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
