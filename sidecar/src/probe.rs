//! Whether `OpenClaw` answers.

use std::net::SocketAddr;

use reqwest::{Client, redirect::Policy};

use crate::{
    api::Health,
    pace::{Moment, PROBE_FAILURES, Pace},
};

/// Asks a child's gateway for `/health`.
#[derive(Debug)]
pub struct Prober {
    client: Client,
    url: String,
}

impl Prober {
    /// A prober of a gateway on this machine.
    ///
    /// # Errors
    /// Where the system's root certificates cannot be read.
    pub fn new(address: SocketAddr, pace: &Pace) -> Result<Self, reqwest::Error> {
        // Never through a proxy: it is this machine.
        let client =
            Client::builder().no_proxy().redirect(Policy::none()).tls_certs_only([]).timeout(pace.probe_timeout);
        Ok(Self { client: client.build()?, url: format!("http://{address}/health") })
    }

    /// Whether it answers with success.
    pub async fn answers(&self) -> bool {
        // What it says besides is not read: the connection is closed over it.
        self.client.get(&self.url).send().await.is_ok_and(|response| response.status().is_success())
    }
}

/// What probes have told since a child was started.
#[derive(Debug)]
pub struct Pulse {
    started: Moment,
    answered: bool,
    failures: u32,
}

impl Pulse {
    /// Of a child that starts now.
    #[must_use]
    pub fn of_new() -> Self {
        Self { started: Moment::now(), answered: false, failures: 0 }
    }

    /// Of a child that has been running.
    #[must_use]
    pub fn of_adopted() -> Self {
        Self { answered: true, ..Self::of_new() }
    }

    /// Notes a probe's outcome, and says how the child is. One that has not answered yet is given its time to start.
    pub fn note(&mut self, answers: bool, pace: &Pace) -> Health {
        if answers {
            (self.answered, self.failures) = (true, 0);
            return Health::Active;
        }
        if !self.answered && self.started.age() < pace.startup_grace {
            return Health::Degraded;
        }
        self.failures += 1;
        match self.failures {
            failures if failures >= 2 * PROBE_FAILURES => Health::Unhealthy,
            failures if failures >= PROBE_FAILURES || !self.answered => Health::Degraded,
            _ => Health::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use Health::{Active, Degraded, Unhealthy};

    #[test]
    fn three_failures_degrade_three_more_are_the_end_and_an_answer_heals() {
        let (pace, mut pulse) = (Pace::default(), Pulse::of_new());
        let mut note = |answers| pulse.note(answers, &pace);
        assert_eq!([note(false), note(false), note(false), note(false)], [Degraded; 4], "it is starting");
        assert_eq!(
            [note(true), note(false), note(false), note(false), note(false), note(false)],
            [Active, Active, Active, Degraded, Degraded, Degraded]
        );
        assert_eq!([note(true), note(false), note(false)], [Active; 3]);
        assert_eq!([note(false), note(false), note(false), note(false)], [Degraded, Degraded, Degraded, Unhealthy]);
    }

    #[test]
    fn a_child_that_never_answers_ends_after_its_time_to_start() {
        let (pace, mut pulse) = (Pace { startup_grace: Duration::ZERO, ..Pace::default() }, Pulse::of_new());
        let told: Vec<_> = (0..6).map(|_| pulse.note(false, &pace)).collect();
        assert_eq!(told, [Degraded, Degraded, Degraded, Degraded, Degraded, Unhealthy]);
    }

    #[test]
    fn one_that_was_adopted_is_given_no_time_to_start() {
        let (pace, mut pulse) = (Pace::default(), Pulse::of_adopted());
        let told: Vec<_> = (0..6).map(|_| pulse.note(false, &pace)).collect();
        assert_eq!(told, [Active, Active, Degraded, Degraded, Degraded, Unhealthy]);
    }
}
