//! A bot's name among the agents of its pool.

use portcullis_crypto::Digest;

use crate::BotId;

/// Longest agent id that `OpenClaw` accepts, in bytes.
const MAXIMUM_LENGTH: usize = 64;

/// Number of hex digits in a digest that replaces an id.
const DIGEST_DIGITS: usize = 40;

/// Prefix of such a digest.
const DIGEST_PREFIX: &str = "bot-";

/// Object keys that `OpenClaw`, a JavaScript program, rejects.
const BLOCKED_KEYS: [&str; 2] = ["constructor", "prototype"];

impl BotId {
    /// Returns the name of a bot as an agent of its pool, the prefix of its session keys: the bot's id in lower case if
    /// `OpenClaw` keeps that unchanged (`^[a-z0-9][a-z0-9_-]{0,63}$`), else a digest of the id. An id with capital
    /// letters is replaced by its digest too if another bot of the pool has the same one in lower case. `pool` is every
    /// bot of the pool, so that each reader of the pool's row computes the same name.
    #[must_use]
    pub fn agent_id<'a>(&self, pool: impl IntoIterator<Item = &'a Self>) -> String {
        let id = self.as_str().to_lowercase();
        let is_own = id == self.as_str();
        let is_shared = || pool.into_iter().any(|other| other != self && other.as_str().to_lowercase() == id);
        if is_agent_id(&id) && !is_digest(&id) && (is_own || !is_shared()) { id } else { digest(self) }
    }

    /// Returns both names that the bot may have as an agent, independent of its pool's other bots.
    #[must_use]
    pub fn agent_ids(&self) -> [String; 2] {
        [self.as_str().to_lowercase(), digest(self)]
    }
}

fn is_agent_id(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = id.as_bytes();
    bytes.len() <= MAXIMUM_LENGTH
        && bytes.first().is_some_and(|first| is_letter(*first))
        && bytes.iter().all(|byte| is_letter(*byte) || matches!(byte, b'_' | b'-'))
        && !BLOCKED_KEYS.contains(&id)
}

/// Whether an id looks like a digest. Its bot gets its own digest, so that it cannot pass for another bot.
fn is_digest(id: &str) -> bool {
    let digits = id.strip_prefix(DIGEST_PREFIX);
    digits.is_some_and(|digits| digits.len() == DIGEST_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn digest(bot: &BotId) -> String {
    let mut digits = Digest::of(bot.as_str().as_bytes()).to_hex();
    digits.truncate(DIGEST_DIGITS);
    format!("{DIGEST_PREFIX}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(bots: &[&str]) -> Vec<String> {
        let bots: Vec<BotId> = bots.iter().map(|bot| bot.parse().unwrap()).collect();
        bots.iter().map(|bot| bot.agent_id(&bots)).collect()
    }

    #[test]
    fn an_agent_is_called_by_its_bots_id_where_openclaw_keeps_it() {
        let longest = "x".repeat(64);
        assert_eq!(ids(&["Bot-1", "0a1b", "a_", "b-", &longest]), ["bot-1", "0a1b", "a_", "b-", &longest]);
        for wrong in ["-x", "_x", "a b", "é", "a:b", "a/../b", "${HOME}", "Constructor", "prototype", &"x".repeat(65)]
        {
            let id = ids(&[wrong]).remove(0);
            assert!(id.starts_with(DIGEST_PREFIX) && is_agent_id(&id), "{wrong}: {id}");
        }
    }

    #[test]
    fn two_bots_are_never_one_agent() {
        let digest_of_another = ids(&["a b"]).remove(0);
        let bots = ["BOT", "Bot", "bot", "a b", "a:b", &digest_of_another];
        let ids = ids(&bots);
        assert_eq!(ids[2], "bot");
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), bots.len(), "{ids:?}");
    }

    #[test]
    fn the_name_of_an_agent_is_always_one_of_those_that_its_bot_may_have() {
        let bots: Vec<BotId> = ["BOT", "Bot", "bot", "a b"].iter().map(|bot| bot.parse().unwrap()).collect();
        for bot in &bots {
            assert!(
                bot.agent_ids().contains(&bot.agent_id(&bots)) && bot.agent_ids().contains(&bot.agent_id([])),
                "{bot}"
            );
        }
    }
}
