// The person who is signed in, as `get-session` tells it, and what they have typed and not sent yet.

import { get } from "./api.js";

let session = null;

/** The signed-in account, or `null`. */
export function user() {
    return session?.user ?? null;
}

/** Id of this browser's session, by which it is told from others in the list of devices. */
export function sessionToken() {
    return session?.session?.token ?? null;
}

/** Asks the server who is signed in. */
export async function refresh() {
    session = await get("/api/auth/get-session");
    if (session) claimDrafts(session.user.id);
    return user();
}

/** Forgets who was signed in. */
export function forget() {
    session = null;
}

// Drafts outlast a look at another page, a reload and a new sign-in, and end with the tab.
const PREFIX = "draft:";

/** Key of the account's id whose drafts are kept. */
const OWNER = "drafts-of";

/** Values of a form that was left, or an empty object. */
export function draftOf(name) {
    try {
        return JSON.parse(sessionStorage.getItem(PREFIX + name)) ?? {};
    } catch {
        return {};
    }
}

/** Keeps what was typed into a form. Secrets are not among the values: a form leaves them out. */
export function keepDraft(name, values) {
    try {
        sessionStorage.setItem(PREFIX + name, JSON.stringify(values));
    } catch {
        // A browser without storage keeps no drafts; the form itself still holds what was typed.
    }
}

export function dropDraft(name) {
    try {
        sessionStorage.removeItem(PREFIX + name);
    } catch {
        // Nothing was kept.
    }
}

/** Says whose the drafts are from now on. Those of anybody else are dropped. */
function claimDrafts(owner) {
    try {
        const before = sessionStorage.getItem(OWNER);
        if (before && before !== owner) dropAllDrafts();
        sessionStorage.setItem(OWNER, owner);
    } catch {
        // Nothing was kept.
    }
}

/** Drops the drafts of everybody: the next person at this browser must not see them. */
export function dropAllDrafts() {
    try {
        for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
    } catch {
        // Nothing was kept.
    }
}
