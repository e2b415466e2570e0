//! A bot's name among the agents of its pool.

use portcullis_auth::BotId;
use portcullis_crypto::Digest;

/// The longest id that `OpenClaw` takes for an agent, in bytes.
const MAXIMUM_LENGTH: usize = 64;

/// How many hex digits of a digest stand for an id that `OpenClaw` would not take.
const DIGEST_DIGITS: usize = 40;

/// Keys of an object that `OpenClaw`, a JavaScript program, does not take.
const BLOCKED_KEYS: [&str; 2] = ["constructor", "prototype"];

/// Returns the bot's id as an agent, with which its session keys begin, exactly as `OpenClaw` keeps it: the bot's own id in lower
/// case. An id that `OpenClaw` would change or refuse (it takes `^[a-z0-9][a-z0-9_-]{0,63}$`) has its digest in its place; so
/// has an id with capital letters where another bot of the pool has the same one in lower case. `pool` is every bot of the
/// pool, paused ones too, so that whoever reads the pool's row makes the same id.
#[must_use]
pub fn agent_id<'a>(bot: &BotId, pool: impl IntoIterator<Item = &'a BotId>) -> String {
    let id = bot.as_str().to_lowercase();
    let is_own = id == bot.as_str();
    let is_shared = || pool.into_iter().any(|other| other != bot && other.as_str().to_lowercase() == id);
    if is_agent_id(&id) && (is_own || !is_shared()) { id } else { digest(bot) }
}

fn is_agent_id(id: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = id.as_bytes();
    bytes.len() <= MAXIMUM_LENGTH
        && bytes.first().is_some_and(|first| is_letter(*first))
        && bytes.iter().all(|byte| is_letter(*byte) || matches!(byte, b'_' | b'-'))
        && !BLOCKED_KEYS.contains(&id)
}

fn digest(bot: &BotId) -> String {
    format!("bot-{}", &Digest::of(bot.as_str().as_bytes()).to_hex()[..DIGEST_DIGITS])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ids(bots: &[&str]) -> Vec<String> {
        let bots: Vec<BotId> = bots.iter().map(|bot| bot.parse().unwrap()).collect();
        bots.iter().map(|bot| agent_id(bot, &bots)).collect()
    }

    #[test]
    fn an_agent_is_called_by_its_bots_id_where_openclaw_keeps_it() {
        let longest = "x".repeat(64);
        assert_eq!(ids(&["Bot-1", "0a1b", "a_", "b-", &longest]), ["bot-1", "0a1b", "a_", "b-", &longest]);
        for wrong in [
            "-x",
            "_x",
            "a b",
            "é",
            "a:b",
            "a/../b",
            "${HOME}",
            "__proto__",
            "Constructor",
            "prototype",
            &"x".repeat(65),
        ] {
            let id = ids(&[wrong]).remove(0);
            assert!(id.starts_with("bot-") && is_agent_id(&id), "{wrong}: {id}");
        }
    }

    #[test]
    fn two_bots_are_never_one_agent() {
        let ids = ids(&["BOT", "Bot", "bot", "a b", "a:b", "A b"]);
        assert_eq!(ids[2], "bot");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 6, "{ids:?}");
    }

    #[test]
    fn the_order_of_a_pools_bots_makes_no_difference() {
        let bots: Vec<BotId> = ["BOT", "Bot", "x"].iter().map(|bot| bot.parse().unwrap()).collect();
        for bot in &bots {
            assert_eq!(agent_id(bot, &bots), agent_id(bot, bots.iter().rev()));
        }
    }
}
