// What was typed into a form and not sent yet, so that it outlasts a look at another page, a reload or a new sign-in.
// Secrets are never kept: a form leaves them out.

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
export function claimDrafts(owner) {
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
