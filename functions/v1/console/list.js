// Lists that come in pages of `limit` and `offset`.

import * as api from "./api.js";
import { announce, freshId, h, replace } from "./dom.js";
import { loaded } from "./loading.js";
import { hashOf } from "./router.js";
import { count } from "./words.js";

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
