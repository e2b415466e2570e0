// The web console in Chromium: a person's work with bots, conversations and artifacts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { address, asPool, botToken, code, launch, mailed, password, Person, quit, stamp } from "./browser.mjs";
import { connectByHand, makeBot, MODEL, registerPool, session } from "./seed.mjs";

before(async () => {
    await launch();
    await registerPool();
});
after(quit);

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
    // The last step of connecting by hand is in Slack's settings, and the address for it is shown at once.
    await person.focuses("Event address, for an app connected by hand");
    await person.sees("Request URL");

    const [bot] = (await person.request("GET", "/v1/bots")).bots;
    await person.intercept((request) =>
        request.url().includes("/v1/sessions") ? { status: 503, body: { message: "x", code: "y" } } : null,
    );
    await person.sees("The server has trouble. This page goes on trying.");
    await person.pass();
    await session(bot, 1);
    await person.sees("has got its first message: “Slack #room-1”");
    await person.sees("Latest conversations");
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
    await person.page.$eval("button[type=submit]", (button) => {
        for (let click = 0; click < 5; click += 1) button.click();
    });
    await person.sees("Once is made.");
    assert.equal(posts, 1);
    await person.pass();
    await person.leaves();
});

test("typed text outlasts an outage, a reload and the end of the session", async () => {
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
    await person.screenshot("session-ended");
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
        await person.intercept((request) =>
            request.method() === "POST" ? { status, body: { code: "x", requestId: "r-1", ...body }, headers } : null,
        );
        await person.click("Make the bot");
        await person.sees(words);
    };
    await refuse(
        429,
        { message: "Too many requests." },
        { "retry-after": "95" },
        "That was too often. Try again in 2 minutes.",
    );
    await refuse(
        503,
        { message: "The store is not available" },
        { "retry-after": "5" },
        "The store is not available. Try again in 5 seconds.",
    );
    await refuse(403, { message: "Not with this plan" }, {}, "Not with this plan. Ask whoever runs this server");
    await refuse(400, { message: "The request does not validate", fields: { slug: "is reserved" } }, {}, "Is reserved.");
    await person.focuses("Slug");
    assert.equal(
        await person.page.$eval(
            "[name=slug]",
            (input) => document.getElementById(input.getAttribute("aria-describedby").split(" ").at(-1)).textContent,
        ),
        "Is reserved.",
    );
    await refuse(
        400,
        { message: "The request does not validate", fields: { "a.field": "that the form has not" } },
        {},
        "a.field that the form has not",
    );
    await person.isAccessible("a form with errors");
    await person.screenshot("refused");
    await person.pass();

    await person.intercept((request) =>
        request.url().includes("/v1/bots")
            ? { status: 500, body: { message: "An error", code: "internal", requestId: "r-2" } }
            : null,
    );
    await person.click("Bots", "link");
    await person.sees("Could not load your bots.");
    await person.sees("r-2");
    await person.pass();
    await person.click("Try again");
    await person.sees("First");
    await person.leaves();
});

test("a bot is changed, paused, resumed and deleted", async () => {
    const person = await Person.registered(address("bots"), "/#/bots");
    await person.sees("No bots yet");
    await makeBot(person, "Babbage", "babbage", { systemPrompt: "Be exact." });
    await person.open("/#/bots");
    await person.click("Pause Babbage");
    await person.sees("Babbage is paused.");
    await person.screenshot("announcement");
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
    const url = `https://landing-${stamp}.example.com/`;
    const bot = await makeBot(person, "Maker", "maker");
    await asPool("POST", "artifacts", {
        botId: bot.id,
        title: "Landing page",
        sessionKey: `agent:${bot.id}:main`,
        previewUrl: url,
        status: "live",
        artifactType: "deployment",
        source: "coding",
        linesOfCode: 1234,
        fileCount: 7,
        durationMs: 75_000,
    });
    await person.open("/#/artifacts");
    const link = await person.page.$eval(".row-link a", (link) => [link.href, link.rel, link.target]);
    assert.deepEqual(link, [url, "noopener noreferrer", "_blank"]);
    await person.sees("1,234 lines");

    await person.intercept((request) =>
        request.url().includes("/v1/artifacts?")
            ? {
                  status: 200,
                  body: {
                      artifacts: [
                          {
                              id: "a",
                              botId: bot.id,
                              title: "<img src=x>",
                              status: "live",
                              previewUrl: "javascript:alert(1)",
                              linesOfCode: null,
                              fileCount: null,
                              durationMs: null,
                              updatedAt: new Date().toISOString(),
                          },
                      ],
                      total: 1,
                      limit: 20,
                      offset: 0,
                  },
              }
            : null,
    );
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
