// Unit tests of the console's files: texts, addresses and rules that need no browser, and file sizes.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const folder = new URL("../../functions/v1/console/", import.meta.url);
const load = (name) => import(new URL(name, folder));

const { Failure, explain, secondsOf } = await load("failure.js");
const { hashOf, match, parse } = await load("router.js");
const { manifest } = await load("connect_slack.js");
const { ago, count, deviceOf, duration, ownPath, slackErrorOf, slugOf, wait, webUrl, readinessOf, runningOf } =
    await load("words.js");

const files = readdirSync(folder);
const text = (name) => readFileSync(new URL(name, folder), "utf8");

test("all files together weigh less than 100 kB, compressed one by one", () => {
    const weight = files.reduce((sum, name) => sum + gzipSync(text(name)).length, 0);
    assert.ok(weight <= 100_000, `${weight} bytes`);
});

test("the page names each module, so that none waits for another", () => {
    const named = [...text("index.html").matchAll(/(?:href|src)="\/console\/(\w+\.js)"/g)].map(([, name]) => name);
    assert.deepEqual(named.toSorted(), files.filter((name) => name.endsWith(".js")).toSorted());
});

test("no file holds markup from data, inline code, a style attribute or another origin's resource", () => {
    for (const name of files) {
        const found =
            text(name).match(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bstyle=/) ??
            text(name).match(/(?:src|import|from|url)\s*[(=]?\s*["'(]?https?:/);
        assert.equal(found?.[0], undefined, name);
    }
    assert.doesNotMatch(text("index.html"), /<script(?![^>]*src=)|<style|\son\w+=/);
});

test("a module is shorter than 400 lines", () => {
    for (const name of files) assert.ok(text(name).split("\n").length < 400, name);
});

test("a slug is made of what a name has of a–z, 0–9", () => {
    assert.equal(slugOf("Countess Éclair!"), "countess-eclair");
    assert.equal(slugOf("  --Ünïcode & more--  "), "unicode-more");
    assert.equal(slugOf("東京"), "");
    assert.match(slugOf("x ".repeat(500)), /^[a-z0-9-]{1,100}$/);
});

test("a path is followed only if it begins with one slash and stays at this origin", () => {
    const origin = "https://console.example.com";
    for (const good of ["/", "/#/bots", "/a?b=c#d"]) assert.equal(ownPath(good, origin), good);
    for (const bad of [
        "",
        null,
        "bots",
        "//evil.test",
        "/\\evil.test",
        "https://evil.test",
        "javascript:alert(1)",
        "/\t/evil.test",
        "/\n/evil.test",
    ]) {
        assert.equal(ownPath(bad, origin), null, JSON.stringify(bad));
    }
});

test("only http and https become links", () => {
    assert.equal(webUrl("https://a.example/x"), "https://a.example/x");
    for (const bad of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "/x", "", null, undefined])
        assert.equal(webUrl(bad), null);
});

test("times and numbers are words", () => {
    const now = Date.parse("2026-01-02T00:00:00Z");
    assert.equal(ago("2026-01-01T23:59:50.000Z", now), "just now");
    assert.equal(ago("2026-01-01T21:00:00.000Z", now), "3 hours ago");
    assert.equal(ago("2026-01-01T00:00:00.000Z", now), "yesterday");
    assert.equal(ago("no time", now), "at an unknown time");
    assert.deepEqual(
        [wait(0.2), wait(89), wait(95), wait(900), wait(7200)],
        ["1 second", "89 seconds", "2 minutes", "15 minutes", "2 hours"],
    );
    assert.deepEqual([count(1, "bot"), count(1200, "bot")], ["1 bot", "1,200 bots"]);
    assert.deepEqual([duration(4200), duration(75_000), duration(3_900_000)], ["4.2 s", "1 min", "1 h 5 min"]);
});

test("a device is named by its browser and system", () => {
    assert.equal(
        deviceOf(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
        ),
        "Safari on iPhone",
    );
    assert.equal(
        deviceOf(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
        ),
        "Edge on Windows",
    );
    assert.equal(deviceOf("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"), "Firefox on Linux");
    assert.equal(deviceOf(null), "Unknown device");
    assert.equal(deviceOf("a-script/1.0"), "a-script/1.0");
});

test("retry-after is seconds or a date", () => {
    assert.equal(secondsOf("30"), 30);
    assert.equal(secondsOf("Thu, 01 Jan 1970 00:01:00 GMT", 30_000), 30);
    assert.equal(secondsOf("Thu, 01 Jan 1970 00:00:00 GMT", 30_000), 0);
    assert.deepEqual([secondsOf(null), secondsOf("soon")], [null, null]);
});

test("each failure has words for what went wrong and for what to do", () => {
    const of = (status, body, headers = {}) => explain(Failure.of(status, new Headers(headers), body));
    for (const status of [400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 502, 503, 504]) {
        for (const body of [null, "text", {}, { message: 7, code: {}, fields: "x" }]) {
            const { title, next } = of(status, body);
            assert.match(title, /^[A-Z].*\.$/, String(status));
            assert.match(next, /^[A-Z].*\.$/, String(status));
        }
    }
    assert.match(explain(new Failure({ code: "network" })).title, /cannot be reached/);
    assert.match(explain(new TypeError("x")).title, /page has an error/);
    assert.equal(of(429, null, { "retry-after": "900" }).next, "Try again in 15 minutes.");
    assert.equal(of(409, { message: "Taken", requestId: "r" }).title, "Taken.");
    assert.equal(of(500, null, { "x-request-id": "r-1" }).requestId, "r-1");
    assert.doesNotThrow(() => of(400, { code: "constructor" }));
});

test("readiness names the first thing that does not work", () => {
    const all = { ready: false, connected: true, running: true, configured: true, gatewayConnected: true, lastError: null };
    const title = (readiness, status = "connected", bot) => readinessOf({ status }, readiness, bot).title;
    assert.equal(title({ ...all, ready: true }), "Ready");
    assert.equal(title({ ...all, connected: false, running: false }), "Connecting");
    assert.equal(title({ ...all, running: false, configured: false }), "Its pool does not run");
    assert.equal(title({ ...all, configured: false, gatewayConnected: false }), "Being set up");
    assert.equal(title({ ...all, gatewayConnected: false }), "Waiting for the gateway");
    assert.equal(title(all), "Not ready");
    assert.equal(title(null), "Unknown");
    assert.equal(title({ ...all, ready: true }, "disconnected"), "Disconnected");
    assert.equal(title({ ...all, ready: true }, "error"), "Not working");
    assert.equal(title({ ...all, ready: true }, "connected", { status: "paused" }), "Paused");
    assert.equal(
        readinessOf({ status: "error" }, { ...all, lastError: "Slack does not accept it" }).next,
        "Slack does not accept it.",
    );
    assert.equal(
        readinessOf({ status: "connected" }, { ...all, ready: true, lastError: "Slack holds back events" }).next,
        "Slack holds back events.",
    );
});

test("a bot runs where all of its channels are ready", () => {
    const [good, slow, bad] = [{ tone: "good" }, { tone: "wait", title: "Slow" }, { tone: "bad", title: "Bad" }];
    const title = (status, ...states) => runningOf({ status }, states).title;
    assert.equal(title("active"), "No channel yet");
    assert.equal(title("active", good, good), "Running");
    assert.equal(title("active", good, slow), "Slow");
    assert.equal(title("active", good, slow, bad), "Bad");
    assert.equal(title("paused", good), "Paused");
});

test("a hash is parsed into a route, and anything else leads to the start", () => {
    const routes = [{ path: "/" }, { path: "/bots" }, { path: "/bots/new" }, { path: "/bots/:id" }];
    const found = (hash) => {
        const hit = match(routes, parse(hash).path);
        return hit && [hit.route.path, hit.params];
    };
    assert.deepEqual(found(""), ["/", {}]);
    assert.deepEqual(found("#elsewhere"), ["/", {}]);
    assert.deepEqual(found("#/bots/"), ["/bots", {}]);
    assert.deepEqual(found("#/bots/new?x=1"), ["/bots/new", {}]);
    assert.deepEqual(found("#/bots/a%2Fb"), ["/bots/:id", { id: "a/b" }]);
    assert.equal(found("#/bots/%E0%A4%A"), null);
    assert.equal(found("#/nowhere"), null);
    assert.equal(hashOf("/bots", { page: null, bot: "a b" }), "#/bots?bot=a+b");
});

test("each error of Slack's consent page has words of its own", () => {
    const known = [
        "access_denied",
        "invalid_state",
        "expired_state",
        "slack_unavailable",
        "channel_taken",
        "no_bot",
        "too_many_channels",
        "not_set_up",
        "unavailable",
    ];
    assert.equal(new Set(known.map((code) => slackErrorOf(code).title)).size, known.length);
    for (const code of ["other", "", "constructor", "__proto__"]) assert.equal(slackErrorOf(code).isKnown, false);
});

test("the manifest is JSON with a name that Slack takes", () => {
    const made = JSON.parse(manifest("🤖".repeat(50)));
    assert.equal([...made.display_information.name].length, 35);
    assert.ok(made.oauth_config.scopes.bot.includes("chat:write"));
    // Slack refuses the scope without its feature, and events without an address.
    assert.ok(!made.oauth_config.scopes.bot.includes("assistant:write"));
    assert.equal(made.settings.event_subscriptions, undefined);
});
