//! The machine's clock and its counters of a process.

use std::{
    fs, process,
    time::{Duration, Instant},
};

use crate::Failure;

/// The kernel's unit of CPU time: 1/100 s on each architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// The real time, which only measurements read.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]
pub fn now() -> Instant {
    Instant::now()
}

/// CPU time used by all threads of a process. Source: proc(5), `/proc/PID/stat`.
pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in brackets, may contain anything. The fields after it are numbers; `utime` and `stime` are
    // the 12th and 13th.
    let numbers = stat.rsplit_once(')').ok_or("/proc/PID/stat is not as it was")?.1;
    let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

/// CPU time used by this process.
pub fn own_cpu_time() -> Result<Duration, Failure> {
    cpu_time(process::id())
}

/// Resident memory of a process in MB (10⁶ bytes). Source: proc(5), `VmRSS`.
pub fn resident_megabytes(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/PID/status has no VmRSS")?;
    let kibibytes: u32 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(f64::from(kibibytes) * 1024.0 / 1e6)
}

/// One-line description of the machine.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} × {}, Linux {}", cores, model.trim_start_matches(['\t', ' ', ':']), kernel.trim())
}

/// Load average of the last minute.
pub fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("?").to_owned()
}

/// Median; the upper one of an even number of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
