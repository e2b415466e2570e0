// Questions before what cannot be undone, in the browser's own modal dialog: it keeps the focus inside, closes by Escape, and gives
// the focus back.

import { freshId, h } from "./dom.js";
import { form } from "./form.js";

/**
 * Asks, and does it where the answer is yes. A failure is shown inside, and the dialog stays open.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {unknown} options.text
 * @param {string} options.action words of the button that does it
 * @param {string} options.busy
 * @param {string} [options.tone] "danger" where it cannot be undone
 * @param {import("./form.js").Field[]} [options.fields]
 * @param {Record<string, string>} [options.aliases]
 * @param {string} [options.refusal] words of the other button
 * @param {(values: object) => Promise<unknown>} options.run
 * @returns {Promise<boolean>} whether it was done
 */
export function ask(options) {
    return new Promise((resolve) => {
        const id = freshId("dialog");
        let isDone = false;
        const cancel = h("button", { type: "button", onclick: () => dialog.close() }, options.refusal ?? "Cancel");
        const question = form({
            fields: options.fields ?? [],
            submit: options.action,
            busy: options.busy,
            tone: options.tone,
            aliases: options.aliases,
            extra: [cancel],
            send: options.run,
            done() {
                isDone = true;
                dialog.close();
            },
        });
        const dialog = h(
            "dialog",
            {
                "aria-labelledby": id,
                onclose() {
                    dialog.remove();
                    resolve(isDone);
                },
            },
            h("h2", { id }, options.title),
            h("p", {}, options.text),
            question.element,
        );
        document.body.append(dialog);
        dialog.showModal();
        // The safe answer has the focus, unless there is something to type.
        const input = [...dialog.querySelectorAll("input")].find((one) => !one.value);
        (input ?? cancel).focus();
    });
}
