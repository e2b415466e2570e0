// Slack's own clients against the fake Slack at /dev/slack, and against the install of the app, to show that the fake
// behaves like Slack.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { InstallProvider } from "@slack/oauth";
import { WebClient } from "@slack/web-api";

const base = process.env.PORTCULLIS_URL;
const clientId = "1.2";
const clientSecret = process.env.DEMO_SLACK_CLIENT_SECRET;
const slackApiUrl = `${base}/dev/slack/api/`;
const password = process.env.DEMO_PASSWORD;

/** Address of a link on a page. */
function link(page, text) {
    const found = page.match(new RegExp(`href="([^"]*)">${text}</a>`));
    assert.ok(found, page);
    return found[1].replaceAll("&amp;", "&");
}

async function consent(url) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    return await answer.text();
}

/**
 * Installs the app with Slack's own installer, by this link. Returns the installer and the installation that it
 * stored.
 */
async function installed(by = "Allow") {
    let stored;
    const installer = new InstallProvider({
        clientId,
        clientSecret,
        stateSecret: "a-secret-of-this-suite",
        authorizationUrl: `${base}/dev/slack/oauth/v2/authorize`,
        clientOptions: { slackApiUrl },
        legacyStateVerification: true,
        installationStore: {
            storeInstallation: async (installation) => void (stored = installation),
            fetchInstallation: async () => stored,
        },
    });
    let outcome;
    const ended = new Promise((resolve) => (outcome = resolve));
    const server = createServer((request, response) => {
        const end = (result) => (response.end(), outcome(result));
        installer.handleCallback(request, response, { success: () => end("success"), failure: (error) => end(error) });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
        const redirectUri = `http://127.0.0.1:${server.address().port}/callback`;
        const url = await installer.generateInstallUrl({ scopes: ["chat:write", "im:history"], redirectUri });
        await fetch(link(await consent(url), by));
        assert.equal(await ended, "success");
    } finally {
        server.close();
    }
    return { installer, installation: stored };
}

test("Slack's installer and Web API client take the stand-in for Slack", async () => {
    const { installation } = await installed();
    assert.equal(installation.team.id, "T0DEV");
    assert.equal(installation.appId, "A0DEV");
    assert.equal(installation.isEnterpriseInstall, false);
    const client = new WebClient(installation.bot.token, { slackApiUrl, retryConfig: { retries: 0 } });
    const identity = await client.auth.test();
    assert.equal(identity.team_id, "T0DEV");
    assert.equal(identity.user_id, installation.bot.userId);
    assert.equal((await client.bots.info({ bot: identity.bot_id })).bot.app_id, "A0DEV");
    assert.equal((await client.conversations.info({ channel: "D0DEV" })).channel.is_im, true);
    assert.equal((await client.users.info({ user: "U0DEV" })).user.profile.display_name, "You");
    const posted = await client.chat.postMessage({ channel: "D0DEV", text: "From Slack's own client & more" });
    assert.ok(posted.ok && posted.ts);
    const messages = await (await fetch(`${base}/dev/slack.json`)).json();
    assert.ok(messages.some((message) => message.text === "From Slack's own client & more"));
});

test("Slack's installer replaces a token that ends as it does at Slack", async () => {
    const { installer, installation } = await installed("Allow, with a token that ends in twelve hours");
    const { token, refreshToken, expiresAt } = installation.bot;
    const hours = (expiresAt - Date.now() / 1000) / 3600;
    assert.ok(refreshToken && hours > 11.9 && hours <= 12.1, `${hours} hours`);
    const of = { teamId: "T0DEV", isEnterpriseInstall: false };
    assert.equal((await installer.authorize(of)).botToken, token, "there is time yet");
    // Simulate the expiry.
    installation.bot.expiresAt = Math.floor(Date.now() / 1000);
    const replaced = await installer.authorize(of);
    assert.notEqual(replaced.botToken, token);
    assert.notEqual(replaced.botRefreshToken, refreshToken);
    for (const each of [token, replaced.botToken]) {
        const client = new WebClient(each, { slackApiUrl, retryConfig: { retries: 0 } });
        assert.equal((await client.auth.test()).team_id, "T0DEV", "both are good: the first one's end is hours away");
    }
    const unknown = { client_id: clientId, client_secret: clientSecret, grant_type: "refresh_token", refresh_token: "xoxe-1" };
    const asked = new WebClient(undefined, { slackApiUrl }).oauth.v2.access(unknown);
    await assert.rejects(asked, (error) => error.data?.error === "invalid_refresh_token");
});

test("Slack's client refuses what the stand-in refuses", async () => {
    const client = new WebClient("xoxb-unknown", { slackApiUrl, retryConfig: { retries: 0 } });
    await assert.rejects(client.auth.test(), (error) => error.data?.error === "invalid_auth");
    const wrong = { client_id: clientId, client_secret: "wrong", code: "x", redirect_uri: `${base}/` };
    await assert.rejects(new WebClient(undefined, { slackApiUrl }).oauth.v2.access(wrong), (error) => error.data?.error === "bad_client_secret");
});

test("a person presses Add to Slack, writes to the bot, and the pool answers", async () => {
    const cookies = new Map();
    const call = async (path, options = {}) => {
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
        const headers = { origin: base, cookie, "content-type": "application/json" };
        const answer = await fetch(base + path, { redirect: "manual", ...options, headers });
        for (const given of answer.headers.getSetCookie()) {
            const [pair] = given.split(";");
            cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
        }
        return answer;
    };
    const body = JSON.stringify({ email: "demo@example.com", password });
    assert.equal((await call("/api/auth/sign-in/email", { method: "POST", body })).status, 200);
    const { url } = await (await call("/v1/channels/slack/oauth-url?returnTo=/")).json();
    const back = new URL(link(await consent(url), "Allow"));
    const ended = await call(back.pathname + back.search);
    assert.equal(ended.status, 302);
    const outcome = new URL(ended.headers.get("location"));
    assert.equal(outcome.searchParams.get("success"), "true");
    // The pool fetches its configuration only after a heartbeat, so the first messages may be too early for the
    // channel.
    const text = `Hello ${Date.now()}`;
    const form = new URLSearchParams({ text });
    await fetch(`${base}/dev/slack/messages`, { method: "POST", body: form });
    const answered = async () => {
        const messages = await (await fetch(`${base}/dev/slack.json`)).json();
        return messages.some((message) => message.from === "The bot" && message.text.includes(text));
    };
    for (let look = 0; look < 600 && !(await answered()); look += 1) await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(await answered(), "the pool answered");
    const sessions = (await (await call("/v1/sessions?channelType=slack")).json()).sessions;
    assert.ok(sessions.some((session) => session.channelId === "D0DEV"), JSON.stringify(sessions));
});
