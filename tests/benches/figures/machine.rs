//! The machine that this runs on: its time, and what it knows of a process.

use std::{
    fs, process,
    time::{Duration, Instant},
};

use crate::Failure;

/// The kernel counts a process's CPU time in hundredths of a second, on each architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Now. What is measured here is the machine's own time; no decision of the product reads it.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The CPU time that a process has used, all of its threads together. Source: proc(5), `/proc/PID/stat`.
pub fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in brackets, may hold anything: what follows it is numbers, `utime` and `stime` the 12th and 13th.
    let numbers = stat.rsplit_once(')').ok_or("/proc/PID/stat is not as it was")?.1;
    let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

/// The CPU time that this process has used.
pub fn own_cpu_time() -> Result<Duration, Failure> {
    cpu_time(process::id())
}

/// The memory of a process that is in RAM, in MB (10⁶ bytes). Source: proc(5), `VmRSS`.
pub fn resident_megabytes(pid: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/PID/status has no VmRSS")?;
    let kibibytes: u32 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(f64::from(kibibytes) * 1024.0 / 1e6)
}

/// What the figures were taken on, in a line.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} × {}, Linux {}", cores, model.trim_start_matches(['\t', ' ', ':']), kernel.trim())
}

/// How many processes wanted a core during the last minute.
pub fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("?").to_owned()
}

/// The middle one; of an even number the upper.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
