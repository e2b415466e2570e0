// The person who is signed in, as `get-session` tells it.

import { get } from "./api.js";
import { claimDrafts } from "./drafts.js";

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
