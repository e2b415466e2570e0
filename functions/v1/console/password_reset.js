// A new password by a mailed link.

import { postPublic } from "./api.js";
import { checkPassword, emailField, PASSWORD_RULE, rememberEmail } from "./credentials.js";
import { h } from "./dom.js";
import { form } from "./form.js";
import { goInstead } from "./router.js";
import { forget } from "./session.js";

/** Token of the mailed link: in memory alone, so that neither the address bar nor the history holds it. */
let token = "";

export function holdResetToken(value) {
    token = value ?? "";
}

/** Page that has a link mailed. */
export function forgotPassword() {
    const entry = form({
        draft: "sign-in",
        fields: [emailField()],
        submit: "Mail me a link",
        busy: "Mailing…",
        send: (values) => postPublic("request-password-reset", { email: values.email, redirectTo: "/?view=reset" }),
        done(_, values) {
            rememberEmail(values.email);
            const sent = h(
                "div",
                { class: "notice good", role: "status", tabindex: "-1" },
                h(
                    "p",
                    {},
                    "If ",
                    h("strong", {}, values.email),
                    " has an account, a link is on its way to it. It is valid for an hour and works once.",
                ),
            );
            entry.element.replaceWith(sent);
            sent.focus();
        },
    });
    return {
        title: "Forgot the password",
        lead: "We mail you a link that sets a new one.",
        content: [entry.element, back()],
    };
}

/** Page that the mailed link leads to. */
export function newPassword() {
    if (!token) {
        return {
            title: "Set a new password",
            lead: "Open the link in the mail to come here. If it has expired, have a new one mailed.",
            content: [
                h(
                    "div",
                    { class: "actions" },
                    h("a", { class: "button primary", href: "#/forgot-password" }, "Mail me a link"),
                ),
                back(),
            ],
        };
    }
    const entry = form({
        fields: [
            {
                name: "newPassword",
                label: "New password",
                type: "password",
                isRequired: true,
                hint: PASSWORD_RULE,
                check: checkPassword,
                attributes: { autocomplete: "new-password" },
            },
        ],
        submit: "Set the password",
        busy: "Setting it…",
        send: (values) => postPublic("reset-password", { ...values, token }),
        done() {
            token = "";
            // The server has ended all sessions, this browser's among them.
            forget();
            goInstead("/sign-in", { notice: "new-password" });
        },
    });
    return {
        title: "Set a new password",
        lead: "All your devices are signed out once it is set.",
        content: [
            entry.element,
            h("ul", { class: "ways" }, h("li", {}, h("a", { href: "#/forgot-password" }, "Mail me a new link"))),
        ],
    };
}

function back() {
    return h("ul", { class: "ways" }, h("li", {}, h("a", { href: "#/sign-in" }, "Back to signing in")));
}
