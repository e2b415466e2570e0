// The list of channels with their state, and connecting another.

import { refocus } from "./action.js";
import * as api from "./api.js";
import { fact } from "./bots.js";
import { connectSlack, eventAddress } from "./connect_slack.js";
import { ask } from "./dialog.js";
import { announce, h, timeOf } from "./dom.js";
import { empty, loaded, pill } from "./loading.js";
import { readinessOf } from "./readiness.js";
import { ago, channelTypeOf } from "./words.js";

/** Page with all channels. */
export function channels({ signal }) {
    const read = async () => {
        const [bots, list] = await Promise.all([api.bots({ signal }), api.channelsWithReadiness({ signal })]);
        return { bots, list };
    };
    return {
        title: "Channels",
        lead: "A channel connects a bot to the workspace where people talk to it.",
        content: loaded(signal, "your channels", read, render),
    };
}

function render({ bots, list }, again) {
    if (!bots.length) {
        return empty(
            "Make a bot first",
            "A channel needs a bot that answers in it.",
            h("a", { class: "button primary", href: "#/bots/new" }, "Make a bot"),
        );
    }
    const cards = list.map((channel) => {
        const bot = bots.find((one) => one.id === channel.botId);
        return h("li", { class: "card" }, card(channel, bot, again));
    });
    return [
        list.length > 0 && h("ul", { class: "cards" }, cards),
        h(
            "section",
            { class: list.length ? "more" : "empty wide" },
            h("h2", {}, list.length ? "Connect another workspace" : "Connect Slack"),
            connectSlack({ bots, connected: () => again() }),
        ),
    ];
}

function card(channel, bot, again) {
    const state = readinessOf(channel, channel.readiness, bot);
    const kind = channelTypeOf(channel.channelType);
    const name = channel.teamName || channel.accountId;
    const remove = h(
        "button",
        {
            type: "button",
            class: "quiet danger-text",
            "aria-label": `Disconnect ${kind} ${name}`,
            async onclick() {
                if (!(await confirmDisconnection(channel, bot, kind, name))) return;
                await again();
                refocus();
                announce(`${kind} ${name} is disconnected.`);
            },
        },
        "Disconnect",
    );
    return [
        h("div", { class: "card-head" }, h("h2", {}, name), pill(state.tone, state.title)),
        h("p", {}, state.next),
        h(
            "dl",
            { class: "facts" },
            fact("Kind", kind),
            fact("Bot", bot ? h("a", { href: `#/bots/${encodeURIComponent(bot.id)}` }, bot.name) : "Unknown"),
            fact("Account", h("code", {}, channel.accountId)),
            fact("Status", channel.status),
            fact("Connected", timeOf(channel.createdAt, ago(channel.createdAt))),
        ),
        channel.channelType === "slack" && eventAddress(channel),
        h("div", { class: "actions" }, remove),
    ];
}

function confirmDisconnection(channel, bot, kind, name) {
    return ask({
        title: `Disconnect ${kind} ${name}?`,
        text: `${bot?.name ?? "The bot"} stops answering there at once, and the workspace's credentials are deleted here. You can connect it again.`,
        action: "Disconnect",
        busy: "Disconnecting…",
        refusal: "Keep it",
        tone: "danger",
        run: () => api.call("DELETE", `/v1/channels/${encodeURIComponent(channel.id)}`),
    });
}
