//! A bot's name among the agents of its pool.

use portcullis_crypto::Digest;

use crate::BotId;

/// The longest id that `OpenClaw` takes for an agent, in bytes.
const MAXIMUM_LENGTH: usize = 64;

/// How many hex digits of a digest stand for an id that `OpenClaw` would not take.
const DIGEST_DIGITS: usize = 40;

/// The prefix of such an id.
const DIGEST_PREFIX: &str = "bot-";

/// Keys of an object that `OpenClaw`, a JavaScript program, does not take.
const BLOCKED_KEYS: [&str; 2] = ["constructor", "prototype"];

impl BotId {
    /// Returns the name of a bot as an agent of its pool, with which the keys of its sessions begin: the bot's own id
    /// where `OpenClaw` keeps it as it is (`^[a-z0-9][a-z0-9_-]{0,63}$`), else a digest of it. It depends on nothing but
    /// the bot's id, so that whoever knows the bot knows its session keys.
    #[must_use]
    pub fn agent_id(&self) -> String {
        let id = self.as_str();
        if is_agent_id(id) && !is_digest(id) { id.to_owned() } else { digest(self) }
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

/// A bot whose id looks like a digest has its own digest, or it could pass for another bot.
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

    fn id(bot: &str) -> String {
        bot.parse::<BotId>().unwrap().agent_id()
    }

    #[test]
    fn an_agent_is_called_by_its_bots_id_where_openclaw_takes_it() {
        for taken in ["bot-1", "0a1b", "a_", "b-", &"x".repeat(64)] {
            assert_eq!(id(taken), taken);
        }
        for wrong in ["Bot-1", "-x", "_x", "constructor", "a b", "é", "a:b", "a/../b", "${HOME}", &"x".repeat(65)] {
            let id = id(wrong);
            assert!(id.starts_with("bot-") && is_agent_id(&id), "{wrong}: {id}");
        }
    }

    #[test]
    fn two_bots_are_never_one_agent() {
        let digest_of_another = id("BOT");
        let ids: std::collections::BTreeSet<_> =
            ["BOT", "Bot", "bot", "a b", "a:b", &digest_of_another].into_iter().map(id).collect();
        assert_eq!(ids.len(), 6);
    }
}
