//! `portcullis-sidecar drain-output`: reads the child's standard output and error, and writes their lines to the log.
//!
//! It is a process of its own, so that a child that outlives its sidecar is neither blocked nor killed by its next
//! write. The child's two pipes are its file descriptors 0 and 1, the log is its standard error. It ends when all
//! writers of both pipes have ended. Lines are passed on unchanged; lines that nobody reads are dropped and counted.

use std::{
    io::{self, PipeReader, Write},
    os::fd::{AsFd, BorrowedFd},
    process::{ExitCode, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::read,
};
use tokio::process::{Child, Command};

use crate::{
    log::{self, Level},
    outlet::Outlet,
    own_program::{DRAIN, OwnProgram, block_end_signals, confine},
};

/// Longest line in bytes; longer ones are split.
const MAXIMUM_LINE: usize = 16 * 1024;

/// Maximum bytes of short lines in one write. Writes up to this size to a pipe are atomic, so that lines of several
/// processes are not interleaved.
///
/// Source: pipe(7), `PIPE_BUF`.
const BLOCK: usize = 4096;

/// Time-out for writing the last lines after the child has ended.
const LAST_LINES: Duration = Duration::from_secs(2);

/// How long the sidecar waits for a drain to end after its child, before it kills the drain.
const PATIENCE: Duration = Duration::from_secs(4);

/// A drain that this sidecar has started.
#[derive(Debug)]
pub struct Drain(Child);

impl Drain {
    /// Starts a drain. Returns it with the standard output and error for the child.
    ///
    /// # Errors
    /// Errors of making pipes and starting a process.
    pub fn start(program: &OwnProgram) -> io::Result<(Self, Stdio, Stdio)> {
        let (output, output_writer) = io::pipe()?;
        let (errors, errors_writer) = io::pipe()?;
        let spawn = |output: PipeReader, errors: PipeReader| {
            let mut command = program.command(DRAIN);
            command.stdin(output).stdout(errors).stderr(Stdio::inherit());
            Command::from(command).spawn()
        };
        Ok((Self(spawn(output, errors)?), output_writer.into(), errors_writer.into()))
    }

    /// Waits for the drain's end, once the child has ended. The drain is killed if a process still holds the pipes, or
    /// a signal of the child's user has stopped it.
    pub async fn end(&mut self) {
        if tokio::time::timeout(PATIENCE, self.0.wait()).await.is_err() {
            // The drain may have ended in the meantime.
            let _ = self.0.kill().await;
        }
    }
}

/// Entry point of the `drain-output` mode.
#[must_use]
pub fn main() -> ExitCode {
    match confine().and_then(|()| block_end_signals()).and_then(|()| drain()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// One of the two pipes, with the line that has begun.
struct Source<'a> {
    descriptor: BorrowedFd<'a>,
    line: Vec<u8>,
}

fn drain() -> io::Result<()> {
    let write = |line: &[u8]| drop(io::stderr().lock().write_all(line));
    let outlet = Outlet::start(write, |count| {
        let facts = [("droppedLines", count.into())];
        log::as_line(Level::Warn, "lines of OpenClaw's output were dropped, since nobody read the log", &facts)
    });
    let (output, errors) = (io::stdin(), io::stdout());
    let mut sources: Vec<Source<'_>> =
        [output.as_fd(), errors.as_fd()].map(|descriptor| Source { descriptor, line: Vec::new() }).into();
    let mut buffer = vec![0; 64 * 1024];
    while !sources.is_empty() {
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().map(|source| PollFd::new(source.descriptor, PollFlags::POLLIN)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = polled.iter().map(|one| one.any().unwrap_or(true)).collect();
        let mut is_ready = is_ready.into_iter();
        sources.retain_mut(|source| {
            if !is_ready.next().unwrap_or(false) {
                return true;
            }
            match read(source.descriptor, &mut buffer) {
                Err(Errno::EINTR | Errno::EAGAIN) => true,
                Err(_) | Ok(0) => {
                    if !source.line.is_empty() {
                        source.line.push(b'\n');
                        outlet.push(&source.line);
                    }
                    false
                }
                Ok(count) => {
                    split(&mut source.line, buffer.get(..count).unwrap_or_default(), |lines| outlet.push(lines));
                    true
                }
            }
        });
    }
    // Without a reader of the log the last lines are lost.
    let _ = outlet.flush(LAST_LINES);
    Ok(())
}

/// Appends bytes to the begun line and emits each line that is whole or too long; short lines are emitted in blocks.
fn split(begun: &mut Vec<u8>, bytes: &[u8], mut take: impl FnMut(&[u8])) {
    let mut block = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut rest = part;
        // The line break does not count towards the length.
        while begun.len() + rest.strip_suffix(b"\n").unwrap_or(rest).len() > MAXIMUM_LINE {
            let (fitting, more) = rest.split_at(MAXIMUM_LINE - begun.len());
            begun.extend_from_slice(fitting);
            begun.push(b'\n');
            take_block(&mut block, begun, &mut take);
            rest = more;
        }
        begun.extend_from_slice(rest);
        if begun.ends_with(b"\n") {
            take_block(&mut block, begun, &mut take);
        }
    }
    if !block.is_empty() {
        take(&block);
    }
}

/// Moves a line into the block. A block without space for it is emitted first.
fn take_block(block: &mut Vec<u8>, line: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) {
    if block.len() + line.len() > BLOCK && !block.is_empty() {
        take(block);
        block.clear();
    }
    block.append(line);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut line, mut lines) = (Vec::new(), Vec::new());
        for chunk in chunks {
            split(&mut line, chunk, |block| {
                assert!(block.len() <= BLOCK.max(MAXIMUM_LINE + 1));
                lines.extend(block.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            });
        }
        (lines, line)
    }

    #[test]
    fn a_line_is_left_as_it_is_and_one_that_is_too_long_is_several() {
        let (whole, rest) = lines(&[b"one\ntw", b"o\n\nthr"]);
        assert_eq!(whole, [&b"one\n"[..], b"two\n", b"\n"]);
        assert_eq!(rest, b"thr");
        let exact = [vec![b'x'; MAXIMUM_LINE], b"\n".to_vec()].concat();
        assert_eq!(lines(&[&exact]).0, std::slice::from_ref(&exact));
        let long = vec![b'x'; 2 * MAXIMUM_LINE + 1];
        let (whole, rest) = lines(&[&long]);
        assert!(whole.iter().all(|line| line.len() == MAXIMUM_LINE + 1) && whole.len() == 2);
        assert_eq!(rest, b"x");
    }

    proptest! {
        // Few cases, because each has long lines.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn nothing_is_lost_and_nothing_is_longer_than_the_longest_line(
            chunks in prop::collection::vec(prop::collection::vec(prop_oneof![20 => Just(b'x'), 1 => Just(b'\n')], 0..40_000), 0..4),
        ) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let (whole, rest) = lines(&chunks);
            prop_assert!(whole.iter().all(|line| line.len() <= MAXIMUM_LINE + 1 && line.ends_with(b"\n")));
            let count = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).sum::<usize>();
            let seen: usize = whole.iter().map(|line| count(line)).sum::<usize>() + count(&rest);
            prop_assert_eq!(seen, chunks.iter().map(|chunk| count(chunk)).sum::<usize>());
        }
    }
}
