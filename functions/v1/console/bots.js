// The bots: what each is, whether it runs, and making, changing and deleting one.

import * as api from "./api.js";
import { announce, h, replace, timeOf } from "./dom.js";
import { Failure } from "./failure.js";
import { ask, form } from "./form.js";
import { actionButton, empty, loaded, pill, refocus } from "./parts.js";
import { go } from "./router.js";
import { ago, count, readinessOf, runningOf, slugOf } from "./words.js";

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

/** Page that makes a bot. */
export function newBot({ signal }) {
    return {
        title: "New bot",
        lead: "You can change everything later.",
        content: loaded(
            signal,
            "the models",
            () => models(signal),
            (list) => {
                const entry = botForm(list, null, {
                    draft: "new-bot",
                    submit: "Make the bot",
                    busy: "Making it…",
                    send: (values) => api.post("/v1/bots", present(values)),
                    done(bot) {
                        go("/channels");
                        announce(`${bot.name} is made. Connect it to Slack next.`);
                    },
                });
                return entry.element;
            },
        ),
    };
}

/** Page of one bot. */
export function botPage({ params, signal }) {
    const path = `/v1/bots/${encodeURIComponent(params.id)}`;
    const read = async () => {
        const [bot, list, channels] = await Promise.all([
            api.get(path, { signal }),
            models(signal),
            api.all("/v1/channels", "channels", { signal }),
        ]);
        return { bot, list, channels: channels.filter((channel) => channel.botId === bot.id) };
    };
    return {
        title: "Edit bot",
        content: loaded(signal, "the bot", read, ({ bot, list, channels }) => {
            document.title = `${bot.name} – Portcullis`;
            document.querySelector("h1").textContent = bot.name;
            return [editForm(path, bot, list).element, deletion(bot, channels)];
        }),
    };
}

function editForm(path, first, list) {
    let bot = first;
    const saved = h("p", { class: "saved" });
    const entry = botForm(list, bot, {
        draft: `bot ${bot.id}`,
        submit: "Save",
        busy: "Saving…",
        extra: [saved],
        async send(values) {
            const changes = changesOf(bot, values);
            return Object.keys(changes).length ? api.call("PATCH", path, { body: changes }) : bot;
        },
        done(answer) {
            bot = answer;
            document.querySelector("h1").textContent = bot.name;
            replace(saved, "Saved");
            announce(`${bot.name} is saved. It answers in the new way within a minute.`);
        },
    });
    entry.element.addEventListener("input", () => replace(saved));
    return entry;
}

function deletion(bot, channels) {
    return h(
        "section",
        { class: "danger-zone" },
        h("h2", {}, "Delete this bot"),
        h("p", {}, "It stops answering at once, and its channels and credentials are removed. This cannot be undone."),
        h(
            "button",
            {
                type: "button",
                class: "danger",
                async onclick() {
                    if (!(await confirmDeletion(bot, channels))) return;
                    go("/bots");
                    announce(`${bot.name} is deleted.`);
                },
            },
            "Delete…",
        ),
    );
}

/** Longest instructions in bytes, as the server takes them. */
const LONGEST_PROMPT = 32_768;

/** Models that a bot can have. Where they cannot be read, the model is typed: that must not keep anybody from their bot. */
async function models(signal) {
    try {
        return (await api.get("/v1/models", { signal })).models ?? [];
    } catch (failure) {
        if (failure instanceof Failure && failure.status !== 401) return [];
        throw failure;
    }
}

function botForm(list, bot, options) {
    const entry = form({
        ...options,
        fields: [
            {
                name: "name",
                label: "Name",
                isRequired: true,
                value: bot?.name,
                hint: "What people see. For example: Support",
                check: (text) => ([...text].length > 255 ? "Use 255 characters at most." : null),
                attributes: { autocomplete: "off" },
            },
            {
                name: "slug",
                label: "Slug",
                isRequired: true,
                value: bot?.slug,
                hint: "Short name for addresses and logs: small letters, digits and hyphens. Yours alone.",
                missing: "Enter a slug of small letters, digits and hyphens.",
                check: (text) =>
                    /^[a-z0-9-]{1,100}$/.test(text) ? null : "Use small letters a–z, digits and hyphens, 100 at most.",
                attributes: { autocapitalize: "none", spellcheck: "false", autocomplete: "off" },
            },
            modelField(list, bot),
            {
                name: "systemPrompt",
                label: "Instructions",
                type: "textarea",
                value: bot?.systemPrompt ?? "",
                hint: "Who the bot is and how it should answer, in your own words.",
                check: (text) =>
                    new TextEncoder().encode(text).length > LONGEST_PROMPT
                        ? "Use 32 KiB at most: it is longer than the server takes."
                        : null,
                attributes: { rows: 8 },
            },
        ],
    });
    const [name, slug] = [entry.input("name"), entry.input("slug")];
    // The slug follows the name until a person writes one of their own.
    const made = () => slugOf(name.value) || (name.value ? "bot" : "");
    let follows = !bot && slug.value === made();
    name.addEventListener("input", () => {
        if (follows) slug.value = made();
    });
    slug.addEventListener("input", () => {
        follows = slug.value === "";
    });
    return entry;
}

function modelField(list, bot) {
    const field = { name: "modelId", label: "Model", value: bot?.modelId ?? "" };
    if (!list.length) {
        return {
            ...field,
            isRequired: true,
            missing: "Enter the model's name.",
            hint: "There is no list of models here. Write a name as the server's model gateway knows it, such as anthropic/claude-sonnet.",
            check: (text) => (/^\S{1,256}$/.test(text) ? null : "A model's name has no spaces, and 256 characters at most."),
            attributes: { autocapitalize: "none", spellcheck: "false", autocomplete: "off" },
        };
    }
    const preferred = list.find((model) => model.isDefault);
    const options = list.map((model) => [
        model.id,
        [model.name, model.provider && ` (${model.provider})`].filter(Boolean).join(""),
    ]);
    if (bot?.modelId && !list.some((model) => model.id === bot.modelId)) {
        options.unshift([bot.modelId, `${bot.modelId} (not listed any more)`]);
    }
    if (!bot?.modelId && !preferred) options.unshift(["", "The server's default"]);
    const value = bot?.modelId || preferred?.id || "";
    const words = h("span", {}, descriptionOf(list, value));
    return {
        ...field,
        type: "select",
        options,
        value,
        hint: words,
        attributes: { onchange: (event) => replace(words, descriptionOf(list, event.target.value)) },
    };
}

/** Description of a model, as the server tells it. */
function descriptionOf(list, id) {
    return list.find((model) => model.id === id)?.description || "The language model that answers.";
}

/** Values without those that are empty: they keep the server's default. */
function present(values) {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
}

/** Fields of a bot that were changed. A text that was emptied becomes `null`, since `""` counts as absent. */
function changesOf(bot, values) {
    const changed = Object.entries(values).filter(([name, value]) => value !== (bot[name] ?? ""));
    return Object.fromEntries(changed.map(([name, value]) => [name, value === "" ? null : value]));
}
