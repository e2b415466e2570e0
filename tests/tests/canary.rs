//! Canary secrets appear in no log line, metric, error or answer except the ones meant for them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

#[path = "canary/search.rs"]
mod search;
#[path = "canary/tour.rs"]
mod tour;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_runtime::logging::LineSink;
use portcullis_tests::{ScriptedApi, ScriptedComposio, StandInLiteLlm, logs, system::random_hex};

use search::{Canary, Searcher};
use tour::Tour;

#[tokio::test]
async fn no_secret_stands_where_it_is_not_meant_to_be() {
    let mut tour = Tour::start().await;
    tour.credentials().await;
    tour.secrets().await;
    tour.bad_bodies().await;
    tour.tokens().await;
    tour.slack().await;
    tour.deliveries().await;
    tour.faults().await;
    tour.damaged_rows().await;
    let found = tour.end().await;
    assert!(found.canaries > 30 && found.answers > 300 && found.lines > 300, "the tour was short: {found:?}");
    assert!(found.leaks.is_empty(), "{:#?}", found.leaks);
}

#[tokio::test]
async fn the_models_master_key_and_the_keys_made_with_it_stand_nowhere_else_either() {
    let lite_llm = StandInLiteLlm::start().await;
    let mut tour = Tour::start_with_keys_of_pools(&lite_llm).await;
    tour.models(&lite_llm).await;
    tour.faults().await;
    let found = tour.end().await;
    assert!(found.canaries > 15 && found.answers > 100 && found.lines > 100, "the tour was short: {found:?}");
    assert!(found.leaks.is_empty(), "{:#?}", found.leaks);
    let (made, ended) = lite_llm.made_and_ended();
    assert!(made >= 3 && ended >= 2, "keys were made and ended: {made} {ended}");
}

#[tokio::test]
async fn keys_of_people_and_what_proves_them_stand_nowhere_else_either() {
    let composio = ScriptedComposio::start().await;
    let mut tour = Tour::start_with_accounts(&composio).await;
    tour.accounts(&composio).await;
    tour.faults().await;
    let found = tour.end().await;
    assert!(found.canaries > 20 && found.answers > 100 && found.lines > 100, "the tour was short: {found:?}");
    assert!(found.leaks.is_empty(), "{:#?}", found.leaks);
}

#[tokio::test]
async fn credentials_of_chat_platforms_stand_nowhere_else_either() {
    let (discord, feishu) = (ScriptedApi::start().await, ScriptedApi::start().await);
    let mut tour = Tour::start_with_chat_platforms(&discord, &feishu).await;
    tour.chat_platforms(&discord, &feishu).await;
    tour.faults().await;
    let found = tour.end().await;
    assert!(found.canaries > 20 && found.answers > 150 && found.lines > 150, "the tour was short: {found:?}");
    assert!(found.leaks.is_empty(), "{:#?}", found.leaks);
}

#[tokio::test]
async fn each_form_of_a_secret_is_found_in_a_log_line() {
    let logs = logs::captured();
    let secret = format!("a \"secret\"\\ é/+ of {}", random_hex(16));
    let canary = Canary::new("planted", &secret);
    assert!(logs.all().iter().all(|line| canary.found_in(line).is_none()));
    for (form, text) in canary.forms() {
        let line = format!(r#"{{"message":"planted","{form}":"before{text}after"}}"#);
        assert!(canary.found_in(&line).is_some(), "{form}");
        let others = [Canary::new("another", "another secret"), Canary::new("planted", &secret)];
        assert!(Searcher::new(&others).found_in(&line).into_keys().eq([1]), "{form}");
    }
    for offset in 0..5 {
        let encoded = STANDARD.encode(format!("{}{secret} and more", "x".repeat(offset)));
        assert!(canary.found_in(&encoded).is_some(), "behind {offset} bytes");
    }
    // Planted through the log itself, as a careless line of code would.
    tracing::warn!(target: "portcullis_runtime", value = secret, "planted");
    tracing::trace!(target: "portcullis_store", value = ?secret.as_bytes(), "planted");
    logs.write_line(&secret);
    let found: Vec<_> = logs.all().iter().filter_map(|line| canary.found_in(line)).collect();
    assert_eq!(found.len(), 3, "{found:?}");
}

#[tokio::test]
async fn lines_of_libraries_below_info_are_not_logged_at_any_level() {
    let logs = logs::captured();
    let id = random_hex(16);
    for target in
        ["hyper_util::client", "aws_smithy_runtime", "aws_sdk_dynamodb", "reqwest", "h2", "localhost", "slackish"]
    {
        // A callsite's target is constant, so the targets of libraries are given at run time through the `log` crate.
        assert!(!logging_lets(target, &id), "{target}");
    }
    tracing::debug!(target: "relay::post", id, "ours");
    tracing::info!(target: "hyper", id, "a library's");
    let lines: Vec<_> = logs.all().into_iter().filter(|line| line.contains(&id)).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
}

/// Whether a debug line of this target reaches the log.
fn logging_lets(target: &'static str, id: &str) -> bool {
    macro_rules! say {
        ($($known:literal),*) => {
            match target {
                $($known => {
                    tracing::debug!(target: $known, id, "a library's");
                    tracing::trace!(target: $known, id, "a library's");
                })*
                unknown => panic!("{unknown}"),
            }
        };
    }
    say!("hyper_util::client", "aws_smithy_runtime", "aws_sdk_dynamodb", "reqwest", "h2", "localhost", "slackish");
    logs::captured().all().iter().any(|line| line.contains(id))
}
