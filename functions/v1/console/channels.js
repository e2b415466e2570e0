// The channels with their state, and the page that Slack's consent leads back to.

import * as api from "./api.js";
import { fact } from "./bots.js";
import { connectDiscord } from "./connect_discord.js";
import { connectFeishu, feishuAddresses } from "./connect_feishu.js";
import { connectSlack, eventAddress } from "./connect_slack.js";
import { announce, h, timeOf } from "./dom.js";
import { ask } from "./form.js";
import { empty, loaded, pill, refocus } from "./parts.js";
import { user } from "./session.js";
import { ago, channelTypeOf, ownPath, readinessOf, slackErrorOf } from "./words.js";

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
            connectDiscord({ bots, connected: () => again() }),
            connectFeishu({ bots, connected: () => again() }),
        ),
    ];
}

function card(channel, bot, again) {
    const state = readinessOf(channel, channel.readiness, bot);
    const kind = channelTypeOf(channel.channelType);
    const name = channel.teamName || channel.accountId;
    const ending = endingOf(bot, `${kind} ${name}`);
    const remove = h(
        "button",
        {
            type: "button",
            class: "quiet danger-text",
            "aria-label": `${ending.action} ${kind} ${name}`,
            async onclick() {
                if (!(await confirmEnding(channel, ending))) return;
                await again();
                refocus();
                announce(ending.done);
            },
        },
        ending.action,
    );
    return [
        h("div", { class: "card-head" }, h("h2", {}, name), pill(state.tone, state.title)),
        h("p", {}, state.next),
        h(
            "dl",
            { class: "facts" },
            fact("Kind", kind),
            fact("Bot", bot ? h("a", { href: `#/bots/${encodeURIComponent(bot.id)}` }, bot.name) : "Another person's"),
            fact("Account", h("code", {}, channel.accountId)),
            fact("Status", channel.status),
            fact("Connected", timeOf(channel.createdAt, ago(channel.createdAt))),
        ),
        bot && channel.channelType === "slack" && eventAddress(channel),
        bot && channel.channelType === "feishu" && channel.connectionMode === "webhook" && feishuAddresses(channel),
        h("div", { class: "actions" }, remove),
    ];
}

/** Words for ending a connection of a bot of one's own, or one's membership of another person's. */
function endingOf(bot, name) {
    if (bot) {
        return {
            action: "Disconnect",
            busy: "Disconnecting…",
            title: `Disconnect ${name}?`,
            text: `${bot.name} stops answering there at once, and the workspace's credentials are deleted here. You can connect it again.`,
            done: `${name} is disconnected.`,
        };
    }
    return {
        action: "Leave",
        busy: "Leaving…",
        title: `Leave ${name}?`,
        text: "It goes from your list. The bot of the person who connected it stays in the workspace. You join again by adding the app to the workspace.",
        done: `You have left ${name}.`,
    };
}

function confirmEnding(channel, { title, text, action, busy }) {
    return ask({
        title,
        text,
        action,
        busy,
        refusal: "Keep it",
        tone: "danger",
        run: () => api.call("DELETE", `/v1/channels/${encodeURIComponent(channel.id)}`),
    });
}

/**
 * @param {{outcome: URLSearchParams, signal: AbortSignal}} options `outcome`: the query that the page was opened with
 */
export function slackCallback({ outcome, signal }) {
    const isSuccess = outcome.get("success") === "true" && !outcome.has("error");
    return isSuccess ? success(outcome, signal) : failure(outcome);
}

function success(outcome, signal) {
    // Only a path of this origin: a link from elsewhere must not lead people away from here.
    const target = ownPath(outcome.get("returnTo"), location.origin) ?? "/#/channels";
    const find = async () => {
        const [bots, list] = await Promise.all([api.bots({ signal }), api.channelsWithReadiness({ signal })]);
        const channel = list.find((one) => one.id === outcome.get("channelId"));
        return { channel, bot: bots.find((one) => one.id === channel?.botId) };
    };
    return {
        title: "Back from Slack",
        content: [
            user()
                ? loaded(signal, "the connection", find, connection)
                : h("p", {}, "Sign in to see the connection among your channels."),
            h(
                "div",
                { class: "actions" },
                h("a", { class: "button primary", href: target }, "Continue"),
                h("a", { class: "button", href: "/#/channels" }, "See your channels"),
            ),
        ],
    };
}

/** Says what the server knows of the connection. The address alone proves nothing: anybody can make a link to this page. */
function connection({ channel, bot }) {
    if (!channel) {
        return h(
            "p",
            { class: "notice bad" },
            "This connection is not among your channels. If you have just made it, look there in a moment; if you have not, nothing has changed.",
        );
    }
    const state = readinessOf(channel, channel.readiness, bot);
    if (!bot) {
        return [
            h(
                "p",
                { class: "notice" },
                h("strong", {}, channel.teamName || channel.accountId),
                " was connected by another person before, and their bot answers there. You have joined: you see the connection and whether it works. Your own bot needs another workspace, or an app of its own.",
            ),
            h("div", { class: "state" }, pill(state.tone, state.title), h("p", {}, state.next)),
        ];
    }
    return [
        h("p", { class: "notice good" }, h("strong", {}, channel.teamName || channel.accountId), " is connected."),
        h("div", { class: "state" }, pill(state.tone, state.title), h("p", {}, state.next)),
        h("p", {}, "Say hello to the bot in Slack: write it a direct message, or mention it in a channel that it is in."),
    ];
}

function failure(outcome) {
    const code = outcome.get("error") ?? "";
    const { title, next, isKnown } = slackErrorOf(code);
    const isBotMissing = code === "no_bot";
    return {
        title,
        lead: next,
        content: [
            !isKnown && code && h("p", { class: "request-id" }, "Reason ", h("code", {}, code.slice(0, 100))),
            h(
                "div",
                { class: "actions" },
                h(
                    "a",
                    { class: "button primary", href: isBotMissing ? "/#/bots/new" : "/#/channels" },
                    isBotMissing ? "Make a bot" : "Try again",
                ),
                h("a", { class: "button", href: "/#/" }, "Go to the start"),
            ),
        ],
    };
}
