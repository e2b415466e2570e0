// Accounts in the console: sign-up, sign-in and sign-out, mailed codes and links, and changing or deleting the account.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { address, base, code, launch, mailed, password, Person, quit } from "./browser.mjs";

before(launch);
after(quit);

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
    // The link has the same words as the heading, so wait until the heading has the focus.
    await person.page.waitForFunction(() => document.activeElement.matches("h1"));
    assert.equal(await person.focused(), "Bots");
    assert.equal(await person.page.$eval("nav [aria-current=page]", (link) => link.textContent), "Bots");
    await person.leaves();
});

test("a wrong password is told, and what was typed stays", async () => {
    const person = await Person.registered(address("wrong"));
    await person.click("Sign out");
    await person.click("Sign in");
    await person.sees("Enter the e-mail address.");
    await person.sees("Enter the password.");
    await person.write("E-mail address", "no address");
    await person.write("Password", "seen");
    await person.click("Show the password");
    assert.equal(await person.page.$eval("[name=password]", (input) => input.type), "text");
    await person.click("Hide the password");
    assert.equal(await person.page.$eval("[name=password]", (input) => input.type), "password");
    await person.click("Sign in");
    await person.sees("Write an address like name@example.com.");
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
