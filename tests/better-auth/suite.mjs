// better-auth's own client, unmodified, against this API: signs up, verifies, signs in, lists and revokes sessions,
// changes and resets the password, and signs out. The suite replaces the browser, so it handles cookies and the Origin
// header itself.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAuthClient } from "better-auth/client";
import { emailOTPClient } from "better-auth/client/plugins";

const base = process.env.PORTCULLIS_URL;
const password = "correct horse battery";

/** A browser: stores its cookies and sends the page's origin. */
function browser() {
    const cookies = new Map();
    const client = createAuthClient({
        baseURL: base,
        plugins: [emailOTPClient()],
        fetchOptions: {
            customFetchImpl: async (url, options) => {
                const headers = new Headers(options.headers);
                headers.set("origin", base);
                if (cookies.size) headers.set("cookie", [...cookies].map(([name, value]) => `${name}=${value}`).join("; "));
                const answer = await fetch(url, { ...options, headers });
                for (const cookie of answer.headers.getSetCookie()) {
                    const [pair] = cookie.split(";");
                    const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
                    if (/max-age=0/i.test(cookie)) cookies.delete(name);
                    else cookies.set(name, value);
                }
                return answer;
            },
        },
    });
    return { client, cookies };
}

async function mailed(to, pattern) {
    const mails = await (await fetch(`${base}/dev/mailbox.json`)).json();
    const mail = mails.filter((mail) => mail.to === to).findLast((mail) => pattern.test(mail.text));
    assert.ok(mail, `a mail to ${to} that has ${pattern}`);
    return mail.text.match(pattern)[1];
}

const code = /^\s*(\d{6})\s*$/m;

async function registered(email) {
    const { client, cookies } = browser();
    assert.equal((await client.signUp.email({ name: "Ada", email, password })).error, null);
    assert.equal((await client.emailOtp.verifyEmail({ email, otp: await mailed(email, code) })).error, null);
    assert.equal((await client.signIn.email({ email, password })).error, null);
    return { client, cookies };
}

test("signs in an imported person with the old password, twice", async () => {
    const email = "moved@example.com";
    // The first sign-in uses better-auth's password hash, the second the hash that has replaced it.
    for (let time = 0; time < 2; time += 1) {
        const { client } = browser();
        const signedIn = await client.signIn.email({ email, password: "an old password 42" });
        assert.deepEqual([signedIn.error, signedIn.data?.user.name], [null, "moved"]);
    }
    const early = await browser().client.signIn.email({ email: "unverified@example.com", password: "an old password 42" });
    assert.equal(early.error.code, "EMAIL_NOT_VERIFIED");
});

test("signs up, verifies by a code, signs in and out", async () => {
    const { client, cookies } = browser();
    const email = "ada@example.com";
    const up = await client.signUp.email({ name: "Ada", email, password });
    assert.equal(up.error, null);
    assert.equal(up.data.token, null);
    assert.deepEqual([up.data.user.email, up.data.user.emailVerified, up.data.user.image], [email, false, null]);
    assert.ok(up.data.user.createdAt instanceof Date);

    const early = await client.signIn.email({ email, password });
    assert.deepEqual([early.error.status, early.error.code], [403, "EMAIL_NOT_VERIFIED"]);
    const wrong = await client.emailOtp.verifyEmail({ email, otp: "000000" });
    assert.deepEqual([wrong.error.status, wrong.error.code], [400, "INVALID_OTP"]);
    const sent = await client.emailOtp.sendVerificationOtp({ email, type: "email-verification" });
    assert.deepEqual(sent.data, { success: true });
    const verified = await client.emailOtp.verifyEmail({ email, otp: await mailed(email, code) });
    assert.deepEqual([verified.data.status, verified.data.user.emailVerified], [true, true]);

    const signedIn = await client.signIn.email({ email, password });
    assert.deepEqual([signedIn.data.redirect, signedIn.data.user.email], [false, email]);
    assert.equal(cookies.size, 1);
    const session = await client.getSession();
    assert.equal(session.data.user.email, email);
    assert.equal(session.data.session.token, signedIn.data.token);
    assert.ok(session.data.session.expiresAt instanceof Date);

    assert.deepEqual((await client.signOut()).data, { success: true });
    assert.equal(cookies.size, 0);
    assert.equal((await client.getSession()).data, null);
});

test("verifies by the mailed link", async () => {
    const { client } = browser();
    const email = "link@example.com";
    await client.signUp.email({ name: "Ada", email, password, callbackURL: "/welcome" });
    const token = await mailed(email, /verify-email\?token=([^&\s]+)/);
    assert.equal((await client.verifyEmail({ query: { token } })).data.status, true);
    const again = await client.verifyEmail({ query: { token } });
    assert.equal(again.error.code, "INVALID_TOKEN");
    assert.equal((await client.signIn.email({ email, password })).error, null);
    const more = await client.sendVerificationEmail({ email, callbackURL: "/welcome" });
    assert.deepEqual(more.data, { status: true });
});

test("lists and revokes sessions", async () => {
    const here = await registered("sessions@example.com");
    const there = browser();
    await there.client.signIn.email({ email: "sessions@example.com", password });
    const sessions = (await here.client.listSessions()).data;
    assert.equal(sessions.length, 2);
    const own = (await here.client.getSession()).data.session.token;
    const other = sessions.find((session) => session.token !== own);
    assert.deepEqual((await here.client.revokeSession({ token: other.token })).data, { status: true });
    assert.equal((await there.client.getSession()).data, null);
    await there.client.signIn.email({ email: "sessions@example.com", password });
    assert.deepEqual((await here.client.revokeOtherSessions()).data, { status: true });
    assert.equal((await there.client.getSession()).data, null);
    assert.deepEqual((await here.client.revokeSessions()).data, { status: true });
    assert.equal((await here.client.getSession()).data, null);
});

test("changes the password and the profile", async () => {
    const { client } = await registered("change@example.com");
    assert.deepEqual((await client.updateUser({ name: "Ada Lovelace" })).data, { status: true });
    assert.equal((await client.getSession()).data.user.name, "Ada Lovelace");
    const wrong = await client.changePassword({ currentPassword: "not this one", newPassword: "a wholly new password" });
    assert.equal(wrong.error.code, "INVALID_PASSWORD");
    const changed = await client.changePassword({
        currentPassword: password, newPassword: "a wholly new password", revokeOtherSessions: true,
    });
    assert.equal(changed.error, null);
    assert.equal((await client.getSession()).data.session.token, changed.data.token);
    const old = await browser().client.signIn.email({ email: "change@example.com", password });
    assert.deepEqual([old.error.status, old.error.code], [401, "INVALID_EMAIL_OR_PASSWORD"]);
});

test("resets the password by the mailed link", async () => {
    const email = "reset@example.com";
    const { client } = await registered(email);
    const asked = await client.requestPasswordReset({ email, redirectTo: "/reset-password" });
    assert.equal(asked.data.status, true);
    const token = await mailed(email, /reset-password\?token=([^&\s]+)/);
    assert.deepEqual((await client.resetPassword({ newPassword: "a wholly new password", token })).data, { status: true });
    assert.equal((await client.resetPassword({ newPassword: "yet another password", token })).error.code, "INVALID_TOKEN");
    assert.equal((await client.getSession()).data, null);
    assert.equal((await client.signIn.email({ email, password: "a wholly new password" })).error, null);
});

test("deletes the account", async () => {
    const { client, cookies } = await registered("delete@example.com");
    assert.equal((await client.deleteUser({ password: "not this one" })).error.code, "INVALID_PASSWORD");
    assert.equal((await client.deleteUser({ password })).data.success, true);
    assert.equal(cookies.size, 0);
});

test("is refused by name", async () => {
    const { client } = browser();
    const up = async (email, password) => (await client.signUp.email({ name: "Ada", email, password })).error.code;
    assert.equal(await up("no address", password), "INVALID_EMAIL");
    assert.equal(await up("short@example.com", "short"), "PASSWORD_TOO_SHORT");
    assert.equal(await up("long@example.com", "x".repeat(129)), "PASSWORD_TOO_LONG");
    const elsewhere = await client.signUp.email({
        name: "Ada", email: "elsewhere@example.com", password, callbackURL: "https://evil.test/",
    });
    assert.deepEqual([elsewhere.error.status, elsewhere.error.code], [403, "INVALID_CALLBACK_URL"]);
});
