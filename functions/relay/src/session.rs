//! The conversation that a message belongs to, as OpenClaw names it.

use portcullis_auth::BotId;
use portcullis_runtime::queue::MessageFacts;

/// `agent:{bot}:slack:channel:{channel}` or `agent:{bot}:slack:direct:{user}`, `:thread:{thread}` appended, lower case.
pub fn key(bot: &BotId, facts: &MessageFacts) -> String {
    let mut key = match &facts.direct_user {
        Some(user) => format!("agent:{bot}:slack:direct:{user}"),
        None => format!("agent:{bot}:slack:channel:{}", facts.slack_channel),
    };
    if let Some(thread) = &facts.thread {
        key.push_str(":thread:");
        key.push_str(thread);
    }
    key.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_its_channel_or_person_and_thread() {
        let bot: BotId = "Bot-1".parse().unwrap();
        let mut facts = MessageFacts { slack_channel: "C01".into(), direct_user: None, thread: None };
        assert_eq!(key(&bot, &facts), "agent:bot-1:slack:channel:c01");
        facts.thread = Some("1718.0001".into());
        assert_eq!(key(&bot, &facts), "agent:bot-1:slack:channel:c01:thread:1718.0001");
        facts.direct_user = Some("U02".into());
        assert_eq!(key(&bot, &facts), "agent:bot-1:slack:direct:u02:thread:1718.0001");
    }
}
