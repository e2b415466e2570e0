// Forms: labelled fields, errors tied to them, one request per submission however often the button is clicked; and questions before
// what cannot be undone, which are forms in a dialog.

import { announce, freshId, h, replace } from "./dom.js";
import { explain, fieldOf, sentence } from "./failure.js";
import { problemWords, requestWords } from "./parts.js";
import { draftOf, dropDraft, keepDraft } from "./session.js";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [type] of the input, or "textarea", "select", "code", "hidden", "checkbox"
 * @property {unknown} [hint] text or node below the label
 * @property {boolean} [isRequired]
 * @property {boolean} [isSecret] never kept as a draft; every password is one
 * @property {boolean} [isHeldBack] shown only once a failure names it
 * @property {boolean} [isTrimmed] of a password that is a pasted token
 * @property {[string, string][]} [options] of a select: value and words
 * @property {(value: string, values: object) => string | null} [check] words for a value that will not do
 * @property {string} [missing] words where a required value is missing
 * @property {object} [attributes] of the control
 */

/**
 * Makes a form.
 *
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {string} options.submit words of the button
 * @param {string} options.busy its words while the request is under way
 * @param {string} [options.tone] "danger" for what cannot be undone
 * @param {string} [options.draft] name under which what was typed outlasts the page
 * @param {Record<string, string>} [options.aliases] field of the API to field of the form
 * @param {unknown[]} [options.extra] nodes beside the button
 * @param {(values: object) => Promise<unknown>} options.send
 * @param {(result: any, values: object) => void} options.done
 * @param {(failure: Error, values: object) => boolean} [options.failed] returns `true` where it has dealt with the failure
 */
export function form(options) {
    const kept = options.draft ? draftOf(options.draft) : {};
    const fields = options.fields.map((field) => control(field, kept[field.name] ?? field.value ?? ""));
    const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
    const trouble = h("div", { role: "alert", class: "problem", hidden: true });
    const button = h("button", { type: "submit", class: options.tone === "danger" ? "danger" : "primary" }, options.submit);
    const values = () => Object.fromEntries(fields.map((field) => [field.name, field.read()]));
    const element = h(
        "form",
        { novalidate: true, class: "form", oninput, onsubmit },
        trouble,
        fields.map((field) => field.element),
        h("div", { class: "actions" }, button, options.extra),
    );
    let isBusy = false;

    function oninput() {
        if (!options.draft) return;
        const open = fields.filter((field) => !field.isSecret).map((field) => [field.name, field.read()]);
        keepDraft(options.draft, Object.fromEntries(open));
    }

    async function onsubmit(event) {
        event.preventDefault();
        if (isBusy) return;
        clear();
        const given = values();
        const wrong = fields.filter((field) => field.showError(field.check(given)));
        if (wrong.length) return wrong[0].input.focus();
        setBusy(true);
        try {
            const result = await options.send(given);
            if (options.draft) dropDraft(options.draft);
            setBusy(false);
            // A person who has gone to another page meanwhile stays there.
            if (element.isConnected) options.done(result, given);
        } catch (failure) {
            setBusy(false);
            if (!element.isConnected) announce(`${options.submit}: ${explain(failure).title}`);
            else if (!options.failed?.(failure, given)) showFailure(failure);
        }
    }

    function setBusy(value) {
        isBusy = value;
        // `aria-disabled` and not `disabled`: the focus stays on the button.
        button.setAttribute("aria-disabled", String(value));
        button.textContent = value ? options.busy : options.submit;
        element.setAttribute("aria-busy", String(value));
    }

    function clear() {
        trouble.hidden = true;
        replace(trouble);
        for (const field of fields) field.showError(null);
    }

    function showFailure(failure) {
        const { title, next, requestId } = explain(failure);
        const aliases = options.aliases ?? {};
        let first = null;
        const elsewhere = [];
        for (const [name, why] of Object.entries(failure.fields ?? {})) {
            const field = byName[aliases[name] ?? name] ?? byName[name.split(/[.[]/)[0]];
            if (field?.showError(sentence(why))) first ??= field;
            else elsewhere.push(h("p", {}, h("code", {}, name), " ", why));
        }
        const about = fieldOf(failure);
        const field = about && byName[aliases[about] ?? about];
        if (field?.showError(`${title} ${next}`)) first ??= field;
        // The box stands beside the field's own words only where it says more than they do.
        if (!field) {
            replace(trouble, problemWords("", title, elsewhere.length ? "" : next, ""), elsewhere, requestWords(requestId));
            trouble.hidden = false;
        }
        (first?.input ?? button).focus();
    }

    return {
        element,
        values,
        input: (name) => byName[name].input,
        /** Empties the form, as after a success that leaves it on the page. */
        reset() {
            element.reset();
            clear();
        },
    };
}

/** A field with its label, hint and place for an error. */
function control(field, value) {
    const id = freshId(field.name);
    const hint = field.hint && h("p", { class: "hint", id: `${id}-hint` }, field.hint);
    const error = h("p", { class: "field-error", id: `${id}-error`, hidden: true });
    const input = inputOf(field, value, {
        id,
        name: field.name,
        "aria-describedby": [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(" "),
        required: field.isRequired,
        ...field.attributes,
    });
    // A field that is folded away is neither sent nor checked; one of type hidden is never shown and always sent.
    const isLeftOut = () => element.hidden && field.type !== "hidden";
    const read = () => {
        if (isLeftOut()) return undefined;
        if (field.type === "checkbox") return input.checked;
        // A password is taken as it is; spaces around anything else came with a copy.
        return field.type === "password" && !field.isTrimmed ? input.value : input.value.trim();
    };
    const element = laidOut(field, id, input, hint, error);
    element.hidden ||= Boolean(field.isHeldBack);
    return {
        name: field.name,
        isSecret: field.isSecret || field.type === "password",
        input,
        read,
        element,
        check(values) {
            if (isLeftOut()) return null;
            const text = values[field.name];
            if (field.isRequired && !text) return field.missing ?? `Enter ${inSentence(field.label)}.`;
            return text || field.type === "checkbox" ? (field.check?.(text, values) ?? null) : null;
        },
        showError(why) {
            error.textContent = why ?? "";
            error.hidden = !why;
            if (why && field.isHeldBack) element.hidden = false;
            if (why) input.setAttribute("aria-invalid", "true");
            else input.removeAttribute("aria-invalid");
            return Boolean(why);
        },
    };
}

/** A label inside a sentence: "the password", "your name", "the Verification Token". */
function inSentence(label) {
    const isName = /^(Discord|Feishu|Slack)\b| \p{Lu}\p{Ll}/u.test(label);
    const lower = isName ? label : label.charAt(0).toLowerCase() + label.slice(1);
    return lower.startsWith("your ") ? lower : `the ${lower}`;
}

function inputOf(field, value, attributes) {
    switch (field.type) {
        case "textarea":
            return h("textarea", { rows: 6, ...attributes, value });
        case "select": {
            const options = field.options.map(([key, words]) => h("option", { value: key, selected: key === value }, words));
            return h("select", attributes, options);
        }
        case "checkbox":
            return h("input", { type: "checkbox", ...attributes, checked: Boolean(value) });
        case "code": {
            const digits = { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 12, class: "code" };
            return h("input", { type: "text", spellcheck: "false", ...digits, ...attributes, value });
        }
        // A hidden field is of type text: password managers pass over one of type hidden.
        case "hidden":
            return h("input", { type: "text", tabindex: -1, ...attributes, value });
        default:
            return h("input", { type: field.type ?? "text", ...attributes, value });
    }
}

function laidOut(field, id, input, hint, error) {
    const label = h("label", { for: id }, field.label, optionalMark(field));
    if (field.type === "hidden") return h("div", { hidden: true }, input);
    if (field.type === "checkbox") return h("div", { class: "field check" }, input, h("div", {}, label, hint, error));
    const place = field.type === "password" ? withShow(input, field.label) : input;
    return h("div", { class: "field" }, label, hint, place, error);
}

function optionalMark(field) {
    return field.isRequired || field.type === "checkbox" || field.type === "select"
        ? null
        : h("span", { class: "optional" }, " (optional)");
}

/** A password with a button that shows it, for who types on a phone. */
function withShow(input, label) {
    const button = h(
        "button",
        {
            type: "button",
            class: "show",
            "aria-label": `Show ${inSentence(label)}`,
            onclick() {
                const isShown = input.type === "text";
                input.type = isShown ? "password" : "text";
                const word = isShown ? "Show" : "Hide";
                button.textContent = word;
                // The name that is heard begins with the word that is seen.
                button.setAttribute("aria-label", `${word} ${inSentence(label)}`);
            },
        },
        "Show",
    );
    return h("div", { class: "with-show" }, input, button);
}

/**
 * Asks before what cannot be undone, and does it where the answer is yes. A failure is shown inside, and the dialog stays open. It is
 * the browser's own modal dialog, which keeps the focus inside, closes by Escape, and gives the focus back.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {unknown} options.text
 * @param {string} options.action words of the button that does it
 * @param {string} options.busy
 * @param {string} [options.tone] "danger" where it cannot be undone
 * @param {Field[]} [options.fields]
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

/** The field that picks one of several bots for a channel; `false` where there is only one. */
export function botField(bots) {
    return (
        bots.length > 1 && {
            name: "botId",
            label: "Bot that answers there",
            type: "select",
            options: bots.map((bot) => [bot.id, bot.name]),
        }
    );
}
