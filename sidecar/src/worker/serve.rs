//! The worker process: serves one request.

use std::{
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::sys::{prctl, signal::Signal};
use portcullis_crypto::Digest;
use portcullis_openclaw::FilePath;

use super::{Answer, Enabled, Ground, ProgramFile, Request, Work};
use crate::{
    files::{self, MAXIMUM_CONFIG, check, list::List, reach, skills, state_folder, templates},
    openclaw,
    own_program::confine,
};

/// Largest request in bytes: an escaped answer of the control plane.
const REQUEST_LIMIT: u64 = 64 * 1024 * 1024;

/// Entry point of the worker mode: reads one request from standard input, and answers it on standard output.
#[must_use]
pub fn main() -> ExitCode {
    // A worker ends with its sidecar, since nobody else reads its answer.
    let prepared = confine().and_then(|()| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    let served = prepared.and_then(|()| {
        let mut text = Vec::new();
        io::stdin().lock().take(REQUEST_LIMIT).read_to_end(&mut text)?;
        let Request { state, work } = serde_json::from_slice::<Request<Work>>(&text).map_err(io::Error::other)?;
        let answer = answer(&state, work).unwrap_or_else(|error| Answer::Failed(error.to_string()));
        let mut output = io::stdout().lock();
        output.write_all(&serde_json::to_vec(&answer).map_err(io::Error::other)?)?;
        output.flush()
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(state: &Path, work: Work) -> io::Result<Answer> {
    Ok(match work {
        Work::MakeState => {
            state_folder(state, true)?;
            Answer::Done
        }
        Work::Look(path) => {
            let found = reach(state, &path, false).and_then(|(folder, name)| folder.read(name, MAXIMUM_CONFIG));
            Answer::Found(found.is_ok())
        }
        Work::Check(expected) => Answer::Changes(check::check(state, &expected)),
        Work::Write(written) => {
            for (path, text) in written {
                let put = |path: &Path| {
                    let (folder, name) = reach(state, path, true)?;
                    folder.write(name, text.as_bytes(), files::PRIVATE)
                };
                put(&path).map_err(|error| named(&path, &error))?;
            }
            Answer::Done
        }
        Work::Skills { wanted, listed } => {
            let (mut list, failed) = skills::sync(state, &wanted, listed)?;
            list.files.retain(|path| !wanted.contains_key(path));
            synced(list, failed)
        }
        Work::Templates { agent, wanted, listed } => {
            let is_name = FilePath::try_from(agent.clone()).is_ok_and(|path| path.folders().count() == 0);
            if !is_name {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let (list, failed) = templates::sync(state, &agent, &wanted, listed)?;
            synced(list, failed)
        }
        Work::Find { candidates, config } => Answer::Ground(ground(state, &candidates, &config)),
        Work::Enabled(config) => Answer::Enabled(read_config(state, &config).map(|config| Enabled {
            plugins: openclaw::enabled_plugins(&config),
            platforms: openclaw::enabled_platforms(&config),
        })),
        Work::MakeScratch(name) => {
            let folder = state_folder(state, true)?.make(&name, files::place::OnOther::RefuseLinks)?;
            folder.write("openclaw.json", b"{}", files::PRIVATE)?;
            Answer::Done
        }
        Work::RemoveScratch(name) => {
            std::fs::remove_dir_all(state_folder(state, false)?.path().join(name))?;
            Answer::Done
        }
    })
}

fn synced(list: List, failed: Option<io::Error>) -> Answer {
    Answer::Synced(list, failed.map(|error| error.to_string()))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

fn read_config(state: &Path, config: &Path) -> Option<serde_json::Value> {
    let (folder, name) = reach(state, config, false).ok()?;
    let (text, _) = folder.read(name, MAXIMUM_CONFIG).ok()?;
    serde_json::from_slice(&text).ok()
}

fn ground(state: &Path, candidates: &[PathBuf], config: &Path) -> Ground {
    let config = reach(state, config, false).and_then(|(folder, name)| folder.read(name, MAXIMUM_CONFIG));
    // Links are followed: a program is most often a link into a folder of its package.
    let program = candidates.iter().filter_map(|path| std::fs::metadata(path).ok());
    let program = program.into_iter().find(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    Ground {
        config: config.ok().map(|(text, _)| Digest::of(&text)),
        program: program.map(|found| ProgramFile(found.dev(), found.ino(), found.ctime())),
    }
}
