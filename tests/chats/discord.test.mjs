// discord.js's REST client against the fake Discord at /dev/discord.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DiscordAPIError, REST } from "@discordjs/rest";

const api = `${process.env.PORTCULLIS_URL}/dev/discord/api`;
const token = process.env.DEMO_DISCORD_BOT_TOKEN;

const client = (authorization = token, options = {}) => new REST({ api, version: "10", retries: 0, ...options }).setToken(authorization);
const discord = client();

/** A request that the client itself cannot make. */
const call = (path, { method = "GET", authorization = `Bot ${token}` } = {}) =>
    fetch(`${api}/v10/${path}`, { method, headers: authorization ? { authorization } : {} });

/** Asserts an API error by status, code and message. */
const failure = (status, code, message) => (error) => {
    assert.ok(error instanceof DiscordAPIError, `${error}`);
    assert.deepEqual([error.status, error.code, error.rawError.message], [status, code, message]);
    return true;
};

const unauthorized = failure(401, 0, "401: Unauthorized");

test("the bot learns its user and its application", async () => {
    const user = await discord.get("/users/@me");
    assert.equal(user.bot, true);
    assert.equal(Buffer.from(token.split(".")[0], "base64url").toString(), user.id);
    const application = await discord.get("/applications/@me");
    assert.match(application.id, /^\d{17,20}$/);
    assert.equal(application.bot.id, user.id);
});

test("the guilds are listed a page at a time", async () => {
    const list = async (query) => (await discord.get("/users/@me/guilds", { query: new URLSearchParams(query) })).map(({ id }) => id);
    const all = await list();
    assert.equal(all.length, 3);
    assert.deepEqual(all, [...all].sort((one, other) => (BigInt(one) < BigInt(other) ? -1 : 1)));
    const found = [];
    for (let page = await list({ limit: 1 }); page.length > 0; page = await list({ limit: 1, after: page.at(-1) })) found.push(...page);
    assert.deepEqual(found, all);
    assert.deepEqual(await list({ limit: 1, before: all[2] }), [all[1]]);
    const [counted] = await discord.get("/users/@me/guilds", { query: new URLSearchParams({ with_counts: "true" }) });
    assert.equal(typeof counted.approximate_member_count, "number");
});

test("a malformed query is refused field by field", async () => {
    const refused = failure(400, 50035, "Invalid Form Body");
    for (const query of [{ limit: 0 }, { limit: 201 }, { limit: "x" }, { after: "x" }, { before: "9223372036854775808" }]) {
        await assert.rejects(discord.get("/users/@me/guilds", { query: new URLSearchParams(query) }), (error) => {
            refused(error);
            assert.match(error.message, new RegExp(`${Object.keys(query)[0]}\\[NUMBER_TYPE_`));
            return true;
        });
    }
});

test("another token is refused", async () => {
    const [bot, time] = token.split(".");
    for (const wrong of ["a.b.c", `${bot}.${time}.wrong`, token.slice(0, -1)]) await assert.rejects(client(wrong).get("/users/@me"), unauthorized);
    await assert.rejects(client(token, { authPrefix: "Bearer" }).get("/users/@me"), unauthorized);
    for (const authorization of [undefined, token]) {
        const answer = await call("users/@me", { authorization: authorization ?? null });
        assert.equal(answer.status, 401);
        assert.deepEqual(await answer.json(), { message: "401: Unauthorized", code: 0 });
    }
});

test("an unknown path and a wrong method are refused", async () => {
    await assert.rejects(discord.get("/users/@me/nowhere"), failure(404, 0, "404: Not Found"));
    await assert.rejects(discord.post("/users/@me"), failure(405, 0, "405: Method Not Allowed"));
    assert.equal((await fetch(`${api}/v9/users/@me`)).status, 404);
});

test("each answer has the headers of a rate limit", async () => {
    for (const [path, status] of [["users/@me", 200], ["users/@me/guilds?limit=0", 400], ["nowhere", 404]]) {
        const answer = await call(path);
        assert.equal(answer.status, status);
        assert.equal(answer.headers.get("x-ratelimit-limit"), "50");
        for (const name of ["remaining", "reset", "reset-after"]) assert.match(answer.headers.get(`x-ratelimit-${name}`), /^\d+(\.\d+)?$/);
        assert.ok(answer.headers.get("x-ratelimit-bucket"));
    }
});

test("the bot is limited to fifty requests a second, and its client waits", async () => {
    let limited;
    while (!limited) {
        const answers = await Promise.all(Array.from({ length: 100 }, () => call("users/@me")));
        assert.ok(answers.every(({ status }) => status === 200 || status === 429));
        limited = answers.find(({ status }) => status === 429);
        // Read each body, or its connection stays open.
        for (const answer of answers) if (answer !== limited) await answer.text();
    }
    const body = await limited.json();
    assert.deepEqual([body.message, body.global], ["You are being rate limited.", true]);
    assert.ok(body.retry_after > 0 && body.retry_after <= 1, `${body.retry_after}`);
    assert.equal(limited.headers.get("retry-after"), "1");
    assert.deepEqual([limited.headers.get("x-ratelimit-global"), limited.headers.get("x-ratelimit-scope")], ["true", "global"]);
    // A new client does not know the limit yet and retries whichever requests are refused.
    const users = await Promise.all(Array.from({ length: 60 }, () => client().get("/users/@me")));
    assert.ok(users.every((user) => user.bot));
});

test("the stand-in answers no page of another host", async () => {
    const { request } = await import("node:http");
    const { port } = new URL(api);
    const status = await new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port, path: "/dev/discord/api/v10/users/@me", headers: { host: "evil.example" } };
        request(options, (answer) => resolve(answer.resume().statusCode)).on("error", reject).end();
    });
    assert.equal(status, 403);
});
