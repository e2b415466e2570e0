// The person's own account: name, password, devices, and deleting it.

import * as api from "./api.js";
import { checkName, checkPassword, PASSWORD_RULE } from "./credentials.js";
import { devices } from "./devices.js";
import { ask } from "./dialog.js";
import { announce, h } from "./dom.js";
import { dropAllDrafts } from "./drafts.js";
import { form } from "./form.js";
import { loaded } from "./loading.js";
import { goInstead } from "./router.js";
import { forget, refresh, user } from "./session.js";

/** Page of the account. */
export function account({ signal }) {
    const others = devices(signal);
    return {
        title: "Account",
        content: [
            h(
                "section",
                { class: "card profile" },
                h("h2", {}, "You"),
                loaded(signal, "your profile", () => api.get("/v1/me", { signal }), profile),
            ),
            section("Password", password(others.again)),
            section("Signed-in devices", others.element),
            h(
                "section",
                { class: "danger-zone" },
                h("h2", {}, "Delete the account"),
                h("p", {}, "Your bots stop answering, and your account with its sessions is deleted. This cannot be undone."),
                h("button", { type: "button", class: "danger", onclick: deletion }, "Delete the account…"),
            ),
        ],
    };
}

function section(title, ...content) {
    return h("section", { class: "card" }, h("h2", {}, title), content);
}

function profile(me) {
    const entry = form({
        draft: "profile",
        fields: [
            {
                name: "name",
                label: "Your name",
                isRequired: true,
                value: me.name,
                check: checkName,
                attributes: { autocomplete: "name" },
            },
        ],
        submit: "Save",
        busy: "Saving…",
        send: (values) => api.call("PATCH", "/v1/me", { body: values }),
        async done() {
            announce("Your name is saved.");
            await refresh().catch(() => {});
            const shown = document.querySelector(".who .name");
            if (shown) shown.textContent = user()?.name ?? "";
        },
    });
    return [
        h(
            "dl",
            { class: "facts" },
            h("div", {}, h("dt", {}, "E-mail address"), h("dd", {}, me.email)),
            me.plan && h("div", {}, h("dt", {}, "Plan"), h("dd", {}, me.plan)),
        ),
        entry.element,
    ];
}

function password(changed) {
    const entry = form({
        fields: [
            // Password managers take the account's name from here.
            {
                name: "email",
                label: "E-mail address",
                type: "hidden",
                value: user()?.email,
                attributes: { autocomplete: "username" },
            },
            {
                name: "currentPassword",
                label: "Current password",
                type: "password",
                isRequired: true,
                attributes: { autocomplete: "current-password" },
            },
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
        submit: "Change the password",
        busy: "Changing it…",
        send: async ({ currentPassword, newPassword }) => {
            await api.post("/api/auth/change-password", { currentPassword, newPassword, revokeOtherSessions: true });
            // The server gave this browser a new session, by which the list of devices knows it.
            await refresh().catch(() => {});
        },
        done() {
            entry.reset();
            changed();
            announce("Your password is changed. All other devices are signed out.");
        },
    });
    return [h("p", { class: "hint" }, "A new password signs out all your other devices."), entry.element];
}

async function deletion() {
    const isDone = await ask({
        title: "Delete your account?",
        text: "Enter your password to confirm. This cannot be undone.",
        action: "Delete the account",
        busy: "Deleting…",
        refusal: "Keep it",
        tone: "danger",
        fields: [
            {
                name: "currentPassword",
                label: "Password",
                type: "password",
                isRequired: true,
                attributes: { autocomplete: "current-password" },
            },
        ],
        run: (values) => api.post("/api/auth/delete-user", { password: values.currentPassword }),
    });
    if (!isDone) return;
    forget();
    dropAllDrafts();
    goInstead("/sign-in", { notice: "deleted" });
}
