//! The session key of a message, identical to the key that OpenClaw derives from the same event.

use portcullis_auth::BotId;
use portcullis_runtime::queue::{ConversationKind, MessageFacts};
use portcullis_store::ChatPlatform;

/// Returns the session key in lower case: `agent:{agent}:slack:channel:{channel}`, `…:group:{channel}` for a group
/// direct message, each with `:thread:{thread}` in a thread, or `…:direct:{user}`. `{agent}` is the bot's name in the
/// pool's configuration. Feishu's groups and direct messages have the same form under `feishu`, without a thread.
pub fn key(platform: ChatPlatform, bot: &BotId, pool: &[BotId], facts: &MessageFacts) -> String {
    let agent = bot.agent_id(pool);
    let chat = &facts.chat;
    let mut key = match &facts.kind {
        // A direct message and its threads are one conversation.
        ConversationKind::Direct { user } => return format!("agent:{agent}:{platform}:direct:{user}").to_lowercase(),
        ConversationKind::Channel => format!("agent:{agent}:{platform}:channel:{chat}"),
        ConversationKind::Group => format!("agent:{agent}:{platform}:group:{chat}"),
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
    fn a_session_is_named_by_its_agent_its_channel_or_person_and_its_thread() {
        let bot: BotId = "bot-1".parse().unwrap();
        let of = |kind, thread: Option<&str>| {
            let thread = thread.map(ToOwned::to_owned);
            key(ChatPlatform::Slack, &bot, &[], &MessageFacts { chat: "C01".into(), kind, thread, counted_as: None })
        };
        let direct = || ConversationKind::Direct { user: "U02".to_owned() };
        assert_eq!(of(ConversationKind::Channel, None), "agent:bot-1:slack:channel:c01");
        assert_eq!(of(ConversationKind::Channel, Some("1718.0001")), "agent:bot-1:slack:channel:c01:thread:1718.0001");
        assert_eq!(of(ConversationKind::Group, None), "agent:bot-1:slack:group:c01");
        assert_eq!(of(ConversationKind::Group, Some("1718.0001")), "agent:bot-1:slack:group:c01:thread:1718.0001");
        assert_eq!(of(direct(), None), "agent:bot-1:slack:direct:u02");
        assert_eq!(of(direct(), Some("1718.0001")), "agent:bot-1:slack:direct:u02");
        let group = MessageFacts { chat: "oc_A".into(), kind: ConversationKind::Group, thread: None, counted_as: None };
        assert_eq!(key(ChatPlatform::Feishu, &bot, &[], &group), "agent:bot-1:feishu:group:oc_a");
    }
}
