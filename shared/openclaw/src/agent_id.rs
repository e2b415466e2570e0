//! A bot's name among the agents of its pool.

use std::collections::BTreeSet;

use portcullis_auth::BotId;
use portcullis_crypto::Digest;

/// The longest id that `OpenClaw` takes for an agent, in bytes.
const MAXIMUM_LENGTH: usize = 64;

/// How many hex digits of a digest stand for an id that `OpenClaw` would not take.
const DIGEST_DIGITS: usize = 40;

/// The bots' ids as agents, in the bots' order: a bot's own id in lower case, with which session keys begin. An id that
/// `OpenClaw` would not take (`^[a-z0-9_][a-z0-9_-]{0,63}$`), or that another bot has in lower case as well, has its digest
/// in its place.
#[must_use]
pub fn agent_ids(bots: &[&BotId]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let ids = bots.iter().map(|bot| {
        let id = bot.as_str().to_lowercase();
        if is_agent_id(&id) && taken.insert(id.clone()) { id } else { digest(bot) }
    });
    ids.collect()
}

fn is_agent_id(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let bytes = id.as_bytes();
    bytes.len() <= MAXIMUM_LENGTH
        && bytes.first().is_some_and(|first| is_letter(*first))
        && bytes.iter().all(|byte| is_letter(*byte) || *byte == b'-')
}

fn digest(bot: &BotId) -> String {
    format!("bot-{}", &Digest::of(bot.as_str().as_bytes()).to_hex()[..DIGEST_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(bots: &[&str]) -> Vec<String> {
        let bots: Vec<BotId> = bots.iter().map(|bot| bot.parse().unwrap()).collect();
        agent_ids(&bots.iter().collect::<Vec<_>>())
    }

    #[test]
    fn an_agent_is_called_by_its_bots_id_where_openclaw_takes_it() {
        assert_eq!(ids(&["Bot-1", "0a1b", "_x"]), ["bot-1", "0a1b", "_x"]);
        for wrong in ["-x", "a b", "é", "a:b", "a/../b", "${HOME}", &"x".repeat(65)] {
            let id = ids(&[wrong]).remove(0);
            assert!(id.starts_with("bot-") && is_agent_id(&id), "{wrong}: {id}");
        }
    }

    #[test]
    fn two_bots_are_never_one_agent() {
        let ids = ids(&["BOT", "Bot", "bot", "a b", "a:b"]);
        assert_eq!(ids[0], "bot");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 5, "{ids:?}");
    }
}
