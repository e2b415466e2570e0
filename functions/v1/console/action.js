// Buttons that make a call: one call however often they are clicked, and words about a failure beside them.

import { h, replace } from "./dom.js";
import { problem } from "./loading.js";

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
