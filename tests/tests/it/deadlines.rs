//! The functions' own deadlines end before Lambda's time-outs, so that the caller and the queue get an answer of the
//! function.

use std::time::Duration;

use portcullis_local::template::TEMPLATE;

/// Time reserved after the deadline to send an answer or defer a message.
const WAY_BACK: Duration = Duration::from_millis(500);

/// A function's `Timeout` in the template.
fn time_out_of(function: &str) -> Duration {
    let resource = TEMPLATE.split("\n\n").find(|resource| resource.contains(&format!("/{function}/bootstrap.zip")));
    let mut lines = resource.expect("the function is in the template").lines();
    let seconds = lines.find_map(|line| line.trim().strip_prefix("Timeout: ")).expect("it has a time-out");
    Duration::from_secs(seconds.parse().expect("a number of seconds"))
}

#[test]
fn each_functions_own_deadline_ends_before_lambdas_time_out() {
    for (function, deadline) in [
        ("slack", slack::DEADLINE),
        ("internal", internal::DEADLINE),
        ("skills", skills::DEADLINE),
        ("relay", relay::DEADLINE),
    ] {
        assert!(deadline + WAY_BACK <= time_out_of(function), "{function}");
    }
    // API Gateway gives up after 30 s, and Slack after 3 s.
    assert!(internal::DEADLINE.max(skills::DEADLINE) < Duration::from_secs(30));
    assert!(slack::DEADLINE < Duration::from_millis(2500));
    assert!(relay::DEADLINE < relay::LEASE);
}
