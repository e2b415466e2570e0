// The list of bots: what each is, whether it runs, and what can be done with it.

import { actionButton, refocus } from "./action.js";
import * as api from "./api.js";
import { ask } from "./dialog.js";
import { announce, h, timeOf } from "./dom.js";
import { empty, loaded, pill } from "./loading.js";
import { readinessOf, runningOf } from "./readiness.js";
import { ago, count } from "./words.js";

/** Page with all bots. */
export function bots({ signal }) {
    return {
        title: "Bots",
        lead: "A bot is an agent with a name, a model and instructions. People talk to it in the channels that it is connected to.",
        actions: [h("a", { class: "button primary", href: "#/bots/new" }, "New bot")],
        content: loaded(signal, "your bots", () => read(signal), render),
    };
}

async function read(signal) {
    const [list, channels] = await Promise.all([api.bots({ signal }), api.channelsWithReadiness({ signal })]);
    return list.map((bot) => ({ bot, channels: channels.filter((channel) => channel.botId === bot.id) }));
}

function render(entries, again) {
    if (!entries.length) {
        return empty(
            "No bots yet",
            "Your first bot takes a name and a minute. You can change everything later.",
            h("a", { class: "button primary", href: "#/bots/new" }, "Make a bot"),
        );
    }
    return h(
        "ul",
        { class: "cards" },
        entries.map((entry) => h("li", { class: "card" }, card(entry, again))),
    );
}

function card({ bot, channels }, again) {
    const place = h("div", { class: "place" });
    const running = runningOf(
        bot,
        channels.map((channel) => readinessOf(channel, channel.readiness, bot)),
    );
    const isPaused = bot.status === "paused";
    const toggle = actionButton({
        words: isPaused ? "Resume" : "Pause",
        label: `${isPaused ? "Resume" : "Pause"} ${bot.name}`,
        busy: isPaused ? "Resuming…" : "Pausing…",
        lead: isPaused ? "The bot is not resumed." : "The bot is not paused.",
        key: `toggle ${bot.id}`,
        place,
        async run() {
            await api.post(`/v1/bots/${encodeURIComponent(bot.id)}/${isPaused ? "resume" : "pause"}`);
            await again();
            refocus(`toggle ${bot.id}`);
            announce(isPaused ? `${bot.name} is resumed.` : `${bot.name} is paused.`);
        },
    });
    const remove = h(
        "button",
        {
            type: "button",
            class: "quiet danger-text",
            "aria-label": `Delete ${bot.name}`,
            async onclick() {
                if (!(await confirmDeletion(bot, channels))) return;
                await again();
                refocus();
                announce(`${bot.name} is deleted.`);
            },
        },
        "Delete",
    );
    return [
        h(
            "div",
            { class: "card-head" },
            h("h2", {}, h("a", { href: `#/bots/${encodeURIComponent(bot.id)}` }, bot.name)),
            pill(running.tone, running.title),
        ),
        h("p", {}, running.next),
        h(
            "dl",
            { class: "facts" },
            fact("Slug", h("code", {}, bot.slug)),
            fact("Model", bot.modelId || "The server's default"),
            fact("Channels", channels.length ? count(channels.length, "channel") : "None"),
            fact("Pool", bot.poolId ? h("code", {}, bot.poolId) : "Not placed yet"),
            fact("Changed", timeOf(bot.updatedAt, ago(bot.updatedAt))),
        ),
        place,
        h(
            "div",
            { class: "actions" },
            h("a", { class: "button", href: `#/bots/${encodeURIComponent(bot.id)}`, "aria-label": `Edit ${bot.name}` }, "Edit"),
            channels.length === 0 &&
                h("a", { class: "button", href: "#/channels", "aria-label": `Connect ${bot.name}` }, "Connect"),
            toggle,
            remove,
        ),
    ];
}

/** A term with its description. */
export function fact(term, description) {
    return h("div", {}, h("dt", {}, term), h("dd", {}, description));
}

/** Asks whether a bot shall be deleted, and deletes it. */
export function confirmDeletion(bot, channels) {
    const lost = channels.length
        ? ` ${count(channels.length, "channel")} of it, with the credentials, will be removed too.`
        : "";
    return ask({
        title: `Delete ${bot.name}?`,
        text: `It stops answering at once.${lost} This cannot be undone; pausing it can.`,
        action: "Delete the bot",
        busy: "Deleting…",
        refusal: "Keep it",
        tone: "danger",
        run: () => api.call("DELETE", `/v1/bots/${encodeURIComponent(bot.id)}`),
    });
}
