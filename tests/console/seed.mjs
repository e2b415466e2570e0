// Test data: a running pool, bots, conversations, and a workspace connected by hand.

import { asPool } from "./browser.mjs";

/** A model's name: `cargo local` lists no models and accepts any name. */
export const MODEL = "anthropic/claude-sonnet";

/** Registers a running pool, on which bots are placed. */
export async function registerPool() {
    await asPool("POST", "pools/register", { poolId: "pool-1", status: "active" });
    await asPool("POST", "pools/heartbeat", { poolId: "pool-1", status: "active" });
}

export const makeBot = (person, name, slug, more = {}) => person.post("/v1/bots", { name, slug, modelId: MODEL, ...more });

/** Reports a conversation of a bot, as its pool does. */
export const session = (bot, number, more = {}) =>
    asPool("POST", "sessions", {
        botId: bot.id,
        sessionKey: `agent:${bot.id}:slack:channel:c${number}`,
        title: `Slack #room-${number}`,
        channelType: "slack",
        messageCount: number,
        lastMessageAt: new Date().toISOString(),
        ...more,
    });

/** Connects a workspace by the page's form. */
export async function connectByHand(person, token) {
    await person.page.locator("details.by-hand:has(form) > summary").click();
    await person.write("Bot token", token);
    await person.write("Signing secret", "0123456789abcdef0123456789abcdef");
    await person.click("Connect");
}
