// The page that Slack's consent leads back to: whether it worked, in words, and what comes next.

import { channelsWithReadiness } from "./api.js";
import { h } from "./dom.js";
import { loaded, pill } from "./loading.js";
import { readinessOf } from "./readiness.js";
import { user } from "./session.js";
import { ownPath, slackErrorOf } from "./words.js";

/**
 * @param {{outcome: URLSearchParams, signal: AbortSignal}} options `outcome`: the query that the page was opened with
 */
export function slackCallback({ outcome, signal }) {
    const isSuccess = outcome.get("success") === "true" && !outcome.has("error");
    return isSuccess ? success(outcome, signal) : failure(outcome);
}

function success(outcome, signal) {
    const team = outcome.get("teamName") || "Your workspace";
    // Only a path of this origin: a link from elsewhere must not lead people away from here.
    const target = ownPath(outcome.get("returnTo"), location.origin) ?? "/#/channels";
    return {
        title: `${team} is connected`,
        lead: "Slack and Portcullis know each other now.",
        content: [
            user() &&
                loaded(
                    signal,
                    "the connection",
                    () => channelsWithReadiness({ signal }),
                    (list) => connection(list.find((channel) => channel.id === outcome.get("channelId"))),
                ),
            h(
                "div",
                { class: "actions" },
                h("a", { class: "button primary", href: target }, "Continue"),
                h("a", { class: "button", href: "/#/channels" }, "See your channels"),
            ),
        ],
    };
}

function connection(channel) {
    if (!channel)
        return h(
            "p",
            {},
            "Say hello to the bot in Slack: write it a direct message, or mention it in a channel that it is in.",
        );
    const state = readinessOf(channel, channel.readiness);
    return [
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
