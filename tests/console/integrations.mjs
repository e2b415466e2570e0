// Connecting accounts at other services in the console: at the service's own page, and with keys.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { address, asPool, base, launch, Person, quit } from "./browser.mjs";
import { makeBot, registerPool } from "./seed.mjs";

before(launch);
after(quit);

const PAGE = "/#/integrations";
const CALLBACK = "/workspace/integrations/callback";

/** A toolkit's integration as the API returns it. */
async function integrationOf(person, slug) {
    const { integrations } = await person.request("GET", "/v1/integrations");
    return integrations.find(({ toolkit }) => toolkit.slug === slug);
}

/** Waits until a toolkit's card shows a text. */
async function cardSays(person, name, text) {
    await person.page.waitForFunction(
        (name, text) => {
            const card = [...document.querySelectorAll(".card")].find((one) => one.querySelector("h3").textContent === name);
            return card?.innerText.includes(text);
        },
        {},
        name,
        text,
    );
}

test("an account is connected at the service's page and disconnected", async () => {
    const person = await Person.registered(address("gmail"), PAGE);
    await cardSays(person, "Gmail", "Not connected");
    await person.isAccessible("none connected");
    await person.click("Connect: Gmail");
    await person.sees("Gmail is connected.");
    assert.equal(await person.page.evaluate(() => location.pathname + location.search), CALLBACK);
    await person.isAccessible("just connected");
    await person.screenshot("integration-connected");
    await person.click("See your integrations", "link");
    await cardSays(person, "Gmail", "connected just now");
    await person.isAccessible("one connected");
    await person.click("Disconnect: Gmail");
    await person.sees("Disconnect Gmail?");
    await person.focuses("Keep it");
    await person.isAccessible("the question");
    await person.screenshot("integration-question");
    await person.click("Keep it");
    await person.focuses("Disconnect: Gmail");
    assert.equal((await integrationOf(person, "gmail")).status, "active");
    await person.click("Disconnect: Gmail");
    await person.click("Disconnect");
    await cardSays(person, "Gmail", "Disconnected");
    await person.focuses("Connect: Gmail");
    assert.equal((await integrationOf(person, "gmail")).status, "disconnected");
    await person.leaves();
});

test("an account is connected with a key, of which only the end is shown", async () => {
    const person = await Person.registered(address("sendgrid"), PAGE);
    await person.click("Connect: SendGrid");
    await person.focuses("Your API key");
    await person.click("Connect");
    await person.sees("Enter your API key.");
    await person.focuses("Your API key");
    await person.isAccessible("no key");
    await person.screenshot("integration-no-key");
    // The page does not know every rule; the server's error about a field is shown at that field.
    await person.page.$eval("dialog input", (input) => {
        input.value = "SG.bad\u0007key";
    });
    await person.click("Connect");
    await person.page.waitForFunction(() =>
        document.querySelector("dialog .field-error").textContent.includes("control character"),
    );
    await person.focuses("Your API key");
    await person.isAccessible("a wrong key");
    await person.write("Your API key", "SG.0123456789876");
    await person.click("Show your API key");
    assert.equal(await person.page.$eval("dialog input", (input) => input.type), "text");
    await person.click("Connect");
    await cardSays(person, "SendGrid", "API key ends in 9876");
    await person.focuses("Disconnect: SendGrid");
    assert.ok(!(await person.page.content()).includes("SG.01234"));
    await person.isAccessible("a key is kept");
    await person.screenshot("integration-key");
    await person.click("Disconnect: SendGrid");
    await person.sees("what you entered is deleted here");
    await person.click("Disconnect");
    await cardSays(person, "SendGrid", "Disconnected");
    await person.misses("ends in 9876");
    assert.equal((await integrationOf(person, "sendgrid")).credentialHints, undefined);
    await person.leaves();
});

test("a toolkit that the operator does not allow says so and cannot be connected", async () => {
    await registerPool();
    const person = await Person.registered(address("policy"));
    await makeBot(person, "Bot", "bot");
    await asPool("PUT", "pools/pool-1/tool-policy", { allow: ["gmail", "GITHUB_CREATE_ISSUE"] });
    await person.open(PAGE);
    await cardSays(person, "Notion", "Your operator does not allow your bots to use this.");
    await cardSays(person, "GitHub", "Your operator allows your bots only a part of this.");
    assert.equal(await person.page.$("button[aria-label='Connect: Notion']"), null);
    assert.notEqual(await person.page.$("button[aria-label='Connect: Gmail']"), null);
    await person.isAccessible("policy");
    await person.screenshot("integration-policy");
    await asPool("PUT", "pools/pool-1/tool-policy", { deny: [] });
    await person.leaves();
});

test("a consent that failed or was not finished is said to be so", async () => {
    const person = await Person.registered(address("unfinished"), PAGE);
    await person.click("Connect: Notion");
    await person.sees("Notion was not connected.");
    await person.isAccessible("failed");
    await person.click("Try again", "link");
    await cardSays(person, "Notion", "Failed");
    await person.click("Connect: Linear");
    await person.sees("Linear is not connected yet.");
    await person.click("Check again");
    await person.settles();
    await person.sees("Linear is not connected yet.");
    await person.isAccessible("not finished");
    await person.click("Start again", "link");
    await cardSays(person, "Linear", "Not finished");
    await person.isAccessible("one failed, one not finished");
    await person.screenshot("integrations-unfinished");
    await person.click("Check again: Linear");
    await person.focuses("Connect again: Linear");
    await person.sees("Linear is not connected yet.");
    await person.leaves();
});

test("an account becomes active only in the browser that began it, whatever the address says", async () => {
    const email = address("elsewhere");
    const person = await Person.registered(email, PAGE);
    const { connectUrl } = await person.post("/v1/integrations/connect", { toolkitSlug: "gmail", source: "page" });
    const other = await Person.visit("/");
    await other.signIn(email);
    await other.sees("Three steps to a bot");
    await other.page.goto(connectUrl);
    await other.sees("Gmail is not connected yet.");
    assert.equal((await integrationOf(other, "gmail")).status, "initiated");
    await other.leaves();
    await person.open(PAGE);
    await person.click("Check again: Gmail");
    await cardSays(person, "Gmail", "connected just now");
    await person.open(`${CALLBACK}?toolkit=slack&status=success&connected_account_id=ca_none`);
    await person.sees("Slack is not connected.");
    await person.open(`${CALLBACK}?toolkit=constructor&status=success`);
    await person.sees("This connection is not among your integrations.");
    await person.leaves();
});

test("a link that leads nowhere says why and what to do", async () => {
    const words = [
        ["sign_in_required", "Sign in, then open the link again"],
        ["invalid_link", "This link does not work"],
        ["not_allowed", "This integration is switched off"],
        ["unavailable", "The service's page could not be opened"],
        ["<b>constructor", "The account was not connected"],
    ];
    const guest = await Person.visit("/");
    const person = await Person.registered(address("links"));
    for (const one of [guest, person]) {
        for (const [error, title] of words) {
            await one.open(`${CALLBACK}?error=${encodeURIComponent(error)}`);
            await one.sees(title);
            await one.isAccessible(error);
        }
    }
    await guest.open(`${CALLBACK}?toolkit=gmail&status=success`);
    await guest.sees("Sign in to finish");
    await guest.isAccessible("a guest");
    assert.equal(
        await guest.page.$eval("main a.primary", (link) => link.href),
        `${base}/#/sign-in?next=%2Fintegrations`,
    );
    await guest.click("Sign in", "link");
    await guest.signIn(person.email);
    await guest.sees("Connect your accounts at other services");
    await guest.leaves();
    await person.leaves();
});

test("a connection that cannot begin says why", async () => {
    const person = await Person.registered(address("refused"), PAGE);
    // Connect the account in another tab after the page is shown.
    const { integration, connectUrl } = await person.post("/v1/integrations/connect", { toolkitSlug: "gmail" });
    await fetch(connectUrl, { redirect: "manual" });
    await person.post(`/v1/integrations/${integration.id}/refresh`, {});
    await person.click("Connect: Gmail");
    await cardSays(person, "Gmail", "connected just now");
    await person.focuses("Disconnect: Gmail");
    for (const [status, code, words] of [
        [503, "not_available", "This server cannot connect accounts now."],
        [403, "tool_not_allowed", "Your operator does not allow this toolkit."],
        [502, "upstream_failed", "Composio did not answer; try again."],
    ]) {
        const body = { code, message: words.slice(0, -1), requestId: "z" };
        await person.intercept((request) => (request.url().endsWith("/connect") ? { status, body } : null));
        await person.click("Connect: Zoom");
        await cardSays(person, "Zoom", words);
        await person.isAccessible(code);
        await person.pass();
    }
    await person.leaves();
});
