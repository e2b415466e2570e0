// The web console in Chromium: what a person does with it, from signing up to deleting the account.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { address, asPool, base, botToken, code, launch, mailed, password, Person, quit } from "./browser.mjs";

before(async () => {
    await launch();
    // Bots are placed on a pool that runs.
    await asPool("POST", "pools/register", { poolId: "pool-1", status: "active" });
    await asPool("POST", "pools/heartbeat", { poolId: "pool-1", status: "active" });
});
after(quit);

/** A model's name: `cargo local` lists none, and takes any. */
const MODEL = "anthropic/claude-sonnet";

const makeBot = (person, name, slug, more = {}) => person.post("/v1/bots", { name, slug, modelId: MODEL, ...more });
const session = (bot, number, more = {}) => asPool("POST", "sessions", {
    botId: bot.id, sessionKey: `agent:${bot.id}:slack:channel:c${number}`, title: `Slack #room-${number}`, channelType: "slack",
    messageCount: number, lastMessageAt: new Date().toISOString(), ...more,
});

async function connectByHand(person, token) {
    await person.page.locator("details.by-hand:has(form) > summary").click();
    await person.write("Bot token", token);
    await person.write("Signing secret", "0123456789abcdef0123456789abcdef");
    await person.click("Connect");
}

test("the first run goes from signing up to the first message", async () => {
    const person = await Person.visit("/");
    const email = address("first");
    await person.click("Sign up", "link");
    await person.focuses("Sign up");
    await person.write("Your name", "Ada Lovelace");
    await person.write("E-mail address", email);
    await person.write("Password", "short");
    await person.click("Sign up");
    await person.sees("Choose a password of at least 8 characters.");
    await person.focuses("Password");
    await person.write("Password", password);
    await person.click("Sign up");
    await person.sees("Check your mail");
    await person.write("Code", "000000");
    await person.click("Verify");
    await person.sees("This is not the code that was mailed last.");
    await person.click("Mail a new code");
    await person.sees("A new code is on its way.");
    await person.write("Code", await mailed(email, code));
    await person.click("Verify");
    await person.sees("Three steps to a bot that answers in Slack.");

    await person.click("Make a bot", "link");
    await person.write("Name", "Countess Éclair!");
    assert.equal(await person.value("Slug"), "countess-eclair");
    await person.write("Model", MODEL);
    await person.write("Instructions (optional)", "Answer in verse.");
    await person.click("Make the bot");
    await person.sees("Countess Éclair! is made.");
    await person.settles();
    await person.click("Start", "link");
    await person.sees("Connect Slack");
    await person.settles();
    await connectByHand(person, botToken("first"));
    await person.sees("Waiting for its first message…");
    // The last step of connecting by hand is in Slack's settings, and its address is shown at once.
    await person.focuses("Event address, for an app connected by hand");
    await person.sees("Request URL");

    const [bot] = (await person.request("GET", "/v1/bots")).bots;
    await person.intercept((request) => (request.url().includes("/v1/sessions") ? { status: 503, body: { message: "x", code: "y" } } : null));
    await person.sees("The server has trouble. This page goes on trying.");
    await person.pass();
    await session(bot, 1);
    await person.sees("has got its first message: “Slack #room-1”");
    await person.sees("Latest conversations");
    await person.leaves();
});

test("signs in and goes about by keyboard alone", async () => {
    const person = await Person.registered(address("keyboard"));
    await person.sees("Hello, Ada");
    await person.click("Sign out");
    await person.focuses("Sign in");
    const { keyboard } = person.page;
    const tabTo = async (words) => {
        for (let presses = 0; presses < 15; presses += 1) {
            await keyboard.press("Tab");
            const ring = await person.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
            assert.equal(ring, "solid", `the ring of “${await person.focused()}”`);
            if ((await person.focused()) === words) return;
        }
        assert.fail(`Tab does not reach “${words}”`);
    };
    await tabTo("E-mail address");
    await keyboard.type(address("keyboard"));
    await tabTo("Password");
    await keyboard.type(password);
    await keyboard.press("Enter");
    await person.focuses("Hello, Ada");
    await person.page.keyboard.down("Shift");
    await tabTo("Skip to the content");
    await person.page.keyboard.up("Shift");
    await keyboard.press("Enter");
    await person.focuses("Hello, Ada");
    await person.page.keyboard.down("Shift");
    await tabTo("Bots");
    await person.page.keyboard.up("Shift");
    await keyboard.press("Enter");
    await person.focuses("Bots");
    assert.equal(await person.page.$eval("nav [aria-current=page]", (link) => link.textContent), "Bots");
    await person.leaves();
});

test("a wrong password is told, and what was typed stays", async () => {
    const person = await Person.registered(address("wrong"));
    await person.click("Sign out");
    await person.signIn(address("wrong"), "not the password");
    await person.sees("E-mail address or password is not right.");
    assert.equal(await person.value("E-mail address"), address("wrong"));
    await person.signIn(address("wrong"));
    await person.sees("Hello, Ada");
    await person.leaves();
});

test("a page that needs a session is shown after signing in, and no other origin's", async () => {
    const person = await Person.registered(address("next"));
    await person.click("Sign out");
    await person.focuses("Sign in");
    await person.open("/#/conversations?page=2");
    await person.sees("Stay signed in");
    await person.signIn();
    await person.sees("No conversations yet");
    assert.equal(await person.page.evaluate(() => location.hash), "#/conversations?page=2");
    for (const next of ["//evil.test/", "https://evil.test/", "/sign-in", "/nowhere"]) {
        await person.open(`/#/sign-in?next=${encodeURIComponent(next)}`);
        await person.sees("Hello, Ada");
        assert.equal(await person.page.evaluate(() => location.href), `${base}/#/`);
    }
    await person.leaves();
});

test("an address that is not verified is asked for its code", async () => {
    const person = await Person.visit("/");
    const email = address("unverified");
    await person.sees("Sign in");
    await person.post("/api/auth/sign-up/email", { name: "Ada", email, password });
    await person.signIn(email);
    await person.sees("Check your mail");
    await person.write("Code", await mailed(email, code));
    await person.click("Verify");
    await person.sees("Hello, Ada");
    await person.leaves();
});

test("the mailed links verify an address and set a password, and leave no token in the address bar", async () => {
    const person = await Person.visit("/#/sign-up");
    const email = address("links");
    await person.write("Your name", "Ada");
    await person.write("E-mail address", email);
    await person.write("Password", password);
    await person.click("Sign up");
    await person.sees("Check your mail");
    const verify = await mailed(email, /(http\S+verify-email\?\S+)/);
    await person.page.goto(verify);
    await person.sees("Your e-mail address is verified.");
    await person.page.goto(verify);
    await person.sees("This link was used already, or is too old.");

    await person.click("Forgot the password?", "link");
    await person.write("E-mail address", email);
    await person.click("Mail me a link");
    await person.sees("has an account, a link is on its way to it.");
    await person.page.goto(await mailed(email, /(http\S+view=reset\S+)/));
    await person.sees("Set a new password");
    assert.equal(await person.page.evaluate(() => location.href), `${base}/#/reset-password`);
    await person.write("New password", "a wholly new password");
    await person.click("Set the password");
    await person.sees("Your new password is set");
    await person.signIn(email, "a wholly new password");
    await person.sees("Hello, Ada");
    await person.leaves();
});

test("a double click makes one bot", async () => {
    const person = await Person.registered(address("double"), "/#/bots/new");
    await person.write("Name", "Once");
    await person.write("Model", MODEL);
    let posts = 0;
    await person.intercept((request) => {
        if (request.method() === "POST" && request.url().endsWith("/v1/bots")) posts += 1;
        return null;
    });
    await person.page.$eval("button[type=submit]", (button) => { for (let click = 0; click < 5; click += 1) button.click(); });
    await person.sees("Once is made.");
    assert.equal(posts, 1);
    await person.pass();
    await person.leaves();
});

test("what was typed outlasts an outage, a reload and the end of the session", async () => {
    const person = await Person.registered(address("typed"), "/#/bots/new");
    await person.write("Name", "Durable");
    await person.write("Model", MODEL);
    await person.write("Instructions (optional)", "A long text that nobody wants to write twice.");
    await person.intercept((request) => (request.method() === "POST" ? { isLost: true } : null));
    await person.click("Make the bot");
    await person.sees("The server cannot be reached.");
    await person.pass();
    await person.page.reload();
    await person.settles();
    assert.equal(await person.value("Name"), "Durable");
    assert.equal(await person.value("Slug"), "durable");
    assert.equal(await person.value("Instructions (optional)"), "A long text that nobody wants to write twice.");

    const owner = await person.page.evaluate(() => sessionStorage.getItem("drafts-of"));
    await person.page.evaluate(() => sessionStorage.setItem("drafts-of", "somebody-else"));
    await person.page.reload();
    await person.settles();
    assert.equal(await person.value("Name"), "", "a draft of somebody else");
    assert.equal(await person.page.evaluate(() => sessionStorage.getItem("drafts-of")), owner);
    await person.write("Name", "Durable");
    await person.write("Model", MODEL);

    await person.context.deleteCookie(...(await person.context.cookies()));
    await person.click("Make the bot");
    await person.sees("Your session has ended");
    assert.equal(await person.focused(), "Password");
    await person.isAccessible("the dialog of an ended session");
    await person.page.locator("dialog input[name=password]").fill(password);
    await person.page.locator("dialog button[type=submit]").click();
    await person.sees("Durable is made.");
    await person.leaves();
});

test("refusals say what went wrong and what to do next", async () => {
    const person = await Person.registered(address("refused"), "/#/bots/new");
    await makeBot(person, "First", "first");
    await person.write("Name", "Second");
    await person.click("Make the bot");
    await person.sees("Enter the model's name.");
    await person.write("Model", MODEL);
    await person.write("Slug", "first");
    await person.click("Make the bot");
    await person.page.waitForSelector(".problem .request-id code");
    await person.write("Slug", "second");
    const refuse = async (status, body, headers, words) => {
        await person.intercept((request) => (request.method() === "POST" ? { status, body: { code: "x", requestId: "r-1", ...body }, headers } : null));
        await person.click("Make the bot");
        await person.sees(words);
    };
    await refuse(429, { message: "Too many requests." }, { "retry-after": "95" }, "That was too often. Try again in 2 minutes.");
    await refuse(503, { message: "The store is not available" }, { "retry-after": "5" }, "The store is not available. Try again in 5 seconds.");
    await refuse(403, { message: "Not with this plan" }, {}, "Not with this plan. Ask whoever runs this server");
    await refuse(400, { message: "The request does not validate", fields: { slug: "is reserved" } }, {}, "Is reserved.");
    await person.focuses("Slug");
    assert.equal(await person.page.$eval("[name=slug]", (input) => document.getElementById(input.getAttribute("aria-describedby").split(" ").at(-1)).textContent), "Is reserved.");
    await refuse(400, { message: "The request does not validate", fields: { "a.field": "that the form has not" } }, {}, "a.field that the form has not");
    await person.isAccessible("a form with errors");
    await person.pass();

    await person.intercept((request) => (request.url().includes("/v1/bots") ? { status: 500, body: { message: "An error", code: "internal", requestId: "r-2" } } : null));
    await person.click("Bots", "link");
    await person.sees("Could not load your bots.");
    await person.sees("r-2");
    await person.pass();
    await person.click("Try again");
    await person.sees("First");
    await person.leaves();
});

test("a console that cannot reach its server says so and starts once it can", async () => {
    const person = await Person.registered(address("start"));
    await person.intercept((request) => (request.url().endsWith("/get-session") ? { isLost: true } : null));
    await person.page.goto("about:blank");
    await person.page.goto(base);
    await person.sees("The console could not start");
    await person.sees("The server cannot be reached. Check your connection and try again.");
    await person.isAccessible("a console that could not start");
    await person.pass();
    await person.click("Try again");
    await person.sees("Hello, Ada");
    await person.leaves();
});

test("a bot is changed, paused, resumed and deleted", async () => {
    const person = await Person.registered(address("bots"), "/#/bots");
    await person.sees("No bots yet");
    await makeBot(person, "Babbage", "babbage", { systemPrompt: "Be exact." });
    await person.open("/#/bots");
    await person.click("Pause Babbage");
    await person.sees("Babbage is paused.");
    await person.focuses("Resume Babbage");
    await person.click("Resume Babbage");
    await person.sees("Babbage is resumed.");
    await person.click("Edit Babbage", "link");
    await person.write("Name", "Charles");
    await person.write("Instructions (optional)", "");
    await person.click("Save");
    await person.sees("Charles is saved.");
    const [bot] = (await person.request("GET", "/v1/bots")).bots;
    assert.deepEqual([bot.name, bot.slug, bot.systemPrompt], ["Charles", "babbage", null]);
    await person.click("Bots", "link");
    await person.click("Delete Charles");
    await person.sees("Delete Charles?");
    await person.focuses("Keep it");
    await person.page.keyboard.press("Escape");
    await person.focuses("Delete Charles");
    await person.click("Delete Charles");
    await person.click("Delete the bot");
    await person.sees("No bots yet");
    await person.focuses("Bots");
    await person.leaves();
});

test("a workspace is connected by hand and disconnected", async () => {
    const person = await Person.registered(address("channels"), "/#/channels");
    await person.sees("Make a bot first");
    await makeBot(person, "One", "one");
    const two = await makeBot(person, "Two", "two");
    await person.open("/#/channels");
    await connectByHand(person, "xoxb-bad");
    await person.page.waitForSelector(".problem .request-id code");
    await person.page.select("[name=botId]", two.id);
    // Slack does not say which app a token is of that lacks a scope: then the form asks for it.
    await person.write("Bot token", botToken("no-scope"));
    await person.click("Connect");
    await person.focuses("App ID (optional)");
    await person.write("App ID (optional)", "A0CHANNELS");
    await person.click("Connect");
    await person.focuses("Event address, for an app connected by hand");
    const [channel] = (await person.request("GET", "/v1/channels")).channels;
    assert.equal(channel.botId, two.id);
    assert.equal(await person.value("Request URL"), `${base}/api/slack/events/${channel.id}`);
    await person.page.locator(".card .danger-text").click();
    await person.click("Disconnect");
    await person.misses("Event address");
    assert.deepEqual((await person.request("GET", "/v1/channels")).channels, []);
    await person.leaves();
});

test("“Add to Slack” leads to the address that the server gives", async () => {
    const person = await Person.registered(address("oauth"));
    await makeBot(person, "One", "one");
    const two = await makeBot(person, "Two", "two");
    await person.open("/#/channels");
    await person.page.select("select", two.id);
    let asked;
    await person.intercept((request) => {
        if (!request.url().includes("oauth-url")) return null;
        asked = new URL(request.url()).searchParams;
        return { status: 200, body: { url: `${base}/workspace/channels/slack/callback?error=access_denied`, redirectUri: "x" } };
    });
    await person.click("Add to Slack");
    await person.sees("the request was cancelled");
    assert.deepEqual([asked.get("returnTo"), asked.get("botId")], ["/", two.id]);
    assert.equal(await person.page.evaluate(() => location.search), "");
    await person.pass();
    await person.leaves();
});

test("a server without a Slack app says so and offers the other way", async () => {
    const person = await Person.registered(address("no-app"));
    await makeBot(person, "Bot", "bot");
    await person.open("/#/channels");
    await person.intercept((request) => (request.url().includes("oauth-url") ? { status: 503, body: { message: "x", code: "y", requestId: "z" } } : null));
    await person.click("Add to Slack");
    await person.sees("“Add to Slack” is not set up on this server.");
    assert.equal(await person.page.$eval("details.by-hand", (details) => details.open), true);
    await person.pass();
    await person.leaves();
});

test("the page after Slack's consent says how it went and leads only to this origin", async () => {
    const person = await Person.registered(address("callback"));
    const callback = "/workspace/channels/slack/callback";
    for (const [error, words] of [
        ["access_denied", "the request was cancelled"], ["invalid_state", "was not started in this browser"],
        ["expired_state", "longer than ten minutes"], ["slack_unavailable", "Slack did not answer"],
        ["channel_taken", "connected to another bot already"], ["no_bot", "no bot to connect yet"],
        ["<b>constructor", "Slack could not be connected"],
    ]) {
        await person.open(`${callback}?error=${encodeURIComponent(error)}`);
        await person.sees(words);
        await person.isAccessible(error);
    }
    const leadsTo = async (returnTo) => {
        await person.open(`${callback}?success=true&channelId=c&teamName=Analytical&returnTo=${encodeURIComponent(returnTo)}`);
        await person.sees("Analytical is connected");
        return person.page.$eval("main a.primary", (link) => link.href);
    };
    assert.equal(await leadsTo("/#/bots"), `${base}/#/bots`);
    for (const elsewhere of ["//evil.test/", "/\\evil.test", "https://evil.test/", "javascript:alert(1)", "/\t/evil.test", ""]) {
        assert.equal(await leadsTo(elsewhere), `${base}/#/channels`, elsewhere);
    }
    await person.screenshot("callback");
    await person.click("Continue", "link");
    await person.sees("Make a bot first");
    await person.leaves();
});

test("conversations come in pages and by bot", async () => {
    const person = await Person.registered(address("conversations"), "/#/conversations");
    await person.sees("No conversations yet");
    const many = await makeBot(person, "Many", "many");
    const few = await makeBot(person, "Few", "few");
    for (let number = 1; number <= 25; number += 1) await session(many, number);
    await session(few, 99);
    await person.open("/#/conversations");
    await person.sees("1–20 of 26");
    await person.click("Next", "link");
    await person.sees("21–26 of 26");
    await person.page.focus(".filter select");
    await person.page.select(".filter select", few.id);
    await person.sees("Slack #room-99");
    await person.misses("Slack #room-1\n");
    assert.equal(await person.page.evaluate(() => location.hash), `#/conversations?bot=${few.id}`);
    assert.equal(await person.page.evaluate(() => document.activeElement.tagName), "SELECT");
    await person.leaves();
});

test("artifacts are listed, link only to the web, and are deleted", async () => {
    const person = await Person.registered(address("artifacts"), "/#/artifacts");
    await person.sees("Nothing made yet");
    const bot = await makeBot(person, "Maker", "maker");
    await asPool("POST", "artifacts", {
        botId: bot.id, title: "Landing page", sessionKey: `agent:${bot.id}:main`, previewUrl: "https://landing.example.com/", status: "live",
        artifactType: "deployment", source: "coding", linesOfCode: 1234, fileCount: 7, durationMs: 75_000,
    });
    await person.open("/#/artifacts");
    const link = await person.page.$eval(".row-link a", (link) => [link.href, link.rel, link.target]);
    assert.deepEqual(link, ["https://landing.example.com/", "noopener noreferrer", "_blank"]);
    await person.sees("1,234 lines");
    await person.screenshot("artifacts-one");

    await person.intercept((request) => (request.url().includes("/v1/artifacts?") ? {
        status: 200,
        body: { artifacts: [{ id: "a", botId: bot.id, title: "<img src=x>", status: "live", previewUrl: "javascript:alert(1)", linesOfCode: null, fileCount: null, durationMs: null, updatedAt: new Date().toISOString() }], total: 1, limit: 20, offset: 0 },
    } : null));
    await person.open("/#/artifacts");
    await person.sees("<img src=x>");
    assert.equal(await person.page.$(".row-link a"), null);
    await person.pass();

    await person.open("/#/artifacts");
    await person.click("Delete Landing page");
    await person.click("Delete");
    await person.sees("Nothing made yet");
    await person.leaves();
});

test("the account's name, password and devices are changed, and it is deleted", async () => {
    const email = address("account");
    const person = await Person.registered(email, "/#/account");
    await person.write("Your name", "Augusta");
    await person.click("Save");
    await person.page.waitForFunction(() => document.querySelector(".who .name").textContent === "Augusta");

    const other = await Person.visit("/");
    await other.signIn(email);
    await other.sees("Hello, Augusta");
    await person.open("/#/account");
    await person.page.locator("::-p-text(Sign out there)").click();
    await person.sees("is signed out.");
    await person.misses("Sign out there");
    await other.page.reload();
    await other.sees("Stay signed in");
    await other.leaves();

    await person.write("Current password", password);
    await person.write("New password", "a wholly new password");
    await person.click("Change the password");
    await person.sees("Your password is changed.");
    assert.equal(await person.value("Current password"), "");
    await person.click("Delete the account…");
    await person.page.locator("dialog input").fill("a wholly new password");
    await person.click("Delete the account");
    await person.sees("Your account is deleted.");
    await person.leaves();
});
