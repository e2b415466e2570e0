// Fake Composio API and consent page, limited to the calls of connecting an account. The page consents at once, except
// for two toolkits: consent to Notion fails, and consent to Linear stays unfinished.
//
// Source: Composio, API reference v3.1 ("Tool Router", "Connected accounts").

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

const port = Number(process.argv[2]);
const base = `http://127.0.0.1:${port}`;

/** Users by session id. */
const sessions = new Map();

/** Accounts by id. */
const accounts = new Map();

/** Status of an account after the person's consent, by toolkit. */
const OUTCOMES = { notion: "FAILED", linear: "INITIATED" };

const freshId = (prefix) => `${prefix}_${randomUUID().replaceAll("-", "")}`;

function beginSession({ user_id }) {
    const session_id = freshId("trs");
    sessions.set(session_id, user_id);
    return [201, { session_id }];
}

function beginLink(session, { toolkit, callback_url }) {
    const id = freshId("ca");
    accounts.set(id, { id, status: "INITIATED", user_id: sessions.get(session), toolkit: { slug: toolkit }, callback_url });
    return [201, { link_token: freshId("lk"), redirect_url: `${base}/consent/${id}`, connected_account_id: id }];
}

function consent(account) {
    account.status = OUTCOMES[account.toolkit.slug] ?? "ACTIVE";
    const back = new URL(account.callback_url);
    back.searchParams.set("status", account.status === "FAILED" ? "failed" : "success");
    back.searchParams.set("connected_account_id", account.id);
    return [302, null, { location: back.href }];
}

const shown = ({ id, status, user_id, toolkit }) => ({ id, status, user_id, toolkit });

function revoke(account) {
    account.status = "REVOKED";
    return [200, { revoked_tokens: [], connected_account: { id: account.id, status: account.status } }];
}

function remove(account) {
    accounts.delete(account.id);
    return [200, { success: true }];
}

const ROUTES = [
    ["POST", /^\/api\/v3\.1\/tool_router\/session$/, (_, body) => beginSession(body)],
    ["POST", /^\/api\/v3\.1\/tool_router\/session\/(\w+)\/link$/, (id, body) => sessions.has(id) && beginLink(id, body)],
    ["GET", /^\/consent\/(\w+)$/, (id) => accounts.has(id) && consent(accounts.get(id))],
    [
        "GET",
        /^\/api\/v3\.1\/connected_accounts\/(\w+)$/,
        (id) => accounts.has(id) && [200, shown(accounts.get(id))],
    ],
    ["POST", /^\/api\/v3\.1\/connected_accounts\/(\w+)\/revoke$/, (id) => accounts.has(id) && revoke(accounts.get(id))],
    ["DELETE", /^\/api\/v3\.1\/connected_accounts\/(\w+)$/, (id) => accounts.has(id) && remove(accounts.get(id))],
];

const NOT_FOUND = [404, { error: { message: "not found", code: 4300, slug: "not_found", status: 404 } }];

function answer(method, path, body) {
    for (const [wanted, pattern, make] of ROUTES) {
        const found = method === wanted && path.match(pattern);
        if (found) return make(found[1], body) || NOT_FOUND;
    }
    return NOT_FOUND;
}

createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const [status, body, headers] = answer(request.method, new URL(request.url, base).pathname, text ? JSON.parse(text) : {});
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body === null ? "" : JSON.stringify(body));
}).listen(port, "127.0.0.1");
