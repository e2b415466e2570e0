//! Process trees: all descendants of a launched process, and how they are ended.
//!
//! Every launched process leads a session of its own (see [`crate::stage`]). A process cannot enter another session, so
//! none of its descendants is ever in the sidecar's, where the sidecar's own helpers are. As a child subreaper the
//! sidecar becomes the parent of every descendant whose own parent has ended.
//!
//! A chain of processes, each of which ends as soon as it has started the next, outruns a reader of all of `/proc`. Its
//! zombies, which fall to the sidecar, show that it exists, and the ids that the kernel assigned last show where it is.
//!
//! One kind of process is not found: a descendant of an adopted child without a cgroup, if it left the session and lost
//! its parent before the adoption. The kernel does not connect it with the child, and a guess could end another's
//! process.

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

/// Time-out for a killed process to be gone: longer only while the kernel itself waits for a disk.
pub const KILL_PATIENCE: Duration = Duration::from_secs(20);

/// Interval of scans for remaining processes.
const LOOK: Duration = Duration::from_millis(20);

/// Number of unquiet scans in a row after which the newest processes are followed as well.
const PLAIN_LOOKS: u32 = 2;

/// How long one scan follows the newest processes.
const CHASE: Duration = Duration::from_millis(50);

/// Nice value of the thread while it follows them, as root: it runs before all processes except the kernel's own.
const FIRST: i32 = -20;

/// Maximum number of ancestors that are checked of a newest process: a scan of all of `/proc` finds deeper ones.
const CHASED_PARENTS: usize = 64;

/// Interval of reaping zombies.
const REAP: Duration = Duration::from_millis(200);

/// Age at which a zombie in the sidecar's session is reaped: the sidecar waits for its own helpers sooner.
pub const FORGOTTEN: Duration = Duration::from_mins(1);

/// Launched processes that are children of the sidecar, and that their launchers wait for. It is locked from before a
/// process starts until it is listed, so that no process is taken for a stray in between.
static LEADERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Number of orphans of other sessions that were reaped.
static REAPED: AtomicU64 = AtomicU64::new(0);

/// Cgroups of trees that were dropped before their end: killed, but still to be removed.
static LOST: Mutex<Vec<Cgroup>> = Mutex::new(Vec::new());

fn lost() -> MutexGuard<'static, Vec<Cgroup>> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the set of launched processes.
pub fn leaders() -> MutexGuard<'static, BTreeSet<u32>> {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A launched process and all of its descendants.
#[derive(Debug)]
pub struct Tree {
    leader: Option<Stat>,
    uid: u32,
    /// The leader's cgroup, if it has one; for strays, those of lost trees.
    cgroups: Vec<Cgroup>,
    /// Start time of the oldest possible member.
    since: u64,
    /// Descendants that were seen: start times by process id.
    seen: BTreeMap<u32, u64>,
    is_ended: bool,
}

impl Tree {
    /// Creates the tree of a leader that runs as the user `uid`.
    #[must_use]
    pub fn new(leader: Stat, uid: u32, cgroup: Option<Cgroup>) -> Self {
        let since = leader.start_time;
        let cgroups = cgroup.into_iter().collect();
        Self { leader: Some(leader), uid, cgroups, since, seen: BTreeMap::new(), is_ended: false }
    }

    /// Creates a tree of all orphans of this user that fell to the sidecar, whichever leader they had.
    #[must_use]
    pub fn strays(uid: u32) -> Self {
        let since = Stat::of(std::process::id()).map_or(0, |own| own.start_time);
        let cgroups = std::mem::take(&mut *lost());
        Self { leader: None, uid, cgroups, since, seen: BTreeMap::new(), is_ended: false }
    }

    /// Process id of the leader; 0 for strays.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.leader.map_or(0, |leader| leader.pid)
    }

    /// Start time of the leader, in clock ticks since boot.
    #[must_use]
    pub fn start_time(&self) -> u64 {
        self.since
    }

    /// Folder of the tree's cgroup.
    #[must_use]
    pub fn cgroup(&self) -> Option<&Path> {
        self.cgroups.first().map(Cgroup::folder)
    }

    /// Removes the cgroup if the leader could not enter it. It is kept while it has members, which a leader that has
    /// ended may have left.
    pub fn check_cgroup(&mut self) {
        let id = self.id();
        for cgroup in self.cgroups.extract_if(.., |cgroup| !cgroup.holds(id) && cgroup.members().is_empty()) {
            cgroup.remove();
        }
    }

    /// Signals the leader only.
    pub fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            leader.signal(signal);
        }
    }

    /// Records the current descendants, since they may lose the parent that identifies them.
    pub fn look(&mut self) {
        let _ = self.remaining();
    }

    /// Kills all processes of the tree. The leader is reaped by its launcher.
    pub async fn end(&mut self) {
        let begun = Moment::now();
        let mut reaped = REAPED.load(Ordering::Relaxed);
        let (mut quiet, mut restless) = (0, 0);
        let mut usual = None;
        // Repeated, because a process can start another behind a reader of /proc.
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

    /// Kills the newest processes of the tree, in a loop for a short time.
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

    /// Processes of the tree that are alive.
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

/// Decides whether a process belongs to a tree, with a lookup of processes by id.
struct Family<'a, F> {
    tree: &'a Tree,
    leaders: &'a BTreeSet<u32>,
    find: F,
    own: Stat,
    /// The tree's leader, while it is alive or a zombie.
    leader: Option<Stat>,
    /// Session of the leader, while its id cannot mean another session.
    session: Option<u32>,
}

impl<'a, F: Fn(u32) -> Option<Stat>> Family<'a, F> {
    /// Returns `None` if the sidecar itself is not found in `/proc`.
    fn new(tree: &'a Tree, leaders: &'a BTreeSet<u32>, find: F) -> Option<Self> {
        let own = find(std::process::id())?;
        let leader = tree.leader.filter(|leader| find(leader.pid).is_some_and(|now| is_same(*leader, &now)));
        // A session's id stays taken while the session has members: if another process has the leader's id, it is
        // another session.
        let session = tree.leader.map(|leader| leader.pid).filter(|pid| leader.is_some() || find(*pid).is_none());
        Some(Self { tree, leaders, find, own, leader, session })
    }

    fn is_leader(&self, pid: u32) -> bool {
        self.leader.is_some_and(|leader| leader.pid == pid)
    }

    /// Whether this process leads another tree.
    fn leads_other(&self, pid: u32) -> bool {
        self.leaders.contains(&pid) && !self.is_leader(pid)
    }

    /// Whether a process is alive, and nothing excludes it from the tree.
    fn may_hold(&self, process: &Stat) -> bool {
        let is_older = process.start_time < self.tree.since;
        !(process.is_zombie || process.pid == self.own.pid || is_older || self.leads_other(process.pid))
    }

    /// Whether a process is alive and belongs to the tree: by its ancestors up to `depth`, its session, or because it
    /// was seen before.
    fn holds(&self, process: &Stat, depth: usize) -> bool {
        if !self.may_hold(process) {
            return false;
        }
        if self.is_leader(process.pid) {
            return true;
        }
        let is_seen = self.tree.seen.get(&process.pid) == Some(&process.start_time);
        let is_found = is_seen || self.session == Some(process.session) || self.descends(process, depth);
        // Every descendant keeps both, whatever it does.
        is_found && Rights::of(process.pid).is_some_and(|it| it.uid == self.tree.uid && it.no_new_privileges)
    }

    fn descends(&self, process: &Stat, depth: usize) -> bool {
        let mut at = *process;
        // A parent that ends meanwhile breaks the chain; by the next scan the process has a new parent.
        for _ in 0..depth {
            if self.is_leader(at.pid) {
                return true;
            }
            if self.leads_other(at.pid) {
                return false;
            }
            if at.parent == self.own.pid {
                // An orphan that fell to the sidecar, unless it is one of the sidecar's own children.
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

/// Gives this thread the highest priority. Returns its previous nice value; `None` without permission.
fn go_first() -> Option<i32> {
    let usual = getpriority_process(None).ok()?;
    setpriority_process(None, FIRST).ok().map(|()| usual)
}

fn is_same(one: Stat, other: &Stat) -> bool {
    one.pid == other.pid && one.start_time == other.start_time
}

impl Drop for Tree {
    /// Kills the tree of an interrupted launch, which nobody waits for. A sidecar that panics leaves its child to the
    /// next.
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

/// Reaps orphans that ended, except listed leaders. Returns the zombies in the sidecar's own session: its helpers, for
/// which somebody waits. They are reaped only if they are in `forgotten`.
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
            // Only its parent can reap a zombie, so the id still refers to it.
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            if process.session != own_session {
                REAPED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    kept
}

/// Reaps orphans for as long as the sidecar runs: at once, or after having been a zombie for `forgotten` if they are in
/// the sidecar's own session (as processes that were started before the sidecar in a container).
pub async fn keep_reaping(mut ended: tokio::signal::unix::Signal, forgotten: Duration) {
    let mut zombies = BTreeMap::new();
    loop {
        let found = tokio::time::timeout(forgotten, async {
            while ended.recv().await.is_some() {
                reap(&BTreeMap::new());
                // Limits the cost of reaping, however fast processes end.
                pause(REAP).await;
            }
        });
        // The signal stream has ended: the runtime is shutting down.
        if found.await.is_ok() {
            return;
        }
        zombies = reap(&zombies);
    }
}
