// Devices that are signed in to the account.

import { actionButton, refocus } from "./action.js";
import * as api from "./api.js";
import { announce, h, timeOf } from "./dom.js";
import { loaded, pill } from "./loading.js";
import { sessionToken } from "./session.js";
import { ago, deviceOf } from "./words.js";

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
