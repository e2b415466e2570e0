// Each page in both colour schemes, wide and narrow: accessible by axe, no wider than the window, without layout
// shifts.

import { after, before, test } from "node:test";

import { address, asPool, botToken, launch, Person, quit, stamp } from "./browser.mjs";
import { makeBot, registerPool, session } from "./seed.mjs";

const callback = "/workspace/channels/slack/callback";
const connected = "/workspace/integrations/callback";
const GUEST = {
    "sign-in": "/#/sign-in",
    "sign-in-notice": "/#/sign-in?notice=verified",
    "sign-up": "/#/sign-up",
    verify: "/#/verify",
    "forgot-password": "/#/forgot-password",
    "reset-password": "/?view=reset&token=a-token",
    "reset-without-token": "/#/reset-password",
    "connected-guest": `${connected}?toolkit=gmail&status=success`,
    "connected-sign-in": `${connected}?error=sign_in_required`,
};
const EMPTY = {
    "start-empty": "/",
    "bots-empty": "/#/bots",
    "channels-empty": "/#/channels",
    "conversations-empty": "/#/conversations",
    "artifacts-empty": "/#/artifacts",
};
const FULL = {
    start: "/",
    bots: "/#/bots",
    "new-bot": "/#/bots/new",
    channels: "/#/channels",
    integrations: "/#/integrations",
    conversations: "/#/conversations",
    artifacts: "/#/artifacts",
    account: "/#/account",
    "not-found": "/#/nowhere",
    "callback-unknown": `${callback}?success=true&channelId=c&teamName=Analytical%20Engines&returnTo=/`,
    "callback-error": `${callback}?error=access_denied`,
    "connected-unknown": `${connected}?toolkit=gmail&status=success`,
    "connected-error": `${connected}?error=invalid_link`,
};

const MODELS = [
    {
        id: "anthropic/claude-opus",
        name: "claude-opus",
        provider: "anthropic",
        isDefault: true,
        description: "Thorough, for what is hard.",
    },
    { id: "openai/gpt", name: "gpt", provider: "openai" },
];

before(async () => {
    await launch();
    await registerPool();
});
after(quit);

async function look(person, pages) {
    for (const [name, path] of Object.entries(pages)) {
        for (const scheme of ["light", "dark"]) {
            await person.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
            for (const width of [1280, 360, 320]) {
                const what = `${name}, ${scheme}, ${width} px`;
                await person.page.setViewport({ width, height: width > 700 ? 860 : 700 });
                await person.open(path);
                await person.fits(what);
                await person.isSteady(what);
                // Below 360 px only the widths change.
                if (width === 320) continue;
                await person.screenshot(`${name}-${scheme}-${width}`);
                await person.isAccessible(what);
            }
        }
    }
}

test("pages of who is not signed in", async () => {
    const person = await Person.visit("/");
    await look(person, GUEST);
    await person.leaves();
});

test("pages of a new account", async () => {
    const person = await Person.registered(address("new"));
    await look(person, EMPTY);
    const bot = await makeBot(person, "Babbage", "babbage");
    await look(person, { "start-connect": "/", "channels-none": "/#/channels" });
    await person.post("/v1/channels/slack/connect", {
        botToken: botToken("of-the-looks"),
        signingSecret: "0123456789abcdef0123456789abcdef",
        botId: bot.id,
    });
    await look(person, { "start-hello": "/" });
    await person.leaves();
});

test("pages of an account that is in use", async () => {
    const person = await Person.registered(address("full"));
    const bots = [];
    for (const [name, slug] of [
        ["Support", "support"],
        ["Release notes", "release-notes"],
        ["An assistant with an unusually long name that has to break somewhere", "long"],
    ]) {
        bots.push(await makeBot(person, name, slug, { systemPrompt: "Answer in one sentence." }));
    }
    await person.post(`/v1/bots/${bots[1].id}/pause`, {});
    const channel = await person.post("/v1/channels/slack/connect", {
        botToken: botToken("of-the-full-looks"),
        signingSecret: "0123456789abcdef0123456789abcdef",
        botId: bots[0].id,
    });
    for (let number = 1; number <= 24; number += 1) {
        await session(bots[number % 2], number, {
            lastMessageAt: new Date(Date.now() - number * 3_600_000).toISOString(),
            status: number % 5 ? "active" : "ended",
        });
    }
    for (const [number, status] of ["live", "building", "failed", "stopped"].entries()) {
        await asPool("POST", "artifacts", {
            botId: bots[0].id,
            title: `Landing page ${number}`,
            sessionKey: `agent:${bots[0].id}:main`,
            status,
            artifactType: "deployment",
            previewUrl: `https://landing-${number}-${stamp}.example.com/a/long/path/that/goes/on/and/on/and/does/not/end/soon`,
            source: "coding",
            linesOfCode: 1234,
            fileCount: 7,
            durationMs: 75_000,
        });
    }
    await look(person, {
        ...FULL,
        "edit-bot": `/#/bots/${bots[0].id}`,
        "callback-success": `${callback}?success=true&channelId=${channel.id}&returnTo=/`,
    });

    await person.intercept((request) =>
        request.url().endsWith("/v1/models") ? { status: 200, body: { models: MODELS } } : null,
    );
    await look(person, { "new-bot-models": "/#/bots/new", "edit-bot-unlisted": `/#/bots/${bots[0].id}` });
    await person.pass();

    for (const scheme of ["light", "dark"]) {
        await person.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await person.page.setViewport({ width: 360, height: 700 });
        await person.open("/#/bots");
        await person.click("Menu");
        await person.screenshot(`menu-${scheme}`);
        await person.isAccessible(`the menu, ${scheme}`);
        await person.click("Menu");
        await person.click("Delete Support");
        await person.screenshot(`dialog-${scheme}`);
        await person.isAccessible(`a question, ${scheme}`);
        await person.page.keyboard.press("Escape");
        await person.open("/#/integrations");
        await person.click("Connect: Stripe");
        await person.screenshot(`keys-${scheme}`);
        await person.isAccessible(`a form for keys, ${scheme}`);
        await person.page.keyboard.press("Escape");
        await person.open("/#/channels");
        for (const summary of await person.page.$$("summary")) await summary.click();
        await person.screenshot(`by-hand-${scheme}`);
        await person.isAccessible(`all details of the channels, ${scheme}`);
        await person.fits("all details of the channels");
    }
    await person.leaves();
});
