//! systemd's notification protocol: readiness, state and the watchdog.
//!
//! Source: `sd_notify(3)`, `sd_watchdog_enabled(3)`.

use std::{
    cell::Cell,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use crate::{
    log,
    pace::{Moment, pause},
};

/// Variable that names the socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The sidecar's connection to systemd; does nothing if systemd has not started the sidecar.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Interval within which systemd expects the next `WATCHDOG=1`.
    watchdog: Option<Duration>,
    /// Whether the last message was lost: only the first loss in a row is logged.
    is_lost: Cell<bool>,
}

impl Notifier {
    /// Opens the connection that the environment describes. Unusable variables are only logged, since the sidecar works
    /// without systemd.
    #[must_use]
    pub fn of(environment: &[(OsString, OsString)]) -> Self {
        let get = |name: &str| environment.iter().find(|(key, _)| key == OsStr::new(name)).map(|(_, value)| value);
        let socket = get(SOCKET)
            .filter(|name| !name.is_empty())
            .and_then(|name| connect(name).inspect_err(|error| warn(SOCKET, &error.to_string())).ok());
        let watchdog = get("WATCHDOG_USEC").filter(|_| {
            // A variable inherited from another service has another process id.
            get("WATCHDOG_PID").is_none_or(|pid| pid == OsStr::new(&std::process::id().to_string()))
        });
        let watchdog = watchdog.and_then(|text| {
            let time = text.to_str().and_then(|text| text.parse().ok()).filter(|time| *time > 0);
            if time.is_none() {
                warn("WATCHDOG_USEC", "it is not a number of microseconds");
            }
            time.map(Duration::from_micros)
        });
        Self { socket, watchdog, is_lost: Cell::new(false) }
    }

    /// Sends assignments, such as `READY=1`. Never blocks: messages that systemd is too busy to take are lost.
    pub fn send(&self, assignments: &[&str]) {
        let Some((socket, address)) = &self.socket else { return };
        let sent = socket.send_to_addr(assignments.join("\n").as_bytes(), address);
        let was_lost = self.is_lost.replace(sent.is_err());
        if let (Err(error), false) = (sent, was_lost) {
            warn(SOCKET, &error.to_string());
        }
    }

    /// Announces that the sidecar ends, in `within` at the latest.
    pub fn stopping(&self, within: Duration) {
        let extended = format!("EXTEND_TIMEOUT_USEC={}", within.as_micros());
        self.send(&["STOPPING=1", "STATUS=stopping: OpenClaw is ended", &extended]);
    }
}

fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn warn(variable: &str, because: &str) {
    log::warn("systemd cannot be notified", &[("variable", variable.into()), ("because", because.into())]);
}

/// A loop's progress, reported to systemd's watchdog.
#[derive(Debug)]
pub struct Progress<'a> {
    notifier: &'a Notifier,
    last: Cell<Moment>,
    /// Longest time between two steps.
    longest: Duration,
}

impl<'a> Progress<'a> {
    /// Creates the progress of a loop that takes a step at least every `longest`.
    #[must_use]
    pub fn new(notifier: &'a Notifier, longest: Duration) -> Self {
        Self { notifier, last: Cell::new(Moment::now()), longest }
    }

    /// Records a step of the loop.
    pub fn step(&self) {
        self.last.set(Moment::now());
    }

    /// Notifies the watchdog at half of its interval for as long as the loop makes progress. It must run in the loop's
    /// own task, so that a blocked thread sends nothing either.
    pub async fn tell(&self) {
        let Some(watchdog) = self.notifier.watchdog else { return std::future::pending().await };
        let mut is_told = false;
        loop {
            if self.last.get().age() < self.longest {
                self.notifier.send(&["WATCHDOG=1"]);
                is_told = false;
            } else if !is_told {
                log::error("supervision makes no progress: systemd's watchdog is not notified", &[]);
                is_told = true;
            }
            pause(watchdog / 2).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(pairs: &[(&str, &OsStr)]) -> Notifier {
        Notifier::of(&pairs.iter().map(|(name, value)| (name.into(), (*value).to_owned())).collect::<Vec<_>>())
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut text = vec![0; 4096];
        let count = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..count].to_vec()).unwrap()
    }

    #[test]
    fn sockets_are_paths_or_abstract() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("portcullis-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&abstract_address).unwrap();
        let at = OsString::from(format!("@{name}"));
        for (socket, name) in [(by_path, path.as_os_str()), (by_name, &at)] {
            let notifier = notifier(&[(SOCKET, name)]);
            notifier.send(&["READY=1", "STATUS=x"]);
            assert_eq!(received(&socket), "READY=1\nSTATUS=x");
            notifier.stopping(Duration::from_secs(90));
            assert!(received(&socket).contains("STOPPING=1\n"));
        }
        for other in ["", "notify", "vsock:2:1234", "/nobody/listens/there", &format!("/{}", "x".repeat(200))] {
            notifier(&[(SOCKET, OsStr::new(other))]).send(&["READY=1"]);
        }
    }

    #[test]
    fn a_watchdog_is_this_processs_own() {
        let own = std::process::id().to_string();
        let watchdog = |time: &str, pid: Option<&str>| {
            let mut pairs = vec![("WATCHDOG_USEC", OsStr::new(time))];
            pairs.extend(pid.map(|pid| ("WATCHDOG_PID", OsStr::new(pid))));
            notifier(&pairs).watchdog
        };
        let minute = Some(Duration::from_mins(1));
        assert_eq!(watchdog("60000000", None), minute);
        assert_eq!(watchdog("60000000", Some(&own)), minute);
        assert_eq!(watchdog("60000000", Some("1")), None);
        for wrong in ["0", "", "-1", "1.5", "x"] {
            assert_eq!(watchdog(wrong, None), None, "{wrong}");
        }
        assert_eq!(notifier(&[]).watchdog, None);
    }

    #[tokio::test]
    async fn a_loop_without_progress_sends_no_sign_of_life() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        // With a watchdog of 2 µs, every poll is due.
        let notifier = notifier(&[(SOCKET, path.as_os_str()), ("WATCHDOG_USEC", OsStr::new("2"))]);
        let signs = || std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count();
        let some = async |progress: &Progress<'_>| {
            let _ = tokio::time::timeout(Duration::from_millis(50), progress.tell()).await;
            signs()
        };
        let progress = Progress::new(&notifier, Duration::from_hours(1));
        assert!(some(&progress).await > 0);
        let progress = Progress::new(&notifier, Duration::ZERO);
        progress.step();
        assert_eq!(some(&progress).await, 0);
    }
}
