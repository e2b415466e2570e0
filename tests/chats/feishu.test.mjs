// Feishu's own SDK against the fake Feishu at /dev/feishu.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, test } from "node:test";

import { Client } from "@larksuiteoapi/node-sdk";

const domain = `${process.env.PORTCULLIS_URL}/dev/feishu`;
const appSecret = process.env.DEMO_FEISHU_APP_SECRET;
const appId = "cli_demo000000000001";

/** Problems that the SDK logs. Its pager logs an error and ends, where other calls throw. */
const logged = [];
const log = (...parts) => void logged.push(JSON.stringify(parts));
const silent = () => {};
const logger = { error: log, warn: log, info: silent, debug: silent, trace: silent };

/** A client with its own cache: in the SDK's shared cache, a wrong secret would get the right one's token. */
function client(options) {
    const tokens = new Map();
    const cache = { get: async (key) => tokens.get(String(key)), set: async (key, value) => Boolean(tokens.set(String(key), value)) };
    return new Client({ appId, appSecret, domain, cache, logger, ...options });
}
const feishu = client();

afterEach(() => assert.deepEqual(logged.splice(0), [], "the SDK logged problems"));

/** A request that the SDK itself cannot make. */
async function call(method, path, { authorization, body, type = "application/json" } = {}) {
    const headers = { ...(authorization && { authorization }), ...(body && { "content-type": type }) };
    return fetch(`${domain}/open-apis/${path}`, { method, headers, body });
}

const credentials = (secret, id = appId) => JSON.stringify({ app_id: id, app_secret: secret });
const TOKEN = "auth/v3/tenant_access_token/internal";
const bearer = async () => `Bearer ${(await feishu.auth.tenantAccessToken.internal({ data: JSON.parse(credentials(appSecret)) })).tenant_access_token}`;

/** Asserts an answer of 400 with a code. */
const failure = (code) => (error) => {
    assert.deepEqual([error.response?.status, error.response?.data.code], [400, code], `${error}`);
    logged.splice(0);
    return true;
};

const text = (words) => ({ msg_type: "text", content: JSON.stringify({ text: words }) });
const sent = async () => (await fetch(`${domain}/messages.json`)).json();

test("the secret gets a token, which stays the same", async () => {
    const internal = () => feishu.auth.tenantAccessToken.internal({ data: JSON.parse(credentials(appSecret)) });
    const first = await internal();
    assert.deepEqual([first.code, first.msg], [0, "ok"]);
    assert.match(first.tenant_access_token, /^t-/);
    assert.ok(first.expire > 7000 && first.expire <= 7200, `${first.expire}`);
    assert.equal((await internal()).tenant_access_token, first.tenant_access_token);
});

test("a wrong secret and an unknown app get none", async () => {
    for (const [options, words] of [
        [{ appSecret: "wrong" }, /code: 10014, msg: app secret invalid/],
        [{ appId: "cli_demo000000000002" }, /code: 10014, msg: app id not exists/],
        [{ appId: "cli_demo" }, /code: 10003, msg: invalid param/],
    ]) await assert.rejects(client(options).im.v1.chat.list(), words);
    for (const body of ["{", "[]", "{}", JSON.stringify({ app_id: appId })]) {
        const answer = await call("POST", TOKEN, { body });
        assert.deepEqual([answer.status, (await answer.json()).code], [200, 10003], body);
    }
    const form = await call("POST", TOKEN, { body: credentials(appSecret), type: "application/x-www-form-urlencoded" });
    assert.equal((await form.json()).code, 10003);
});

test("the bot is described", async () => {
    const { code, msg, bot } = await feishu.request({ method: "GET", url: "/open-apis/bot/v3/info" });
    assert.deepEqual([code, msg, bot.activate_status, bot.ip_white_list], [0, "ok", 2, []]);
    assert.match(bot.open_id, /^ou_/);
    assert.equal(typeof bot.app_name, "string");
});

test("the SDK's pager finds every chat once, whatever the size of a page", async () => {
    const whole = await feishu.im.v1.chat.list();
    assert.deepEqual([whole.code, whole.msg, whole.data.has_more], [0, "success", false]);
    const all = whole.data.items.map(({ chat_id }) => chat_id);
    assert.equal(all.length, 3);
    for (const page_size of [1, 2, 3, 100]) {
        const found = [];
        for await (const page of await feishu.im.v1.chat.listWithIterator({ params: { page_size } })) {
            assert.ok(page.items.length <= page_size);
            found.push(...page.items.map(({ chat_id }) => chat_id));
        }
        assert.deepEqual(found, all, `${page_size} a page`);
    }
});

test("the owner of a chat is named as the request asks", async () => {
    for (const [user_id_type, form] of [["open_id", /^ou_/], ["union_id", /^on_/], ["user_id", /^demo/]]) {
        const { data } = await feishu.im.v1.chat.list({ params: { user_id_type, page_size: 1 } });
        assert.equal(data.items[0].owner_id_type, user_id_type);
        assert.match(data.items[0].owner_id, form);
    }
});

test("a malformed query of the chats is refused", async () => {
    for (const params of [{ page_size: 0 }, { page_size: 101 }, { page_size: "x" }, { user_id_type: "chat_id" }, { sort_type: "x" }]) {
        await assert.rejects(feishu.im.v1.chat.list({ params }), failure(99992402), JSON.stringify(params));
    }
    await assert.rejects(feishu.im.v1.chat.list({ params: { page_token: "x" } }), failure(232001));
});

test("a call without a valid token is refused", async () => {
    const valid = (await bearer()).slice("Bearer ".length);
    for (const [authorization, code] of [
        [undefined, 99991661],
        [valid, 99991661],
        ["Bearer t-fake", 99991663],
        [`Bearer ${appSecret}`, 99991663],
        ["Bearer u-fake", 99991668],
    ]) {
        for (const [method, path] of [["GET", "bot/v3/info"], ["GET", "im/v1/chats"], ["POST", "im/v1/messages"], ["POST", "im/v1/messages/om_1/reply"]]) {
            const answer = await call(method, path, { authorization });
            assert.deepEqual([answer.status, (await answer.json()).code], [400, code], `${authorization} ${path}`);
        }
    }
});

test("an unknown path and a wrong method are 404 in plain text", async () => {
    const authorization = await bearer();
    for (const [method, path] of [["GET", TOKEN], ["POST", "bot/v3/info"], ["GET", "nowhere"], ["DELETE", "im/v1/messages"]]) {
        const answer = await call(method, path, { authorization });
        assert.deepEqual([answer.status, await answer.text()], [404, "404 page not found"], `${method} ${path}`);
        assert.match(answer.headers.get("content-type"), /^text\/plain/);
    }
});

test("a message is sent to a chat, answered, and shown", async () => {
    const words = randomUUID();
    const { data: chats } = await feishu.im.v1.chat.list();
    const chat_id = chats.items[1].chat_id;
    const first = await feishu.im.v1.message.create({ params: { receive_id_type: "chat_id" }, data: { receive_id: chat_id, ...text(words) } });
    assert.deepEqual([first.code, first.msg, first.data.chat_id, first.data.msg_type], [0, "success", chat_id, "text"]);
    assert.match(first.data.message_id, /^om_/);
    assert.match(first.data.create_time, /^\d{13}$/);
    const reply = await feishu.im.v1.message.reply({ path: { message_id: first.data.message_id }, data: text(`re: ${words}`) });
    assert.deepEqual([reply.data.chat_id, reply.data.parent_id], [chat_id, first.data.message_id]);
    assert.deepEqual((await sent()).slice(-2), [first.data, reply.data]);
});

test("a message that is sent twice with one uuid is recorded once", async () => {
    const uuid = randomUUID();
    const send = () => feishu.im.v1.message.create({ params: { receive_id_type: "chat_id" }, data: { receive_id: "oc_demo1", uuid, ...text(uuid) } });
    assert.equal((await send()).data.message_id, (await send()).data.message_id);
    assert.equal((await sent()).filter(({ body }) => body.content.includes(uuid)).length, 1);
});

test("a malformed message is refused, and not recorded", async () => {
    const before = await sent();
    const send = (data, receive_id_type = "chat_id") => feishu.im.v1.message.create({ params: { receive_id_type }, data: { receive_id: "oc_demo1", ...text("x"), ...data } });
    await assert.rejects(send({ receive_id: "oc_other" }), failure(230002));
    await assert.rejects(send({ msg_type: "poem" }), failure(230001));
    await assert.rejects(send({ content: "no JSON" }), failure(230001));
    await assert.rejects(send({ content: { text: "an object" } }), failure(9499));
    await assert.rejects(send({ content: undefined }), failure(99992402));
    await assert.rejects(send({}, "chat"), failure(99992402));
    await assert.rejects(send({}, "open_id"), failure(230001));
    const reply = feishu.im.v1.message.reply({ path: { message_id: "nonsense" }, data: text("x") });
    await assert.rejects(reply, failure(99992354));
    const answer = await call("POST", "im/v1/messages?receive_id_type=chat_id", { authorization: await bearer(), body: "{" });
    assert.deepEqual([answer.status, (await answer.json()).code], [400, 9499]);
    assert.deepEqual(await sent(), before);
});
