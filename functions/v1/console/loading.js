// Parts of a page that are read from the API: they say that they are loading, what went wrong, and how to try again.

import { focusOn, h, replace } from "./dom.js";
import { explain } from "./failure.js";

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
