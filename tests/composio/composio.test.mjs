// Composio's own SDK against the fake Composio at /dev/composio: the SDK accepts the same shapes of calls and answers
// here as at Composio.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { afterEach, test } from "node:test";

import { AuthenticationError, BadRequestError, NotFoundError } from "@composio/client";
import {
    Composio,
    ComposioConnectedAccountNotRevokableError,
    ComposioToolExecutionError,
    ComposioToolNotFoundError,
    ComposioToolVersionRequiredError,
    ComposioToolkitFetchError,
    ComposioToolkitNotFoundError,
    ConnectionRequestFailedError,
    ConnectionRequestTimeoutError,
} from "@composio/core";

const base = `${process.env.PORTCULLIS_URL}/dev/composio`;
const apiKey = process.env.DEMO_COMPOSIO_API_KEY;
const version = "20260101_00";
const callbackUrl = "http://127.0.0.1:9/connected?state=abc";

/** The SDK's log. It reports most answers of a wrong shape only as a warning. */
const logged = [];
const log = (...parts) => void logged.push(parts.map(String).join(" "));
const logger = { error: log, warn: log, info: () => {}, debug: () => {} };
console.warn = log;

const client = (options) => new Composio({ apiKey, baseURL: base, allowTracking: false, disableVersionCheck: true, logger, ...options });
const composio = client();

afterEach(() => assert.deepEqual(logged.splice(0), [], "the SDK logged warnings"));

const newUser = () => `user-${randomUUID()}`;

/** Presses a button of the page behind a link. */
const decide = (link, decision) => fetch(link, { method: "POST", body: new URLSearchParams({ decision }), redirect: "manual" });

/** A new user, a session with Gmail, and a connection request. */
async function asked(options) {
    const user = newUser();
    const session = await composio.create(user, { toolkits: ["gmail"] });
    return { user, session, request: await session.authorize("gmail", options) };
}

/** The result of `asked`, with the account connected. */
async function connected() {
    const all = await asked();
    assert.equal((await decide(all.request.redirectUrl, "allow")).status, 200);
    return { ...all, account: all.request.id };
}

/** Asserts an error of a class and, if the class wraps an API answer, the answer's status and slug. */
const failure = (type, status, slug) => (error) => {
    assert.ok(error instanceof type, `${error?.constructor?.name}: ${error?.message}`);
    if (status === undefined) return true;
    const answer = error.error ? error : error.cause;
    assert.equal(answer.status, status);
    assert.deepEqual([answer.error.error.status, answer.error.error.slug], [status, slug]);
    return true;
};

const execute = (action, options) => composio.tools.execute(action, { version, arguments: { query: "is:unread" }, ...options });

const executed = async (user) => (await (await fetch(`${base}.json`)).json()).filter((one) => one.user === user);

/** A request that the SDK itself cannot make. */
function call(method, path, body) {
    const headers = { "x-api-key": apiKey, "content-type": "application/json" };
    return fetch(`${base}/api/v3.1/${path}`, { method, headers, body: body && JSON.stringify(body) });
}

test("the SDK's warnings about malformed answers are captured", async () => {
    const server = createServer((_, response) => {
        response.setHeader("content-type", "application/json").end(JSON.stringify({ items: [{ meta: {} }] }));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
        await client({ baseURL: `http://127.0.0.1:${server.address().port}` }).toolkits.get();
    } finally {
        server.closeAllConnections();
        server.close();
    }
    assert.match(logged.splice(0).join("\n"), /Transform validation failed/);
});

test("all 27 toolkits are listed, and each is found by its slug", async () => {
    const toolkits = await composio.toolkits.get();
    assert.equal(toolkits.length, 27);
    assert.equal((await composio.toolkits.get("gmail")).name, "Gmail");
    for (const { slug, name } of toolkits) assert.equal((await composio.toolkits.get(slug)).name, name);
});

test("an unknown toolkit is refused", async () => {
    const refused = failure(ComposioToolkitNotFoundError, 404, "Toolkit_ToolkitNotFound");
    await assert.rejects(composio.toolkits.get("nope"), refused);
    await assert.rejects(composio.create(newUser(), { toolkits: ["nope"] }), failure(BadRequestError, 400, "HTTP_BadRequest"));
});

test("the tools of each toolkit are listed", async () => {
    for (const { slug } of await composio.toolkits.get()) {
        const tools = await composio.tools.getRawComposioTools({ toolkits: [slug] });
        assert.ok(tools.length > 0 && tools.every((tool) => tool.toolkit.slug === slug), slug);
    }
    const functions = await composio.tools.get(newUser(), { toolkits: ["gmail"] });
    assert.ok(functions.every((tool) => tool.type === "function" && tool.function.name.startsWith("GMAIL_")));
});

test("tools are found by their slugs, and an unknown one is refused", async () => {
    const tools = await composio.tools.getRawComposioTools({ tools: ["GMAIL_LIST_ITEMS", "NOPE_LIST_ITEMS"] });
    assert.deepEqual(tools.map((tool) => tool.slug), ["GMAIL_LIST_ITEMS"]);
    const tool = await composio.tools.getRawComposioToolBySlug("GMAIL_FETCH_EMAILS");
    assert.deepEqual([tool.slug, tool.toolkit.slug, tool.version], ["GMAIL_FETCH_EMAILS", "gmail", version]);
    assert.equal((await composio.tools.getRawComposioToolBySlug("GMAIL_FETCH_EMAILS", { version })).version, version);
    const refused = failure(ComposioToolNotFoundError, 404, "Tool_ToolNotFound");
    await assert.rejects(composio.tools.getRawComposioToolBySlug("NOPE_LIST_ITEMS"), refused);
});

test("a session is found by its id, and allows its own toolkits alone", async () => {
    const session = await composio.create(newUser(), { toolkits: ["gmail"] });
    assert.match(session.sessionId, /^trs_/);
    assert.equal((await composio.use(session.sessionId)).sessionId, session.sessionId);
    assert.deepEqual((await session.toolkits()).items.map((toolkit) => toolkit.slug), ["gmail"]);
    assert.deepEqual(await session.tools(), []);
    await assert.rejects(session.authorize("slack"), failure(BadRequestError, 400, "HTTP_BadRequest"));
    await assert.rejects(composio.use("trs_nope"), failure(NotFoundError, 404, "ToolRouterV2_SessionNotFound"));
    assert.equal((await (await composio.create(newUser())).toolkits()).items.length, 27);
    const others = await composio.create(newUser(), { toolkits: { disable: ["gmail"] } });
    assert.equal((await others.toolkits()).items.length, 26);
    await assert.rejects(others.authorize("gmail"), failure(BadRequestError, 400, "HTTP_BadRequest"));
    assert.equal((await others.authorize("notion")).status, "INITIATED");
});

test("a person who allows is sent to the callback, and the account becomes active", async () => {
    const { request } = await asked({ callbackUrl });
    assert.equal(request.status, "INITIATED");
    const waiting = request.waitForConnection(10_000);
    const page = await fetch(request.redirectUrl);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /Allow<\/button>/);
    const answer = await decide(request.redirectUrl, "allow");
    assert.ok([302, 303].includes(answer.status), `${answer.status}`);
    const back = new URL(answer.headers.get("location"));
    assert.equal(back.origin + back.pathname, "http://127.0.0.1:9/connected");
    const parameters = { state: "abc", status: "success", connected_account_id: request.id };
    assert.deepEqual(Object.fromEntries(back.searchParams), parameters);
    const account = await waiting;
    assert.deepEqual([account.id, account.status, account.toolkit.slug], [request.id, "ACTIVE", "gmail"]);
});

test("a person who refuses is sent to the callback, and the connection fails", async () => {
    const { request } = await asked({ callbackUrl });
    const back = new URL((await decide(request.redirectUrl, "refuse")).headers.get("location"));
    assert.equal(back.searchParams.get("status"), "failed");
    assert.equal(back.searchParams.get("connected_account_id"), request.id);
    await assert.rejects(request.waitForConnection(10_000), (error) => {
        assert.ok(error instanceof ConnectionRequestFailedError, `${error}`);
        return error.meta.status === "FAILED";
    });
});

test("a link is used once, and takes no other decision", async () => {
    const { request } = await asked();
    await assert.rejects(request.waitForConnection(100), failure(ConnectionRequestTimeoutError));
    assert.equal((await decide(request.redirectUrl, "perhaps")).status, 400);
    assert.equal((await decide(request.redirectUrl, "allow")).status, 200);
    assert.equal((await decide(request.redirectUrl, "refuse")).status, 404);
    assert.equal((await fetch(request.redirectUrl)).status, 404);
    assert.equal((await composio.connectedAccounts.get(request.id)).status, "ACTIVE");
});

test("an account is listed, found by its id, and shown in its session", async () => {
    const { user, session, account } = await connected();
    const list = async (filter) => {
        const accounts = await composio.connectedAccounts.list({ userIds: [user], ...filter });
        return accounts.items.map(({ id, status }) => [id, status]);
    };
    assert.deepEqual(await list(), [[account, "ACTIVE"]]);
    assert.deepEqual(await list({ toolkitSlugs: ["notion", "gmail"], statuses: ["ACTIVE", "EXPIRED"] }), [[account, "ACTIVE"]]);
    assert.deepEqual(await list({ toolkitSlugs: ["notion"] }), []);
    assert.deepEqual(await list({ statuses: ["INITIATED"] }), []);
    assert.deepEqual(await list({ userIds: [newUser()] }), []);
    const found = await composio.connectedAccounts.get(account);
    assert.deepEqual([found.id, found.status, found.toolkit.slug], [account, "ACTIVE", "gmail"]);
    const [gmail] = (await session.toolkits({ toolkits: ["gmail"] })).items;
    assert.equal(gmail.connection.isActive, true);
    assert.deepEqual(gmail.connection.connectedAccount, { id: account, status: "ACTIVE" });
});

test("a toolkit without an account is shown as not connected", async () => {
    const { session } = await asked();
    const [gmail] = (await session.toolkits()).items;
    assert.equal(gmail.connection.isActive, false);
});

test("an executed action answers its arguments, and is written down", async () => {
    const { user, account } = await connected();
    const action = "GMAIL_FETCH_EMAILS";
    for (const options of [{}, { connectedAccountId: account }]) {
        const outcome = await execute(action, { userId: user, ...options });
        assert.deepEqual([outcome.successful, outcome.error], [true, null]);
        assert.deepEqual(outcome.data, { executed: action, arguments: { query: "is:unread" } });
    }
    const one = { action, user, account, arguments: { query: "is:unread" } };
    assert.deepEqual(await executed(user), [one, one]);
});

test("an action that the toolkit refuses is not successful, and no error", async () => {
    const { user } = await connected();
    const outcome = await execute("GMAIL_FAIL", { userId: user });
    assert.deepEqual([outcome.successful, outcome.data], [false, {}]);
    assert.ok(outcome.error);
});

test("an action is refused without an account, and with another user's", async () => {
    const { account } = await connected();
    const stranger = newUser();
    const unconnected = failure(ComposioToolExecutionError, 404, "ActionExecute_ConnectedAccountNotFound");
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: stranger }), unconnected);
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: stranger, connectedAccountId: "ca_nope" }), unconnected);
    const foreign = failure(ComposioToolExecutionError, 400, "ActionExecute_ConnectedAccountEntityIdMismatch");
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: stranger, connectedAccountId: account }), foreign);
    assert.deepEqual(await executed(stranger), []);
});

test("an action is refused without a version, and with an unknown one", async () => {
    const { user } = await connected();
    const unversioned = execute("GMAIL_FETCH_EMAILS", { userId: user, version: undefined });
    await assert.rejects(unversioned, failure(ComposioToolVersionRequiredError));
    const unknown = execute("GMAIL_FETCH_EMAILS", { userId: user, version: "20200101_00" });
    await assert.rejects(unknown, failure(ComposioToolNotFoundError, 404, "Tool_ToolNotFound"));
    // The SDK fetches the tool of a version first; this is the call that would follow.
    const body = { user_id: user, version: "20200101_00", arguments: {} };
    assert.equal((await call("POST", "tools/execute/GMAIL_FETCH_EMAILS", body)).status, 404);
    assert.deepEqual(await executed(user), []);
});

test("an action with the person's own key needs no account", async () => {
    const user = newUser();
    const keys = { toolkitSlug: "stripe", authScheme: "API_KEY", val: { generic_api_key: "sk_test_1" } };
    const outcome = await execute("STRIPE_LIST_CUSTOMERS", { userId: user, customConnectionData: keys });
    assert.equal(outcome.successful, true);
    assert.ok(!JSON.stringify(outcome).includes("sk_test_1"));
    assert.deepEqual((await executed(user)).map((one) => one.account), [null]);
    const others = execute("STRIPE_LIST_CUSTOMERS", { userId: user, customConnectionData: { ...keys, toolkitSlug: "sendgrid" } });
    await assert.rejects(others, failure(ComposioToolExecutionError, 400, "HTTP_BadRequest"));
});

test("an account is revoked once, and executes nothing from then on", async () => {
    const { user, session, account } = await connected();
    const revoked = await composio.connectedAccounts.revoke(account);
    assert.deepEqual(revoked.connectedAccount, { id: account, status: "REVOKED" });
    assert.ok(revoked.revokedTokens.length > 0);
    assert.deepEqual((await composio.connectedAccounts.revoke(account)).revokedTokens, []);
    assert.equal((await composio.connectedAccounts.get(account)).status, "REVOKED");
    assert.equal((await session.toolkits()).items[0].connection.isActive, false);
    const refused = failure(ComposioToolExecutionError, 404, "ActionExecute_ConnectedAccountNotFound");
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: user }), refused);
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: user, connectedAccountId: account }), refused);
});

test("an account that is not connected cannot be revoked", async () => {
    const { request } = await asked();
    await assert.rejects(composio.connectedAccounts.revoke(request.id), failure(ComposioConnectedAccountNotRevokableError));
    assert.equal((await composio.connectedAccounts.get(request.id)).status, "INITIATED");
});

test("a deleted account is gone", async () => {
    const { user, account } = await connected();
    assert.deepEqual(await composio.connectedAccounts.delete(account), { success: true });
    const gone = failure(NotFoundError, 404, "ConnectedAccount_ResourceNotFound");
    await assert.rejects(composio.connectedAccounts.get(account), gone);
    await assert.rejects(composio.connectedAccounts.delete(account), gone);
    await assert.rejects(composio.connectedAccounts.revoke(account), gone);
    assert.deepEqual((await composio.connectedAccounts.list({ userIds: [user] })).items, []);
});

test("an account that expired at the provider executes nothing", async () => {
    const { user, account } = await connected();
    assert.equal((await call("POST", `connected_accounts/${account}/expire`)).status, 200);
    assert.equal((await composio.connectedAccounts.get(account)).status, "EXPIRED");
    await assert.rejects(execute("GMAIL_FETCH_EMAILS", { userId: user, connectedAccountId: account }), (error) => {
        assert.ok(error instanceof ComposioToolExecutionError, `${error}`);
        return error.cause.status === 410 && error.cause.error.error.slug === "ActionExecute_ConnectedAccountExpired";
    });
});

test("a wrong API key is refused", async () => {
    const stranger = client({ apiKey: "ak_wrong" });
    const refused = failure(AuthenticationError, 401, "APIKey_InvalidAPIKey");
    await assert.rejects(stranger.connectedAccounts.list(), refused);
    await assert.rejects(stranger.create(newUser(), { toolkits: ["gmail"] }), refused);
    await assert.rejects(stranger.tools.getRawComposioTools({ toolkits: ["gmail"] }), refused);
    await assert.rejects(stranger.toolkits.get(), failure(ComposioToolkitFetchError, 401, "APIKey_InvalidAPIKey"));
    const keyless = await fetch(`${base}/api/v3.1/toolkits`);
    assert.equal(keyless.status, 401);
    assert.equal((await keyless.json()).error.slug, "Auth_NoAuthProvided");
});

test("a request with an unknown field is refused in Composio's error shape", async () => {
    const { user, session } = await connected();
    const known = [
        ["tool_router/session", { user_id: user, toolkits: { enable: ["gmail"] } }],
        [`tool_router/session/${session.sessionId}/link`, { toolkit: "gmail" }],
        ["tools/execute/GMAIL_FETCH_EMAILS", { user_id: user, version, arguments: {} }],
    ];
    for (const [path, body] of known) {
        assert.ok((await call("POST", path, body)).ok, path);
        const answer = await call("POST", path, { ...body, surprise: true });
        assert.equal(answer.status, 400, path);
        const { error } = await answer.json();
        assert.match(error.message, /surprise/);
        assert.deepEqual([error.code, error.slug, error.status], [10400, "HTTP_BadRequest", 400]);
    }
    const nowhere = await call("GET", "nowhere");
    assert.equal(nowhere.status, 404);
    assert.equal((await nowhere.json()).error.code, 10404);
});
