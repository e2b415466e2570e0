// Calls of this origin's API: `/v1/*` and `/api/auth/*`, with the session cookie and JSON.

import { Failure } from "./failure.js";

/** Longest time that a call waits. The server's own deadline is 20 s, API Gateway's 30 s. */
const DEADLINE_MS = 35_000;

let signInAgain = null;
let signingIn = null;

/**
 * Sets what is done where a call finds that the session has ended. It resolves to `true` once a person has signed in again, and
 * the call is then repeated, so that nothing that was typed is lost.
 */
export function onSessionEnd(handler) {
    signInAgain = handler;
}

/**
 * Makes a call and returns the JSON of its answer.
 *
 * @param {string} method
 * @param {string} path of this origin, from `/`
 * @param {{body?: object, signal?: AbortSignal, isPublic?: boolean}} options `isPublic`: a 401 is about what was sent, and not
 *     about the session
 * @throws {Failure} for an answer that is no 2xx, and where none came
 */
export async function call(method, path, { body, signal, isPublic = false } = {}) {
    try {
        return await once(method, path, body, signal);
    } catch (failure) {
        if (isPublic || failure.status !== 401 || !signInAgain) throw failure;
        signingIn ??= signInAgain().finally(() => {
            signingIn = null;
        });
        if (!(await signingIn)) throw failure;
        return once(method, path, body, signal);
    }
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body = {}, options = {}) => call("POST", path, { ...options, body });

/** Posts to an endpoint of the accounts that works without a session. */
export const postPublic = (path, body) => call("POST", `/api/auth/${path}`, { body, isPublic: true });

async function once(method, path, body, signal) {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    const init = {
        method,
        headers: { accept: "application/json" },
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    };
    if (body !== undefined) {
        init.headers["content-type"] = "application/json";
        init.body = JSON.stringify(body);
    }
    let answer;
    let json;
    try {
        answer = await fetch(path, init);
        json = await parsed(answer);
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new Failure({ code: deadline.aborted ? "timeout" : "network", message: String(error) });
    }
    if (!answer.ok) throw Failure.of(answer.status, answer.headers, json);
    if (json === undefined) throw new Failure({ status: 502, message: "The answer is not of this API." });
    return json;
}

/** JSON of an answer, or `undefined` where it holds something else. */
async function parsed(answer) {
    const text = await answer.text();
    if (!text) return null;
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

/** All items of a list that may come in pages with a `cursor`. */
export async function all(path, key, options) {
    const items = [];
    let cursor = null;
    for (let page = 0; page < MOST_PAGES; page += 1) {
        const query = new URLSearchParams({ limit: "100" });
        if (cursor) query.set("cursor", cursor);
        const answer = await get(`${path}?${query}`, options);
        items.push(...(answer[key] ?? []));
        cursor = answer.cursor;
        if (!cursor) break;
    }
    return items;
}

/** Bound on the pages that one list is read by. */
const MOST_PAGES = 20;

/** Bots of the person, without those that are deleted. */
export async function bots(options) {
    return (await all("/v1/bots", "bots", options)).filter((bot) => bot.status !== "deleted");
}

/** Channels of the person's bots, each with its `readiness`: `null` where that could not be read. */
export async function channelsWithReadiness(options) {
    const channels = await all("/v1/channels", "channels", options);
    return Promise.all(channels.map(async (channel) => ({ ...channel, readiness: await readiness(channel, options) })));
}

async function readiness(channel, options) {
    try {
        return await get(`/v1/channels/${encodeURIComponent(channel.id)}/readiness`, options);
    } catch (failure) {
        if (failure instanceof Failure && failure.status !== 401) return null;
        throw failure;
    }
}
