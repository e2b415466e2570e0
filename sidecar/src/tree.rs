//! Everything that a launched process has started, and its end.
//!
//! Every launched process leads a session of its own (see [`crate::stage`]). A process cannot enter another session, and so
//! none of its descendants is ever in the sidecar's, where the sidecar's own helpers are. As a child subreaper the sidecar becomes
//! the parent of every descendant whose own parent has ended.
//!
//! A line of processes, each of which ends as soon as it has started the next, is always ahead of a reader of all of `/proc`: what
//! ended it left shows that it is there, and the ids that the kernel gave last show where.
//!
//! One kind of process is not found: of an adopted child without a cgroup of its own, a descendant that left the session and lost
//! its parent before the adoption. Nothing that the kernel tells of it names the child, and a guess could end another's process.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::wait::{WaitPidFlag, waitpid},
    unistd::Pid,
};
use rustix::process::{Signal, getpriority_process, setpriority_process};

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

/// How many looks in a row may find something before the newest processes are followed as well.
const PLAIN_LOOKS: u32 = 2;

/// How long one look follows the newest processes.
const CHASE: Duration = Duration::from_millis(50);

/// The thread's nice value meanwhile, as root: it runs before all that are not of the kernel's own.
const FIRST: i32 = -20;

/// How many parents of a newest process are looked at: a look through all of `/proc` finds the deeper ones.
const CHASED_PARENTS: usize = 64;

/// Between two looks for zombies.
const REAP: Duration = Duration::from_millis(200);

/// How long the sidecar's own helpers may stay zombies: each is waited for, and sooner.
pub const FORGOTTEN: Duration = Duration::from_mins(1);

/// The launched processes that are the sidecar's children and waited for by whoever launched them. It is locked from before a
/// process is started until it is listed, so that no process is taken for a stray in between.
static LEADERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// How many processes that had fallen to the sidecar and were in another session were reaped.
static REAPED: AtomicU64 = AtomicU64::new(0);

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
        let mut reaped = REAPED.load(Ordering::Relaxed);
        let (mut quiet, mut restless) = (0, 0);
        let mut usual = None;
        // More than once: a process can start another behind a reader of /proc.
        while quiet < 3 {
            self.cgroups.iter().for_each(Cgroup::kill);
            let remaining = self.remaining();
            for process in &remaining {
                process.signal(Signal::KILL);
            }
            reap(&BTreeMap::new());
            let before = std::mem::replace(&mut reaped, REAPED.load(Ordering::Relaxed));
            let is_quiet = remaining.is_empty() && before == reaped;
            (quiet, restless) = if is_quiet { (quiet + 1, 0) } else { (0, restless + 1) };
            if restless > PLAIN_LOOKS {
                usual = usual.or_else(go_first);
                self.chase();
            }
            if !is_quiet && begun.age() >= KILL_PATIENCE {
                log::warn(
                    "processes that OpenClaw started could not be ended",
                    &[("pids", remaining.iter().map(|process| process.pid).collect::<Vec<_>>().into())],
                );
                break;
            }
            pause(LOOK).await;
        }
        if let Some(usual) = usual {
            let _ = setpriority_process(None, usual);
        }
        self.cgroups.iter().for_each(Cgroup::remove);
        self.is_ended = true;
    }

    /// Ends the newest of its processes, again and again.
    fn chase(&self) {
        let leaders = leaders();
        let Some(family) = Family::new(self, &leaders, Stat::of) else { return };
        let begun = Moment::now();
        while begun.age() < CHASE {
            for process in proc::newest().iter().filter(|process| family.holds(process, CHASED_PARENTS)) {
                process.signal(Signal::KILL);
            }
        }
    }

    /// What of it is alive.
    fn remaining(&mut self) -> Vec<Stat> {
        let members: BTreeSet<u32> = self.cgroups.iter().flat_map(Cgroup::members).collect();
        let leaders = leaders();
        let Ok(all) = proc::all() else { return Vec::new() };
        let Some(family) = Family::new(self, &leaders, |pid| all.get(&pid).copied()) else { return Vec::new() };
        let is_remaining = |process: &&Stat| {
            let is_member = members.contains(&process.pid) && family.may_hold(process);
            is_member || family.holds(process, all.len())
        };
        let remaining: Vec<Stat> = all.values().filter(is_remaining).copied().collect();
        self.seen = remaining.iter().map(|process| (process.pid, process.start_time)).collect();
        remaining
    }
}

/// How a process is known to be of a tree, with a way to find the process of an id.
struct Family<'a, F> {
    tree: &'a Tree,
    leaders: &'a BTreeSet<u32>,
    find: F,
    own: Stat,
    /// The tree's, while it is alive or waits to be reaped.
    leader: Option<Stat>,
    /// The one that the leader leads, or led.
    session: Option<u32>,
}

impl<'a, F: Fn(u32) -> Option<Stat>> Family<'a, F> {
    /// `None` where the sidecar itself is not to be found.
    fn new(tree: &'a Tree, leaders: &'a BTreeSet<u32>, find: F) -> Option<Self> {
        let own = find(std::process::id())?;
        let leader = tree.leader.filter(|leader| find(leader.pid).is_some_and(|now| is_same(*leader, &now)));
        // The id of a session stays taken while anything is in it: where its leader is another process, it is another session.
        let session = tree.leader.map(|leader| leader.pid).filter(|pid| leader.is_some() || find(*pid).is_none());
        Some(Self { tree, leaders, find, own, leader, session })
    }

    fn is_leader(&self, pid: u32) -> bool {
        self.leader.is_some_and(|leader| leader.pid == pid)
    }

    /// Whether this process is of another tree's.
    fn leads_other(&self, pid: u32) -> bool {
        self.leaders.contains(&pid) && !self.is_leader(pid)
    }

    /// Whether it is alive and nothing tells that it is another's.
    fn may_hold(&self, process: &Stat) -> bool {
        let is_older = process.start_time < self.tree.since;
        !(process.is_zombie || process.pid == self.own.pid || is_older || self.leads_other(process.pid))
    }

    /// Whether it is alive and of the tree, by its parents up to the `depth`th, its session, or because it was seen to be.
    fn holds(&self, process: &Stat, depth: usize) -> bool {
        if !self.may_hold(process) {
            return false;
        }
        if self.is_leader(process.pid) {
            return true;
        }
        let is_seen = self.tree.seen.get(&process.pid) == Some(&process.start_time);
        let is_found = is_seen || self.session == Some(process.session) || self.descends(process, depth);
        // Both are kept by all that a launched process starts, whatever it does.
        is_found && Rights::of(process.pid).is_some_and(|it| it.uid == self.tree.uid && it.no_new_privileges)
    }

    fn descends(&self, process: &Stat, depth: usize) -> bool {
        let mut at = *process;
        // A parent that ends meanwhile breaks the chain; the next look finds it mended.
        for _ in 0..depth {
            if self.is_leader(at.pid) {
                return true;
            }
            if self.leads_other(at.pid) {
                return false;
            }
            if at.parent == self.own.pid {
                // It has fallen to the sidecar, or it is a child of the sidecar's own.
                return at.session != self.own.session && at.session != 0;
            }
            match (self.find)(at.parent) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    }
}

/// Lets this thread run before others. Returns its usual nice value; `None` where it may not.
fn go_first() -> Option<i32> {
    let usual = getpriority_process(None).ok()?;
    setpriority_process(None, FIRST).ok().map(|()| usual)
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
            if process.session != own_session {
                REAPED.fetch_add(1, Ordering::Relaxed);
            }
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
