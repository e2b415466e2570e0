// Parts of pages: what is read from the API, lists that come in pages, and buttons that make a call. Each says that it is busy, what
// went wrong, and what to do next.

import * as api from "./api.js";
import { announce, focusOn, freshId, h, replace } from "./dom.js";
import { explain } from "./failure.js";
import { hashOf } from "./router.js";
import { count } from "./words.js";

/**
 * A part of a page that is filled by a call.
 *
 * @param {AbortSignal} signal of the page: a part of a page that was left stays as it is
 * @param {string} what is loaded: "your bots"
 * @param {() => Promise<unknown>} read
 * @param {(value: any, again: () => Promise<void>) => unknown} render nodes for the value; `again` reads and renders anew
 */
export function loaded(signal, what, read, render) {
    const part = h(
        "div",
        { class: "loaded", "aria-busy": "true" },
        h("p", { class: "quiet", role: "status" }, `Loading ${what}…`),
    );
    const again = async (isAsked = false) => {
        part.setAttribute("aria-busy", "true");
        try {
            const value = await read();
            if (signal.aborted) return;
            replace(part, render(value, again));
        } catch (failure) {
            if (signal.aborted) return;
            if (failure?.name !== "Failure" && !("status" in failure)) console.error(failure);
            replace(
                part,
                problem(failure, `Could not load ${what}.`),
                h("button", { type: "button", onclick: () => retry() }, "Try again"),
            );
        }
        part.removeAttribute("aria-busy");
        if (isAsked === true) focusOn(part);
    };
    const retry = () => {
        replace(part, h("p", { class: "quiet", role: "status" }, `Loading ${what}…`));
        focusOn(part);
        return again(true);
    };
    again();
    return part;
}

/** A failure as a box that a screen reader says at once. `lead` says what did not work. */
export function problem(failure, lead = "") {
    const { title, next, requestId } = explain(failure);
    return h("div", { class: "problem", role: "alert" }, problemWords(lead, title, next, requestId));
}

/** Paragraphs of a failure. */
export function problemWords(lead, title, next, requestId) {
    return [h("p", {}, h("strong", {}, [lead, title].filter(Boolean).join(" ")), " ", next), requestWords(requestId)];
}

/** The request's id, by which whoever runs the server finds it in the logs. */
export function requestWords(requestId) {
    return requestId && h("p", { class: "request-id" }, "Request ", h("code", {}, requestId));
}

/** A box for a list that is empty, with what to do about it. */
export function empty(title, text, ...actions) {
    return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), h("div", { class: "actions" }, actions));
}

/** A status as a pill. The tone is shown by colour and shape, the words say it. */
export function pill(tone, text) {
    return h("span", { class: `pill ${tone}` }, text);
}

/**
 * @param {object} options
 * @param {string} options.words of the button
 * @param {string} [options.label] words for a screen reader, where many buttons of a page say the same
 * @param {string} options.busy
 * @param {string} [options.lead] what did not work, where it fails: "The bot is not paused."
 * @param {string} [options.key] by which `refocus` finds the button again after its list was rendered anew
 * @param {Element} options.place where a failure is shown
 * @param {() => Promise<unknown>} options.run
 * @param {(failure: Error) => boolean} [options.failed] returns `true` where it has dealt with the failure
 */
export function actionButton({ words, label, busy, lead, key, place, run, failed, tone = "" }) {
    const button = h(
        "button",
        {
            type: "button",
            class: tone,
            "aria-label": label,
            "data-key": key,
            async onclick() {
                if (button.getAttribute("aria-disabled") === "true") return;
                button.setAttribute("aria-disabled", "true");
                button.textContent = busy;
                replace(place);
                try {
                    await run();
                } catch (failure) {
                    if (!failed?.(failure)) replace(place, problem(failure, lead));
                }
                button.textContent = words;
                button.setAttribute("aria-disabled", "false");
            },
        },
        words,
    );
    return button;
}

/** Puts the focus back on the button with a key, or else on the page's heading, after a list was rendered anew. */
export function refocus(key) {
    const button = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    (button ?? document.querySelector("h1"))?.focus();
}

/** Items of one page. */
const PAGE_SIZE = 20;

/** Number of the page in a query, from 1. */
function pageOf(query) {
    const number = Number(query.get("page"));
    return Number.isInteger(number) && number >= 1 ? number : 1;
}

/** Query of the API for a page. Filters that are empty are left out. */
function pageQuery(page, filters = {}) {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE), offset: String((page - 1) * PAGE_SIZE) });
    for (const [name, value] of Object.entries(filters)) if (value) query.set(name, value);
    return query;
}

/**
 * Links to the pages before and after, and which one this is.
 *
 * @param {{total: number, limit: number, offset: number}} answer
 * @param {string} path of the route
 * @param {object} query of the route, without its page
 */
function pager(answer, path, query) {
    const { total, limit, offset } = answer;
    if (total <= limit && offset === 0) return null;
    const page = Math.floor(offset / limit) + 1;
    const last = Math.max(1, Math.ceil(total / limit));
    const link = (words, number, isThere) =>
        isThere
            ? h("a", { class: "button", href: hashOf(path, { ...query, page: number > 1 ? number : null }) }, words)
            : h("span", { class: "button off", "aria-hidden": "true" }, words);
    const range =
        offset >= total ? `Page ${page} of ${last} is empty` : `${offset + 1}–${Math.min(offset + limit, total)} of ${total}`;
    return h(
        "nav",
        { class: "pager", "aria-label": "Pages" },
        link("Previous", Math.min(page - 1, last), page > 1),
        h("span", {}, range),
        link("Next", page + 1, page < last),
    );
}

/**
 * A list with a filter by bot, in pages. The filter changes the list in place: the focus stays on it, and the address names what is
 * shown.
 *
 * @param {object} options
 * @param {URLSearchParams} options.query of the route
 * @param {string} options.path of the route
 * @param {string} options.source path of the API
 * @param {string} options.key of the items in its answer
 * @param {string} options.noun of one item
 * @param {(item: object, nameOf: (id: string) => string, again: () => Promise<void>) => unknown} options.item
 * @param {() => unknown} options.whenEmpty
 */
export function filteredList({ signal, query, path, source, key, noun, item, whenEmpty }) {
    let bot = query.get("bot") ?? "";
    let page = pageOf(query);
    const list = h("div", {});
    const place = loaded(
        signal,
        `the ${noun}s`,
        () => api.bots({ signal }),
        (bots) => {
            const nameOf = (id) => bots.find((one) => one.id === id)?.name ?? "A deleted bot";
            const show = (isAsked) =>
                replace(
                    list,
                    loaded(
                        signal,
                        `the ${noun}s`,
                        () => api.get(`${source}?${pageQuery(page, { botId: bot })}`, { signal }),
                        (answer, again) => {
                            if (isAsked) announce(`${count(answer.total, noun)}.`);
                            return items(answer, nameOf, again);
                        },
                    ),
                );
            show(false);
            return [bots.length > 1 && filter(bots, show), list];
        },
    );

    function items(answer, nameOf, again) {
        if (answer.total === 0 && bot) return h("p", { class: "quiet" }, `No ${noun}s of this bot.`);
        if (answer.total === 0) return whenEmpty();
        return [
            h(
                "ul",
                { class: "rows" },
                answer[key].map((one) => h("li", {}, item(one, nameOf, again))),
            ),
            pager(answer, path, { bot }),
        ];
    }

    function filter(bots, show) {
        const id = freshId("filter");
        const select = h(
            "select",
            {
                id,
                onchange() {
                    bot = select.value;
                    page = 1;
                    history.replaceState(null, "", hashOf(path, { bot }));
                    show(true);
                },
            },
            h("option", { value: "" }, "All bots"),
            bots.map((one) => h("option", { value: one.id, selected: one.id === bot }, one.name)),
        );
        return h("div", { class: "filter" }, h("label", { for: id }, "Bot"), select);
    }

    return place;
}

/** A text to copy: it can be selected, and a button copies it where the browser allows that. */
export function copyable(label, text, isLong) {
    const id = freshId("copy");
    const attributes = {
        id,
        readOnly: true,
        value: text,
        spellcheck: "false",
        class: "copy-text",
        onfocus: (event) => event.target.select(),
    };
    const box = isLong ? h("textarea", { ...attributes, rows: 5 }) : h("input", { type: "text", ...attributes });
    const button = h(
        "button",
        {
            type: "button",
            "aria-label": `Copy: ${label}`,
            async onclick() {
                try {
                    await navigator.clipboard.writeText(box.value);
                    announce("Copied.");
                } catch {
                    box.focus();
                    announce("Your browser does not let this page copy. The text is selected: copy it with the keyboard.");
                }
            },
        },
        "Copy",
    );
    return {
        element: h(
            "div",
            { class: "field copy" },
            h("label", { for: id }, label),
            h("div", { class: "with-show" }, box, button),
        ),
        change(value) {
            box.value = value;
        },
    };
}
