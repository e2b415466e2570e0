// Signing in: the page, and the dialog over a page whose session has ended.

import { postPublic } from "./api.js";
import { emailField, holdPassword, rememberEmail } from "./credentials.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { form } from "./form.js";
import { go, goInstead, hashOf } from "./router.js";
import { refresh } from "./session.js";

const NOTICES = {
    verified: ["good", "Your e-mail address is verified. Sign in to go on."],
    "stale-link": [
        "bad",
        "This link was used already, or is too old. If your address is verified, sign in; if not, signing in offers a new code.",
    ],
    "new-password": ["good", "Your new password is set, and all devices are signed out. Sign in with it."],
    deleted: ["good", "Your account is deleted."],
};

/** Page that signs in. */
export function signIn({ query, next }) {
    const notice = Object.hasOwn(NOTICES, query.get("notice")) ? NOTICES[query.get("notice")] : null;
    const entry = form({
        draft: "sign-in",
        fields: [
            emailField(),
            {
                name: "password",
                label: "Password",
                type: "password",
                isRequired: true,
                attributes: { autocomplete: "current-password" },
            },
            { name: "rememberMe", label: "Stay signed in on this device", type: "checkbox", value: true },
        ],
        submit: "Sign in",
        busy: "Signing in…",
        aliases: { newPassword: "password" },
        send: async (values) => {
            rememberEmail(values.email);
            await postPublic("sign-in/email", values);
            return refresh();
        },
        done: () => goInstead(next),
        failed(failure, values) {
            if (failure.code !== "EMAIL_NOT_VERIFIED") return false;
            holdPassword(values.email, values.password);
            go("/verify", { next: next === "/" ? null : next });
            return true;
        },
    });
    return {
        title: "Sign in",
        content: [
            notice && h("p", { class: `notice ${notice[0]}`, role: "status" }, notice[1]),
            entry.element,
            h(
                "ul",
                { class: "ways" },
                h("li", {}, h("a", { href: "#/forgot-password" }, "Forgot the password?")),
                h(
                    "li",
                    {},
                    "No account yet? ",
                    h("a", { href: hashOf("/sign-up", { next: next === "/" ? null : next }) }, "Sign up"),
                ),
            ),
        ],
    };
}

/** Asks for the password again, over the page that is shown. Resolves to whether somebody signed in. */
export function signInAgain(user) {
    return ask({
        title: "Your session has ended",
        text: "Sign in again to go on. What you typed on this page is still here.",
        action: "Sign in",
        busy: "Signing in…",
        refusal: "Not now",
        fields: [
            emailField({ value: user.email }),
            {
                name: "password",
                label: "Password",
                type: "password",
                isRequired: true,
                attributes: { autocomplete: "current-password" },
            },
        ],
        aliases: { newPassword: "password" },
        run: (values) => postPublic("sign-in/email", values),
    });
}
