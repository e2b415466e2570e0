// The person's own account: name, password, signed-in devices, and deleting it.

import * as api from "./api.js";
import { announce, h, timeOf } from "./dom.js";
import { ask, form } from "./form.js";
import { actionButton, loaded, pill, refocus } from "./parts.js";
import { goInstead } from "./router.js";
import { dropAllDrafts, forget, refresh, sessionToken, user } from "./session.js";
import { checkName, checkPassword, PASSWORD_RULE } from "./sign_in.js";
import { ago, deviceOf } from "./words.js";

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

/** The list of devices. `again` reads it anew. */
export function devices(signal) {
    let reload = async () => {};
    const element = loaded(
        signal,
        "your devices",
        () => api.get("/api/auth/list-sessions", { signal }),
        (sessions, again) => {
            reload = again;
            return render(sessions, again);
        },
    );
    return { element, again: () => reload() };
}

function render(sessions, again) {
    // Session that this page was opened with, first; then the newest.
    const own = sessionToken();
    const sorted = [...sessions].sort((one, other) => Number(other.token === own) - Number(one.token === own));
    const place = h("div", { class: "place" });
    const others =
        sorted.length > 1 &&
        actionButton({
            words: "Sign out everywhere else",
            busy: "Signing out…",
            lead: "The other devices are still signed in.",
            place,
            async run() {
                await api.post("/api/auth/revoke-other-sessions");
                await again();
                refocus();
                announce("All other devices are signed out.");
            },
        });
    return [
        h(
            "ul",
            { class: "rows" },
            sorted.map((session) => h("li", {}, item(session, session.token === own, place, again))),
        ),
        place,
        others && h("div", { class: "actions" }, others),
    ];
}

function item(session, isOwn, place, again) {
    const device = deviceOf(session.userAgent);
    const leave =
        !isOwn &&
        actionButton({
            words: "Sign out there",
            label: `Sign out there: ${device}, signed in ${ago(session.createdAt)}`,
            busy: "Signing out…",
            lead: "The device is still signed in.",
            place,
            async run() {
                await api.post("/api/auth/revoke-session", { token: session.token });
                await again();
                refocus();
                announce(`${device} is signed out.`);
            },
        });
    return [
        h("div", { class: "row-head" }, h("span", { class: "row-title" }, device), isOwn ? pill("good", "This device") : leave),
        h(
            "p",
            { class: "row-facts" },
            session.ipAddress && h("span", {}, session.ipAddress),
            h("span", {}, "signed in ", timeOf(session.createdAt, ago(session.createdAt))),
            h("span", {}, "last used ", timeOf(session.updatedAt, ago(session.updatedAt))),
        ),
    ];
}
