// Signing up, and verifying the address by the code that was mailed to it.

import { postPublic } from "./api.js";
import {
    checkName,
    checkPassword,
    emailField,
    holdPassword,
    PASSWORD_RULE,
    rememberedEmail,
    rememberEmail,
    takePassword,
} from "./credentials.js";
import { announce, h } from "./dom.js";
import { form } from "./form.js";
import { problem } from "./loading.js";
import { go, goInstead, hashOf } from "./router.js";
import { refresh } from "./session.js";

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
