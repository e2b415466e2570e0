// Channels of the demonstration's bot, compared with the SDKs: the front door accepts the requests that Feishu's own
// dispatcher accepts, and the dispatcher accepts the deliveries to the bot's pool.

import assert from "node:assert/strict";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import * as lark from "@larksuiteoapi/node-sdk";

const base = process.env.PORTCULLIS_URL;
const encryptKey = "an encrypt key";
const verificationToken = "not-a-verification-token";
const logger = Object.fromEntries(["error", "warn", "info", "debug", "trace"].map((level) => [level, () => {}]));
const headers = { "content-type": "application/json", origin: base };
let channel;
let account;
let pool;
const taken = [];

const internal = async (method, path, body) => {
    const token = { "x-internal-token": process.env.INTERNAL_API_TOKEN };
    const answer = await fetch(`${base}/api/internal/${path}`, { method, headers: { ...headers, ...token }, body: body && JSON.stringify(body) });
    assert.equal(answer.status, 200, path);
    return answer.json();
};

/** An event as Feishu sends it: encrypted body and signature headers. */
function sent(event, { key = encryptKey, signedWith = key, at = Date.now() } = {}) {
    const iv = randomBytes(16);
    const cipher = createCipheriv("aes-256-cbc", createHash("sha256").update(key).digest(), iv);
    const encrypt = Buffer.concat([iv, cipher.update(JSON.stringify(event)), cipher.final()]).toString("base64");
    const body = JSON.stringify({ encrypt });
    const [timestamp, nonce] = [String(Math.floor(at / 1000)), randomBytes(8).toString("hex")];
    const signature = createHash("sha256").update(timestamp + nonce + signedWith + body).digest("hex");
    const signed = { "x-lark-request-timestamp": timestamp, "x-lark-request-nonce": nonce, "x-lark-signature": signature };
    return { body, headers: { "content-type": "application/json", ...signed } };
}

/** Whether Feishu's dispatcher accepts a request. */
async function dispatched(request) {
    const events = [];
    const dispatcher = new lark.EventDispatcher({ encryptKey, verificationToken, logger });
    dispatcher.register({ "im.message.receive_v1": (event) => events.push(event) });
    await dispatcher.invoke(Object.assign(Object.create({ headers: request.headers }), JSON.parse(request.body)));
    return events.length === 1;
}

const post = (request, path = "events") => fetch(`${base}/api/feishu/${path}/${channel.id}`, { method: "POST", ...request });

const message = (text, more = {}) => ({
    schema: "2.0",
    header: {
        event_id: randomBytes(8).toString("hex"),
        event_type: "im.message.receive_v1",
        token: verificationToken,
        app_id: channel.appId,
        tenant_key: "tenant",
        ...more,
    },
    event: {
        sender: { sender_id: { open_id: "ou_person" }, sender_type: "user" },
        message: { message_id: `om_${randomBytes(8).toString("hex")}`, chat_id: "oc_demo1", chat_type: "group", message_type: "text", content: JSON.stringify({ text }) },
    },
});

async function eventually(what, found) {
    for (let tries = 0; tries < 300; tries += 1) {
        const value = found();
        if (value) return value;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return assert.fail(`not within 30 s: ${what}`);
}

before(async () => {
    const credentials = { email: "demo@example.com", password: process.env.DEMO_PASSWORD };
    const signedIn = await fetch(`${base}/api/auth/sign-in/email`, { method: "POST", headers, body: JSON.stringify(credentials) });
    assert.equal(signedIn.status, 200);
    headers.cookie = signedIn.headers.get("set-cookie").split(";")[0];
    channel = await connect("feishu", {
        appId: "cli_demo000000000001",
        appSecret: process.env.DEMO_FEISHU_APP_SECRET,
        connectionMode: "webhook",
        verificationToken,
        encryptKey,
    });
    const config = await internal("GET", "pools/pool-demo/config");
    account = config.channels.feishu.accounts[channel.accountId];
    // A stand-in for the pool's OpenClaw: Feishu's own dispatcher at the account's own port.
    const dispatcher = new lark.EventDispatcher({ encryptKey: account.encryptKey, verificationToken: account.verificationToken, logger });
    const take = (event) => {
        taken.push(event);
    };
    dispatcher.register({ "im.message.receive_v1": take, "card.action.trigger": take });
    pool = createServer(lark.adaptDefault(account.webhookPath, dispatcher));
    await new Promise((resolve) => pool.listen(account.webhookPort, "127.0.0.1", resolve));
});

after(() => pool?.close());

async function connect(platform, body) {
    const answer = await fetch(`${base}/v1/channels/${platform}/connect`, { method: "POST", headers, body: JSON.stringify(body) });
    const connected = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(connected));
    return connected;
}

test("we take and refuse the same events as Feishu's dispatcher", async () => {
    const good = sent(message("hello"));
    assert.equal(await dispatched(good), true);
    assert.equal((await post(good)).status, 200);
    const forged = sent(message("hello"), { signedWith: "another key" });
    assert.equal(await dispatched(forged), false);
    assert.equal((await post(forged)).status, 401);
    const foreign = sent(message("hello"), { key: "another key", signedWith: encryptKey });
    assert.equal(await dispatched(foreign), false);
    assert.equal((await post(foreign)).status, 401);
    // Stricter than the dispatcher, which compares neither the token nor the time.
    assert.equal((await post(sent(message("hello", { token: "another" })))).status, 401);
    assert.equal((await post(sent(message("hello"), { at: Date.now() - 301_000 }))).status, 401);
});

test("the check of the URL is answered as Feishu's own adapter answers it", async () => {
    const check = { challenge: "c-1", token: verificationToken, type: "url_verification" };
    const request = sent(check);
    const { isChallenge, challenge } = lark.generateChallenge(JSON.parse(request.body), { encryptKey });
    assert.equal(isChallenge, true);
    assert.deepEqual(await (await post(request)).json(), challenge);
    assert.deepEqual(await (await post(request, "card-action")).json(), challenge);
});

test("Feishu's dispatcher takes what the pool gets", async () => {
    const event = message("Ça va ☕? <b>&amp;</b> \u2028");
    assert.equal((await post(sent(event))).status, 200);
    const found = await eventually("the message", () => taken.find(({ event_id }) => event_id === event.header.event_id));
    assert.deepEqual([found.message, found.sender], [event.event.message, event.event.sender]);
    assert.equal(JSON.stringify(found).includes(verificationToken), false);
    assert.notEqual(account.encryptKey, encryptKey);
    const click = {
        schema: "2.0",
        header: { ...message("").header, event_type: "card.action.trigger" },
        event: { operator: { open_id: "ou_person" }, token: "c-1", action: { tag: "button", value: { n: 1 } }, context: { open_message_id: "om_1", open_chat_id: "oc_demo1" } },
    };
    assert.equal((await post(sent(click), "card-action")).status, 200);
    const pressed = await eventually("the click", () => taken.find(({ event_id }) => event_id === click.header.event_id));
    assert.deepEqual([pressed.action, pressed.token], [click.event.action, "c-1"]);
});

test("a card callback of the older kind is taken as Feishu's card handler takes it", async () => {
    const card = { open_id: "ou_person", user_id: "u1", open_message_id: "om_2", open_chat_id: "oc_demo1", tenant_key: "t", token: "c-2", action: { tag: "button", value: { n: 2 } } };
    const body = JSON.stringify(card);
    const [timestamp, nonce] = [String(Math.floor(Date.now() / 1000)), "nonce"];
    const signature = createHash("sha1").update(timestamp + nonce + verificationToken + body).digest("hex");
    const signed = { "content-type": "application/json", "x-lark-request-timestamp": timestamp, "x-lark-request-nonce": nonce, "x-lark-signature": signature };
    let handled;
    const handler = new lark.CardActionHandler({ verificationToken, logger }, (data) => {
        handled = data;
    });
    await handler.invoke(Object.assign(Object.create({ headers: signed }), card));
    assert.equal(handled.token, "c-2");
    assert.equal((await post({ body, headers: signed }, "card-action")).status, 200);
    const pressed = await eventually("the click", () => taken.find(({ token }) => token === "c-2"));
    assert.deepEqual(pressed.action, card.action);
    assert.equal((await post({ body, headers: { ...signed, "x-lark-signature": "0".repeat(40) } }, "card-action")).status, 401);
});

test("the conversations of both platforms become sessions", async () => {
    await connect("discord", { botToken: process.env.DEMO_DISCORD_BOT_TOKEN, appId: "9000000000000000001" });
    assert.deepEqual(await internal("POST", "sessions/sync-discord", { poolId: "pool-demo" }), { synced: 3 });
    assert.deepEqual(await internal("POST", "sessions/sync-feishu", { poolId: "pool-demo" }), { synced: 3 });
    const { sessions } = await (await fetch(`${base}/v1/sessions?limit=100`, { headers })).json();
    const keys = sessions.map(({ sessionKey }) => sessionKey);
    assert.ok(keys.includes("agent:bot-demo:feishu:group:oc_demo1"), keys.join());
    assert.equal(keys.filter((key) => key.startsWith("agent:bot-demo:discord:channel:")).length, 3);
});
