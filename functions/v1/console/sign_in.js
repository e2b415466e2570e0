// Signing in and up, verifying the address by a mailed code, and a new password by a mailed link.

import { postPublic } from "./api.js";
import { announce, h } from "./dom.js";
import { ask, form } from "./form.js";
import { problem } from "./parts.js";
import { go, goInstead, hashOf } from "./router.js";
import { forget, refresh } from "./session.js";

/** Address that forms about an account begin with: whatever was typed into the one before. */
let lastEmail = "";

/** Password to that address, between signing up and entering the code, so that it need not be typed again at once. */
let heldPassword = "";

function rememberEmail(email) {
    if (email !== lastEmail) heldPassword = "";
    lastEmail = email;
}

const rememberedEmail = () => lastEmail;

function holdPassword(email, password) {
    lastEmail = email;
    heldPassword = password;
}

/** The password that is held for an address, which is then forgotten. */
function takePassword(email) {
    const password = email === lastEmail ? heldPassword : "";
    heldPassword = "";
    return password;
}

/** Field for an e-mail address. The server decides what one is; this catches a slip of the finger. */
function emailField(more = {}) {
    return {
        name: "email",
        label: "E-mail address",
        type: "email",
        isRequired: true,
        value: lastEmail,
        check: (text) => (/^[^\s@]+@[^\s@]+$/.test(text) ? null : "Write an address like name@example.com."),
        attributes: { autocomplete: "username", inputmode: "email", autocapitalize: "none", spellcheck: "false" },
        ...more,
    };
}

/** Rule for a password that is chosen. The server has the last word: it also knows the most common ones. */
export const PASSWORD_RULE = "At least 8 characters. A few unrelated words are easy to remember and hard to guess.";

export function checkPassword(text) {
    if ([...text].length < 8) return "Choose a password of at least 8 characters.";
    if ([...text].length > 128) return "Choose a password of at most 128 characters.";
    return null;
}

export function checkName(text) {
    return [...text].length > 80 ? "Use 80 characters at most." : null;
}

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

/** Page that signs up. */
export function signUp({ next }) {
    const entry = form({
        draft: "sign-up",
        fields: [
            { name: "name", label: "Your name", isRequired: true, check: checkName, attributes: { autocomplete: "name" } },
            emailField(),
            {
                name: "password",
                label: "Password",
                type: "password",
                isRequired: true,
                hint: PASSWORD_RULE,
                check: checkPassword,
                attributes: { autocomplete: "new-password" },
            },
        ],
        submit: "Sign up",
        busy: "Signing up…",
        aliases: { newPassword: "password" },
        send: (values) => postPublic("sign-up/email", { ...values, callbackURL: "/?view=verified" }),
        done(_, values) {
            holdPassword(values.email, values.password);
            go("/verify", { next: next === "/" ? null : next });
        },
    });
    return {
        title: "Sign up",
        lead: "Make a bot, connect it to Slack, and talk to it there.",
        content: [
            entry.element,
            h(
                "ul",
                { class: "ways" },
                h(
                    "li",
                    {},
                    "Already have an account? ",
                    h("a", { href: hashOf("/sign-in", { next: next === "/" ? null : next }) }, "Sign in"),
                ),
            ),
        ],
    };
}

/** Page that takes the mailed code. */
export function verifyCode({ next }) {
    const email = rememberedEmail();
    const entry = form({
        fields: [
            emailField({ type: email ? "hidden" : "email", value: email }),
            {
                name: "otp",
                label: "Code",
                type: "code",
                isRequired: true,
                isSecret: true,
                missing: "Enter the six digits.",
                check: (text) => (/^\d{6}$/.test(text.replace(/\s/g, "")) ? null : "The code has six digits."),
            },
        ],
        submit: "Verify",
        busy: "Verifying…",
        send: async ({ email: address, otp }) => {
            await postPublic("email-otp/verify-email", { email: address, otp: otp.replace(/\s/g, "") });
            rememberEmail(address);
            const password = takePassword(address);
            if (!password) return null;
            // The address is verified, whatever comes of this: then the sign-in page takes over.
            return postPublic("sign-in/email", { email: address, password }).then(refresh, () => null);
        },
        done(user) {
            if (user) goInstead(next);
            else goInstead("/sign-in", { notice: "verified", next });
        },
    });
    return {
        title: "Check your mail",
        lead: email
            ? ["We mailed a code of six digits to ", h("strong", {}, email), ". It is valid for 10 minutes."]
            : "We mailed a code of six digits to your address. It is valid for 10 minutes.",
        content: [
            entry.element,
            resend(() => entry.values().email),
            h(
                "ul",
                { class: "ways" },
                h("li", {}, h("a", { href: "#/sign-up" }, "Use another address")),
                h("li", {}, h("a", { href: "#/sign-in" }, "Back to signing in")),
            ),
        ],
    };
}

/** Button that has a new code mailed. */
function resend(emailOf) {
    const outcome = h("div", { class: "place" });
    const button = h(
        "button",
        {
            type: "button",
            class: "quiet",
            async onclick() {
                if (button.getAttribute("aria-disabled") === "true") return;
                button.setAttribute("aria-disabled", "true");
                outcome.replaceChildren();
                try {
                    await postPublic("email-otp/send-verification-otp", { email: emailOf(), type: "email-verification" });
                    announce("A new code is on its way. The codes before it are no longer valid.");
                } catch (failure) {
                    outcome.append(problem(failure, "No code was mailed."));
                }
                button.setAttribute("aria-disabled", "false");
            },
        },
        "Mail a new code",
    );
    return h(
        "div",
        { class: "resend" },
        h("p", { class: "hint" }, "Nothing arrived? Look into the spam folder first."),
        button,
        outcome,
    );
}

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
