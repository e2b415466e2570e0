//! Everything that a launched process has started, and its end.
//!
//! Every launched process leads a session of its own (see [`crate::stage`]). A process cannot enter another session, and so
//! none of its descendants is ever in the sidecar's, where the sidecar's own helpers are. As a child subreaper the sidecar becomes
//! the parent of every descendant whose own parent has ended.
//!
//! One kind of process is not found: of an adopted child without a cgroup of its own, a descendant that left the session and lost
//! its parent before the adoption. Nothing that the kernel tells of it names the child, and a guess could end another's process.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::wait::{WaitPidFlag, waitpid},
    unistd::Pid,
};
use rustix::process::Signal;

use crate::{
    cgroup::Cgroup,
    log,
    pace::{Moment, pause},
    proc::{self, Rights, Stat},
};

/// How long a killed process may take to be gone: longer only where the kernel itself waits for a disk.
pub const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks for processes that remain.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks for zombies.
const REAP: Duration = Duration::from_millis(200);

/// How long the sidecar's own helpers may stay zombies: each is waited for, and sooner.
pub const FORGOTTEN: Duration = Duration::from_mins(1);

/// The launched processes that are the sidecar's children and waited for by whoever launched them. It is locked from before a
/// process is started until it is listed, so that no process is taken for a stray in between.
static LEADERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The cgroups of launched processes that nobody waited for any more: they are killed, and still to be removed.
static LOST: Mutex<Vec<Cgroup>> = Mutex::new(Vec::new());

fn lost() -> MutexGuard<'static, Vec<Cgroup>> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the list of launched processes.
pub fn leaders() -> MutexGuard<'static, BTreeSet<u32>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A launched process and all of its descendants.
#[derive(Debug)]
pub struct Tree {
    leader: Option<Stat>,
    uid: u32,
    /// That of the leader, where there is one.
    cgroups: Vec<Cgroup>,
    /// Nothing that started before this is of the tree.
    since: u64,
    /// Descendants that were seen, by their ids, with their start times.
    seen: BTreeMap<u32, u64>,
    is_ended: bool,
}

impl Tree {
    /// The tree of this leader, which runs as this user.
    #[must_use]
    pub fn new(leader: Stat, uid: u32, cgroup: Option<Cgroup>) -> Self {
        let since = leader.start_time;
        let cgroups = cgroup.into_iter().collect();
        Self { leader: Some(leader), uid, cgroups, since, seen: BTreeMap::new(), is_ended: false }
    }

    /// What of this user's has fallen to the sidecar, whoever led it.
    #[must_use]
    pub fn strays(uid: u32) -> Self {
        let since = Stat::of(std::process::id()).map_or(0, |own| own.start_time);
        let cgroups = std::mem::take(&mut *lost());
        Self { leader: None, uid, cgroups, since, seen: BTreeMap::new(), is_ended: false }
    }

    /// The leader's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.leader.map_or(0, |leader| leader.pid)
    }

    /// When the leader started.
    #[must_use]
    pub fn start_time(&self) -> u64 {
        self.since
    }

    /// The cgroup that all of it is in.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroups.first().map(Cgroup::folder)
    }

    /// Forgets the cgroup where the leader could not enter it. One that has ended meanwhile may have left something there.
    pub fn check_cgroup(&mut self) {
        let id = self.id();
        for cgroup in self.cgroups.extract_if(.., |cgroup| !cgroup.holds(id) && cgroup.members().is_empty()) {
            cgroup.remove();
        }
    }

    /// Sends a signal to the leader alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            leader.signal(signal);
        }
    }

    /// Looks for descendants, which may lose the parent by which they are known.
    pub fn look(&mut self) {
        let _ = self.remaining();
    }

    /// Ends all of it. The leader is left to be reaped by whoever waits for it.
    pub async fn end(&mut self) {
        let begun = Moment::now();
        let mut empty = 0;
        // More than once: a process can start another behind a reader of /proc.
        while empty < 3 {
            self.cgroups.iter().for_each(Cgroup::kill);
            let remaining = self.remaining();
            for process in &remaining {
                process.signal(Signal::KILL);
            }
            reap(&BTreeMap::new());
            empty = if remaining.is_empty() { empty + 1 } else { 0 };
            if empty == 0 && begun.age() >= KILL_PATIENCE {
                log::warn(
                    "processes that OpenClaw started could not be ended",
                    &[("pids", remaining.iter().map(|process| process.pid).collect::<Vec<_>>().into())],
                );
                break;
            }
            pause(LOOK).await;
        }
        self.cgroups.iter().for_each(Cgroup::remove);
        self.is_ended = true;
    }

    /// What of it is alive.
    fn remaining(&mut self) -> Vec<Stat> {
        let members: BTreeSet<u32> = self.cgroups.iter().flat_map(Cgroup::members).collect();
        let leaders = leaders();
        let Ok(all) = proc::all() else { return Vec::new() };
        let own = std::process::id();
        let Some(own_session) = all.get(&own).map(|own| own.session) else { return Vec::new() };
        let leader = self.leader.filter(|leader| all.get(&leader.pid).is_some_and(|now| is_same(*leader, now)));
        // The id of a session stays taken while anything is in it: where its leader is another process, it is another session.
        let session = self.leader.map(|leader| leader.pid);
        let session = session.filter(|pid| leader.is_some() || !all.contains_key(pid));
        let is_of_other = |pid: u32| leaders.contains(&pid) && Some(pid) != leader.map(|leader| leader.pid);
        let descends = |process: &Stat| {
            let mut at = process;
            // A parent that ends meanwhile breaks the chain; the next look finds it mended.
            for _ in 0..all.len() {
                if leader.is_some_and(|leader| leader.pid == at.pid) {
                    return true;
                }
                if is_of_other(at.pid) {
                    return false;
                }
                if at.parent == own {
                    // It has fallen to the sidecar, or it is a child of the sidecar's own.
                    return at.session != own_session && at.session != 0;
                }
                match all.get(&at.parent) {
                    Some(parent) => at = parent,
                    None => return false,
                }
            }
            false
        };
        let is_remaining = |process: &&Stat| {
            if process.is_zombie || process.pid == own || process.start_time < self.since || is_of_other(process.pid) {
                return false;
            }
            if members.contains(&process.pid) || leader.is_some_and(|leader| leader.pid == process.pid) {
                return true;
            }
            let is_seen = self.seen.get(&process.pid) == Some(&process.start_time);
            let is_found = is_seen || session == Some(process.session) || descends(process);
            // Both are kept by all that a launched process starts, whatever it does.
            is_found && Rights::of(process.pid).is_some_and(|it| it.uid == self.uid && it.no_new_privileges)
        };
        let remaining: Vec<Stat> = all.values().filter(is_remaining).copied().collect();
        self.seen = remaining.iter().map(|process| (process.pid, process.start_time)).collect();
        remaining
    }
}

fn is_same(one: Stat, other: &Stat) -> bool {
    one.pid == other.pid && one.start_time == other.start_time
}

impl Drop for Tree {
    /// Whoever launched it was told to stop: nobody will wait for it. A sidecar that breaks leaves its child to the next.
    fn drop(&mut self) {
        if !self.is_ended && !std::thread::panicking() {
            self.cgroups.iter().for_each(Cgroup::kill);
            for process in self.remaining() {
                process.signal(Signal::KILL);
            }
        }
        if !self.is_ended {
            lost().append(&mut self.cgroups);
        }
        leaders().remove(&self.id());
    }
}

/// Reaps what has fallen to the sidecar and ended, but for what is listed. Returns the zombies in the sidecar's own session, where
/// its helpers are, for which somebody waits: they stay, unless they are `forgotten`.
fn reap(forgotten: &BTreeMap<u32, u64>) -> BTreeMap<u32, u64> {
    let leaders = leaders();
    let mut kept = BTreeMap::new();
    let Ok(all) = proc::all() else { return kept };
    let own = std::process::id();
    let Some(own_session) = all.get(&own).map(|own| own.session) else { return kept };
    let is_fallen = |process: &&Stat| process.is_zombie && process.parent == own && !leaders.contains(&process.pid);
    for process in all.values().filter(is_fallen) {
        if process.session == own_session && forgotten.get(&process.pid) != Some(&process.start_time) {
            kept.insert(process.pid, process.start_time);
        } else if let Ok(pid) = i32::try_from(process.pid) {
            // A zombie is its parent's alone: it is still there.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
    kept
}

/// Reaps what falls to the sidecar, for as long as it runs: at once, and where it is in the sidecar's own session (as what was
/// started before the sidecar in a container), once it was a zombie for as long as `forgotten`.
pub async fn keep_reaping(mut ended: tokio::signal::unix::Signal, forgotten: Duration) {
    let mut zombies = BTreeMap::new();
    loop {
        let found = tokio::time::timeout(forgotten, async {
            while ended.recv().await.is_some() {
                reap(&BTreeMap::new());
                // However fast processes end, this costs little.
                pause(REAP).await;
            }
        });
        // No more signals can be told of: the runtime ends.
        if found.await.is_ok() {
            return;
        }
        zombies = reap(&zombies);
    }
}
