// Connecting Slack in the console, by hand and by the consent page, and the messages about both.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { address, base, botToken, code, launch, Person, quit } from "./browser.mjs";
import { connectByHand, makeBot, registerPool } from "./seed.mjs";

before(async () => {
    await launch();
    await registerPool();
});
after(quit);

test("a workspace is connected by hand and disconnected", async () => {
    const person = await Person.registered(address("channels"), "/#/channels");
    await person.sees("Make a bot first");
    await makeBot(person, "One", "one");
    const two = await makeBot(person, "Two", "two");
    await person.open("/#/channels");
    await connectByHand(person, "xoxb-bad");
    await person.page.waitForSelector(".problem .request-id code");
    await person.page.select("[name=botId]", two.id);
    // Slack does not name the app of a token that lacks a scope, so the form asks for it.
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

test("Discord is connected with the token of an application", async () => {
    const person = await Person.registered(address("discord"), "/#/channels");
    await makeBot(person, "One", "one");
    await person.open("/#/channels");
    await person.page.locator("summary ::-p-text(Connect Discord instead)").click();
    await person.write("Application ID", "12345");
    await person.write("Discord bot token", "bad-token-of-discord");
    await person.click("Connect Discord");
    await person.sees("An application ID has 17 to 20 digits and nothing else.");
    await person.write("Application ID", "12345678901234567");
    await person.click("Connect Discord");
    await person.sees("Discord does not accept this bot token");
    await person.isAccessible("discord");
    await person.screenshot("connect-discord");
    await person.write("Discord bot token", "token-of-12345678901234567");
    await person.click("Connect Discord");
    await person.sees("discord-12345678901234567");
    const [channel] = (await person.request("GET", "/v1/channels")).channels;
    assert.deepEqual([channel.channelType, channel.status], ["discord", "connected"]);
    await person.leaves();
});

test("Feishu is connected by either way, and by webhook the addresses are shown", async () => {
    const person = await Person.registered(address("feishu"), "/#/channels");
    await makeBot(person, "One", "one");
    await person.open("/#/channels");
    await person.page.locator("summary ::-p-text(Connect Feishu instead)").click();
    await person.write("Feishu App ID", "cli_a1b2c3d4");
    await person.write("App Secret", "bad-secret-of-feishu");
    await person.misses("Verification Token");
    await person.click("Connect Feishu");
    await person.sees("Feishu does not accept this app id and secret");
    await person.write("App Secret", "a-secret-of-feishu");
    await person.page.select("[name=connectionMode]", "webhook");
    await person.click("Connect Feishu");
    await person.sees("Enter the Verification Token.");
    await person.focuses("Verification Token");
    await person.isAccessible("feishu");
    await person.screenshot("connect-feishu");
    await person.write("Verification Token", "a-verification-token");
    await person.click("Connect Feishu");
    await person.focuses("Addresses for Feishu");
    const [channel] = (await person.request("GET", "/v1/channels")).channels;
    assert.deepEqual([channel.channelType, channel.connectionMode], ["feishu", "webhook"]);
    assert.equal(await person.value("Request URL of events"), `${base}/api/feishu/events/${channel.id}`);
    assert.equal(await person.value("Request URL of callbacks"), `${base}/api/feishu/card-action/${channel.id}`);
    // Feishu posts this check when the address is entered.
    const check = { type: "url_verification", token: "a-verification-token", challenge: "c-1" };
    const answer = await fetch(await person.value("Request URL of events"), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(check),
    });
    assert.deepEqual(await answer.json(), { challenge: "c-1" });
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
        return {
            status: 200,
            body: { url: `${base}/workspace/channels/slack/callback?error=access_denied`, redirectUri: "x" },
        };
    });
    await person.click("Add to Slack");
    await person.sees("the request was cancelled");
    assert.deepEqual([asked.get("returnTo"), asked.get("botId")], ["/", two.id]);
    assert.equal(await person.page.evaluate(() => location.search), "");
    await person.pass();
    await person.leaves();
});

test("who adds the app to a workspace that another person connected joins it and may leave", async () => {
    const owner = await Person.registered(address("owner"));
    await makeBot(owner, "Countess", "countess");
    await owner.open("/#/channels");
    await owner.click("Add to Slack");
    await owner.sees("Difference Engines is connected.");
    const member = await Person.registered(address("member"));
    await makeBot(member, "Duke", "duke");
    await member.open("/#/channels");
    await member.click("Add to Slack");
    await member.sees("was connected by another person before");
    await member.isAccessible("joined");
    await member.screenshot("joined");
    await member.click("See your channels", "link");
    await member.sees("Another person's");
    await member.misses("Event address");
    await member.open("/");
    await member.sees("You have joined Difference Engines, where the bot of another person answers.");
    await member.open("/#/channels");
    await member.page.locator(".card .danger-text").click();
    await member.sees("Leave Slack Difference Engines?");
    await member.click("Leave");
    await member.misses("Another person's");
    assert.deepEqual((await member.request("GET", "/v1/channels")).channels, []);
    assert.equal((await owner.request("GET", "/v1/channels")).channels[0].status, "connected");
    await member.leaves();
    await owner.leaves();
});

test("a server without a Slack app says so and offers the other way", async () => {
    const person = await Person.registered(address("no-app"));
    await makeBot(person, "Bot", "bot");
    await person.open("/#/channels");
    await person.intercept((request) =>
        request.url().includes("oauth-url") ? { status: 503, body: { message: "x", code: "y", requestId: "z" } } : null,
    );
    await person.click("Add to Slack");
    await person.sees("“Add to Slack” is not set up on this server.");
    await person.screenshot("no-slack-app");
    assert.equal(await person.page.$eval("details.by-hand", (details) => details.open), true);
    await person.pass();
    await person.leaves();
});

test("the page after Slack's consent says how it went and leads only to this origin", async () => {
    const person = await Person.registered(address("callback"));
    const callback = "/workspace/channels/slack/callback";
    for (const [error, words] of [
        ["access_denied", "the request was cancelled"],
        ["invalid_state", "was not started in this browser"],
        ["expired_state", "longer than ten minutes"],
        ["slack_unavailable", "Slack did not answer"],
        ["channel_taken", "connected to another bot already"],
        ["no_bot", "no bot to connect yet"],
        ["too_many_members", "cannot join this workspace"],
        ["not_set_up", "no Slack app of its own"],
        ["<b>constructor", "Slack could not be connected"],
    ]) {
        await person.open(`${callback}?error=${encodeURIComponent(error)}`);
        await person.sees(words);
        await person.isAccessible(error);
    }
    const leadsTo = async (returnTo) => {
        await person.open(`${callback}?success=true&channelId=c&teamName=Analytical&returnTo=${encodeURIComponent(returnTo)}`);
        await person.sees("This connection is not among your channels.");
        return person.page.$eval("main a.primary", (link) => link.href);
    };
    assert.equal(await leadsTo("/#/bots"), `${base}/#/bots`);
    for (const elsewhere of [
        "//evil.test/",
        "/\\evil.test",
        "https://evil.test/",
        "javascript:alert(1)",
        "/\t/evil.test",
        "",
    ]) {
        assert.equal(await leadsTo(elsewhere), `${base}/#/channels`, elsewhere);
    }
    // The address alone proves nothing; the person's existing channel does.
    const bot = await makeBot(person, "Bot", "bot");
    const channel = await person.post("/v1/channels/slack/connect", {
        botToken: botToken("callback"),
        signingSecret: "0123456789abcdef0123456789abcdef",
        botId: bot.id,
    });
    await person.open(`${callback}?success=true&channelId=${channel.id}&teamName=Another&returnTo=/`);
    await person.sees("Analytical Engines is connected.");
    await person.click("Continue", "link");
    await person.sees("Waiting for its first message…");
    await person.leaves();
});
