// Conversations that people have with the bots.

import { h, timeOf } from "./dom.js";
import { empty, filteredList, pill } from "./parts.js";
import { ago, channelTypeOf, count } from "./words.js";

/** Page with all conversations. */
export function conversations({ query, signal }) {
    return {
        title: "Conversations",
        lead: "Each channel, thread and direct message that a bot takes part in.",
        content: filteredList({
            signal,
            query,
            path: "/conversations",
            source: "/v1/sessions",
            key: "sessions",
            noun: "conversation",
            item: conversationItem,
            whenEmpty: () =>
                empty(
                    "No conversations yet",
                    "A conversation begins when somebody writes to a bot in one of its channels.",
                    h("a", { class: "button", href: "#/channels" }, "See your channels"),
                ),
        }),
    };
}

/** One conversation. `nameOf` gives a bot's name by its id. */
export function conversationItem(session, nameOf) {
    const last = session.lastMessageAt;
    return [
        h(
            "div",
            { class: "row-head" },
            h("span", { class: "row-title" }, session.title),
            pill(session.status === "active" ? "good" : "idle", session.status === "active" ? "Active" : "Ended"),
        ),
        h(
            "p",
            { class: "row-facts" },
            h("span", {}, nameOf(session.botId)),
            h("span", {}, channelTypeOf(session.channelType)),
            h("span", {}, count(session.messageCount, "message")),
            last && h("span", {}, "last one ", timeOf(last, ago(last))),
        ),
    ];
}
