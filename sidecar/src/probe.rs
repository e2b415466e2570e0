//! Health probes of `OpenClaw`: liveness and readiness.

use std::net::SocketAddr;

use reqwest::{Client, StatusCode, redirect::Policy};

use crate::{
    api::Health,
    pace::{Moment, PROBE_FAILURES, Pace},
};

/// Outcome of probing a gateway.
///
/// Source: OpenClaw 2026.9.6, docs/gateway/health.md, "HTTP probes": `/health` is liveness, `/startupz` says whether
/// startup is complete, `/readyz` says whether agents and channels work as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `/health` succeeds, and `/readyz` does too or does not exist in this version.
    Ready,
    /// Startup is complete, but a channel, an agent's database or a plugin does not work.
    NotReady,
    /// Startup is not complete, or running work is being drained before an end.
    Starting,
    /// `/health` answers with an error.
    Unwell,
    /// The port refuses, or does not answer in time.
    Silent,
}

/// Probes a child's gateway.
#[derive(Debug)]
pub struct Prober {
    client: Client,
    base: String,
}

impl Prober {
    /// Creates a prober of a gateway on this machine.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub fn new(address: SocketAddr, pace: &Pace) -> Result<Self, reqwest::Error> {
        // Loopback is never called through a proxy.
        let client =
            Client::builder().no_proxy().redirect(Policy::none()).tls_certs_only([]).timeout(pace.probe_timeout);
        Ok(Self { client: client.build()?, base: format!("http://{address}") })
    }

    /// Sends up to three probes, as many as are needed. Each takes at most the pace's time-out.
    pub async fn ask(&self) -> Answer {
        match self.status("/health").await {
            None => return Answer::Silent,
            Some(status) if !status.is_success() => return Answer::Unwell,
            Some(_) => {}
        }
        match self.status("/readyz").await {
            // A readiness check that hangs does not affect liveness, which was just answered.
            None | Some(StatusCode::SERVICE_UNAVAILABLE) => {}
            Some(_) => return Answer::Ready,
        }
        match self.status("/startupz").await {
            Some(StatusCode::SERVICE_UNAVAILABLE) => Answer::Starting,
            _ => Answer::NotReady,
        }
    }

    /// Status of a probe's answer. The body is not read: the connection is closed instead.
    async fn status(&self, path: &str) -> Option<StatusCode> {
        self.client.get(format!("{}{path}", self.base)).send().await.ok().map(|response| response.status())
    }
}

/// Health of a child by its probes since it was started or adopted. Liveness is the process: only a port that refuses
/// or hangs for the whole of [`Pace::silence`] ends the child, since a start, a restart within the process and a
/// blocked event loop look the same from outside.
#[derive(Debug)]
pub struct Pulse {
    last_answer: Moment,
    failures: u32,
    health: Health,
}

impl Pulse {
    /// Creates the pulse of a child whose first probe is at `now`.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self { last_answer: now, failures: 0, health: Health::Degraded }
    }

    /// Records an answer of `now`. [`Health::Unhealthy`] means that the child must be ended.
    pub fn note(&mut self, answer: Answer, now: Moment, pace: &Pace) -> Health {
        if answer == Answer::Silent {
            self.failures += 1;
            // Both conditions: a sidecar that was itself suspended for minutes has not probed meanwhile.
            let is_over = now.since(self.last_answer) >= pace.silence && self.failures >= PROBE_FAILURES;
            if is_over {
                self.health = Health::Unhealthy;
            } else if self.failures >= PROBE_FAILURES {
                self.health = Health::Degraded;
            }
        } else {
            (self.last_answer, self.failures) = (now, 0);
            // One account with a revoked token makes the whole gateway not ready, while deliveries to the others
            // continue.
            let is_started = matches!(answer, Answer::Ready | Answer::NotReady);
            self.health = if is_started { Health::Active } else { Health::Degraded };
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Health::{Active, Degraded, Unhealthy};

    /// Health after each of these answers, 5 s apart.
    fn told(answers: &[(Answer, u32)]) -> Vec<Health> {
        let pace = Pace::default();
        let mut now = Moment::now();
        let mut pulse = Pulse::new(now);
        let mut told = Vec::new();
        for (answer, times) in answers {
            for _ in 0..*times {
                now = now.plus(Duration::from_secs(5));
                told.push(pulse.note(*answer, now, &pace));
            }
        }
        told
    }

    /// Run lengths of equal health values.
    fn runs(told: &[Health]) -> Vec<(Health, usize)> {
        told.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect()
    }

    #[test]
    fn a_start_of_77_s_and_a_restart_of_50_s_are_survived() {
        let told = told(&[(Answer::Silent, 16), (Answer::Ready, 3), (Answer::Silent, 10), (Answer::Ready, 1)]);
        assert_eq!(runs(&told), [(Degraded, 16), (Active, 5), (Degraded, 8), (Active, 1)]);
    }

    #[test]
    fn a_blocked_event_loop_of_11_s_is_not_even_told() {
        assert_eq!(runs(&told(&[(Answer::Ready, 1), (Answer::Silent, 2), (Answer::Ready, 1)])), [(Active, 4)]);
    }

    #[test]
    fn three_minutes_of_silence_are_the_end() {
        assert_eq!(runs(&told(&[(Answer::Silent, 36)])), [(Degraded, 35), (Unhealthy, 1)]);
        let answered_once = told(&[(Answer::Silent, 35), (Answer::Unwell, 1), (Answer::Silent, 36)]);
        assert_eq!(runs(&answered_once), [(Degraded, 71), (Unhealthy, 1)], "any answer starts the time anew");
    }

    #[test]
    fn a_child_that_answers_is_never_ended_for_what_it_answers() {
        for answer in [Answer::Unwell, Answer::Starting] {
            assert_eq!(runs(&told(&[(Answer::Ready, 1), (answer, 1000)])), [(Active, 1), (Degraded, 1000)]);
        }
        assert_eq!(runs(&told(&[(Answer::NotReady, 1000)])), [(Active, 1000)], "one channel does not work");
    }

    #[test]
    fn time_that_passed_without_a_probe_ends_nothing() {
        let (pace, start) = (Pace::default(), Moment::now());
        let mut pulse = Pulse::new(start);
        let later = start.plus(Duration::from_hours(1));
        assert_eq!(pulse.note(Answer::Silent, later, &pace), Degraded);
        assert_eq!(pulse.note(Answer::Silent, later, &pace), Degraded);
    }
}
