// The first page: a guide for the first run, which notices the first message by itself, and afterwards how things are.

import * as api from "./api.js";
import { connectSlack, eventAddress } from "./connect_slack.js";
import { conversationItem } from "./conversations.js";
import { announce, h, replace } from "./dom.js";
import { Failure } from "./failure.js";
import { loaded, pill } from "./parts.js";
import { user } from "./session.js";
import { count, readinessOf, runningOf } from "./words.js";

/** Time between two looks for the first message, and its bound where the server has trouble. */
const POLL_MS = 3000;
const SLOWEST_POLL_MS = 60_000;

/** Conversations that the page shows. */
const SHOWN = 5;

/** Page of the first run, and of how things are. */
export function start({ signal }) {
    const first = user()?.name?.split(" ")[0];
    return {
        title: first ? `Hello, ${first}` : "Hello",
        content: loaded(
            signal,
            "how things are",
            () => read(signal),
            (state, again) => {
                if (isComplete(state)) return overview(state);
                return guide(state, signal, again);
            },
        ),
    };
}

async function read(signal) {
    const [bots, channels, sessions] = await Promise.all([
        api.bots({ signal }),
        api.channelsWithReadiness({ signal }),
        latest(signal),
    ]);
    // The first run is over once a bot of one's own answers: a channel that one has joined is another person's bot's.
    const isOwn = (channel) => bots.some((bot) => bot.id === channel.botId);
    return { bots, channels: channels.filter(isOwn), joined: channels.filter((channel) => !isOwn(channel)), sessions };
}

const latest = (signal) => api.get(`/v1/sessions?limit=${SHOWN}&offset=0`, { signal });

const isConnected = (channel) => channel.status === "connected" || channel.status === "pending";
const isComplete = ({ bots, channels, sessions }) => bots.length > 0 && channels.some(isConnected) && sessions.total > 0;

function guide(state, signal, again) {
    const { bots, channels } = state;
    const channel = channels.find(isConnected);
    const done = [bots.length > 0, Boolean(channel), state.sessions.total > 0];
    const current = done.indexOf(false);
    const contents = [
        done[0]
            ? h("p", {}, names(bots), bots.length === 1 ? " is made." : " are made.")
            : [
                  h("p", {}, "Give it a name and tell it how to answer."),
                  h("div", { class: "actions" }, h("a", { class: "button primary", href: "#/bots/new" }, "Make a bot")),
              ],
        done[1]
            ? h("p", {}, channel.teamName || channel.accountId, " is connected.")
            : current === 1 && [joinedNotice(state.joined), connectSlack({ bots, connected: () => again() })],
        current === 2 && hello(state, channel, signal, again),
    ];
    const titles = ["Make a bot", "Connect Slack", "Say hello to it in Slack"];
    const steps = titles.map((title, index) =>
        h(
            "li",
            {
                class: ["step", done[index] && "done", current === index && "current"].filter(Boolean).join(" "),
                "aria-current": current === index && "step",
            },
            h("h2", {}, title, done[index] && h("span", { class: "unseen" }, " (done)")),
            contents[index],
        ),
    );
    return [h("p", { class: "lead" }, "Three steps to a bot that answers in Slack."), h("ol", { class: "steps" }, steps)];
}

function joinedNotice(joined) {
    if (!joined.length) return false;
    const workspaces = joined.map((channel) => channel.teamName || channel.accountId).join(", ");
    return h(
        "p",
        { class: "notice" },
        `You have joined ${workspaces}, where the bot of another person answers. Your own bot needs another workspace, or an app of its own.`,
    );
}

function names(bots) {
    return bots.length <= 3 ? bots.map((bot) => bot.name).join(", ") : count(bots.length, "bot");
}

/** The last step, which looks for the first message while the page is visible. */
function hello(state, channel, signal, again) {
    const bot = state.bots.find((one) => one.id === channel.botId);
    const readiness = h("div", { class: "state" });
    const looking = h("p", { class: "looking" }, "Waiting for its first message…");
    const showReadiness = (value) => {
        const told = readinessOf(channel, value, bot);
        // The same words are not put there again: a screen reader's place in them would be lost.
        if (readiness.dataset.title === told.title) return;
        readiness.dataset.title = told.title;
        replace(readiness, pill(told.tone, told.title), h("p", {}, told.next));
    };
    showReadiness(channel.readiness);
    poll(
        signal,
        async () => {
            const sessions = await latest(signal);
            if (sessions.total > 0) {
                await again();
                announce(`${bot?.name ?? "Your bot"} has got its first message: “${sessions.sessions[0]?.title ?? "hello"}”.`);
                return false;
            }
            showReadiness(await api.get(`/v1/channels/${encodeURIComponent(channel.id)}/readiness`, { signal }));
            replace(looking, "Waiting for its first message…");
            return true;
        },
        (failure) => {
            const words =
                failure instanceof Failure && failure.status === 0
                    ? "The server cannot be reached. This page goes on trying."
                    : "The server has trouble. This page goes on trying.";
            replace(looking, words);
        },
    );
    return [
        h(
            "p",
            {},
            "Write a direct message to ",
            h("strong", {}, bot?.name ?? "the bot"),
            " in ",
            h("strong", {}, channel.teamName || "Slack"),
            ", or mention it in a channel that it was invited to. This page notices it by itself.",
        ),
        readiness,
        looking,
        channel.channelType === "slack" && eventAddress(channel),
    ];
}

/** Calls `look` again and again while the page is visible, until it returns `false` or the page is left. */
function poll(signal, look, failed) {
    let timer = null;
    let pause = POLL_MS;
    let isLooking = false;
    const plan = () => {
        clearTimeout(timer);
        if (!signal.aborted && document.visibilityState === "visible") timer = setTimeout(step, pause);
    };
    const stop = () => {
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", plan);
    };
    async function step() {
        if (isLooking) return;
        isLooking = true;
        try {
            const goesOn = await look();
            pause = POLL_MS;
            if (!goesOn) return stop();
        } catch (failure) {
            if (signal.aborted) return;
            // A person who did not want to sign in again is not asked every three seconds.
            if (failure instanceof Failure && failure.status === 401) return stop();
            pause = Math.min(SLOWEST_POLL_MS, Math.max(pause * 2, (failure.waitSeconds ?? 0) * 1000));
            failed(failure);
        } finally {
            isLooking = false;
        }
        plan();
    }
    document.addEventListener("visibilitychange", plan);
    signal.addEventListener("abort", stop);
    plan();
}

function overview({ bots, channels, sessions }) {
    const states = bots.map((bot) => {
        const own = channels.filter((channel) => channel.botId === bot.id);
        return {
            bot,
            state: runningOf(
                bot,
                own.map((channel) => readinessOf(channel, channel.readiness, bot)),
            ),
        };
    });
    const nameOf = (id) => bots.find((bot) => bot.id === id)?.name ?? "A deleted bot";
    return [
        h(
            "section",
            { class: "plain" },
            h("h2", {}, "Your bots"),
            h(
                "ul",
                { class: "rows" },
                states.map(({ bot, state }) =>
                    h(
                        "li",
                        {},
                        h("a", { href: `#/bots/${encodeURIComponent(bot.id)}` }, bot.name),
                        pill(state.tone, state.title),
                        state.tone !== "good" && h("span", { class: "hint" }, state.next),
                    ),
                ),
            ),
        ),
        h(
            "section",
            { class: "plain" },
            h("h2", {}, "Latest conversations"),
            h(
                "ul",
                { class: "rows" },
                sessions.sessions.map((session) => h("li", {}, conversationItem(session, nameOf))),
            ),
            sessions.total > SHOWN &&
                h("p", {}, h("a", { href: "#/conversations" }, `All ${count(sessions.total, "conversation")}`)),
        ),
    ];
}
