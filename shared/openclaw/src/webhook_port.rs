//! Ports of a pool's machine on which `OpenClaw` receives a platform's events by webhook.
//!
//! `OpenClaw` opens a server for each Feishu account, so each needs a port of its own on the pool's machine. The port
//! is computed from ids that both the configuration and the delivery know, so that it need not be stored or sent.

use std::collections::BTreeSet;

use portcullis_auth::{BotId, ChannelId};
use portcullis_crypto::Digest;

/// First port.
pub const FIRST_WEBHOOK_PORT: u16 = 20_000;
/// Last port; Linux's ephemeral ports begin at 32768.
pub const LAST_WEBHOOK_PORT: u16 = FIRST_WEBHOOK_PORT + BOT_SLOTS * CHANNEL_SLOTS - 1;

/// Number of slots for bots: ten times the maximum of 50 bots, so that few slots depend on another bot.
const BOT_SLOTS: u16 = 512;
/// Maximum number of channels of a bot.
const CHANNEL_SLOTS: u16 = 20;

/// Port of `channel` on the machine of its pool; `bots` are all bots of the pool, paused ones included, and `channels`
/// all of this bot. No two channels of a pool share a port. It changes with the bot's slot, which depends on the bot's
/// id and those of few other bots.
#[must_use]
pub fn webhook_port<'a>(
    bots: impl IntoIterator<Item = &'a BotId>,
    bot: &BotId,
    channels: impl IntoIterator<Item = &'a ChannelId>,
    channel: &ChannelId,
) -> u16 {
    let bots = bots.into_iter().map(BotId::as_str).collect();
    let channels = channels.into_iter().map(ChannelId::as_str).collect();
    FIRST_WEBHOOK_PORT
        + slot(bots, bot.as_str(), BOT_SLOTS) * CHANNEL_SLOTS
        + slot(channels, channel.as_str(), CHANNEL_SLOTS)
}

/// Slot of an id: the one of its digest, or the next that no smaller id of `ids` has taken.
fn slot<'a>(mut ids: BTreeSet<&'a str>, wanted: &'a str, slots: u16) -> u16 {
    ids.insert(wanted);
    let mut taken = BTreeSet::new();
    let mut last = 0;
    for id in ids {
        let digest = Digest::of(id.as_bytes());
        let [high, low, ..] = *digest.as_bytes();
        let own = u16::from_be_bytes([high, low]) % slots;
        last = (0..slots).map(|step| (own + step) % slots).find(|slot| !taken.contains(slot)).unwrap_or(own);
        taken.insert(last);
        if id == wanted {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bots(count: usize) -> Vec<BotId> {
        (0..count).map(|number| format!("bot-{number}").parse().unwrap()).collect()
    }

    fn channels(bot: usize) -> Vec<ChannelId> {
        (0..20).map(|number| format!("channel-{bot}-{number}").parse().unwrap()).collect()
    }

    #[test]
    fn no_two_channels_of_a_full_pool_share_a_port() {
        let bots = bots(50);
        let mut ports = BTreeSet::new();
        for (number, bot) in bots.iter().enumerate() {
            let channels = channels(number);
            for channel in &channels {
                let port = webhook_port(&bots, bot, &channels, channel);
                assert!((FIRST_WEBHOOK_PORT..=LAST_WEBHOOK_PORT).contains(&port));
                assert!(ports.insert(port), "{port}");
            }
        }
        const { assert!(LAST_WEBHOOK_PORT < 32_768) };
    }

    #[test]
    fn a_port_depends_neither_on_the_order_of_the_ids_nor_on_most_other_bots() {
        let (all, channels) = (bots(50), channels(0));
        let port = |bots: &[BotId], bot: &BotId| webhook_port(bots, bot, &channels, &channels[0]);
        let mut reversed = all.clone();
        reversed.reverse();
        let moved = all.iter().filter(|bot| port(&all, bot) != port(&all[..25], bot)).count();
        assert!(all.iter().all(|bot| port(&all, bot) == port(&reversed, bot)));
        assert!(moved <= 5, "{moved} of 50 moved when half of the bots left");
    }
}
