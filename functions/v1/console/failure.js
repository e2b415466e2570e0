// Failures of calls, in words: what went wrong and what to do next. Pure, without the DOM.

import { wait } from "./words.js";

/** A call that did not succeed. `status` is 0 where no answer came. */
export class Failure extends Error {
    constructor({ status = 0, code = "", message = "", requestId = "", fields = {}, waitSeconds = null }) {
        super(message);
        Object.assign(this, { status, code, requestId, fields, waitSeconds });
    }

    /** Answer of the server, as a failure. `body` is whatever JSON it held, or `null`. */
    static of(status, headers, body, now = Date.now()) {
        const known = body !== null && typeof body === "object" ? body : {};
        const text = (value) => (typeof value === "string" ? value : "");
        return new Failure({
            status,
            code: text(known.code),
            message: text(known.message),
            requestId: text(known.requestId) || (headers.get("x-request-id") ?? ""),
            fields: fieldsOf(known.fields),
            waitSeconds: secondsOf(headers.get("retry-after") ?? headers.get("x-retry-after"), now),
        });
    }
}

function fieldsOf(fields) {
    if (fields === null || typeof fields !== "object") return {};
    return Object.fromEntries(Object.entries(fields).map(([name, why]) => [name, String(why)]));
}

/** `retry-after` in seconds: a number of them or a date. */
export function secondsOf(value, now = Date.now()) {
    if (!value) return null;
    if (/^\s*\d+\s*$/.test(value)) return Number(value);
    const until = Date.parse(value);
    return Number.isNaN(until) ? null : Math.max(0, Math.ceil((until - now) / 1000));
}

/** Codes of the accounts, which are better-auth's, in words of this console. */
const ACCOUNT_WORDS = {
    INVALID_EMAIL_OR_PASSWORD: ["E-mail address or password is not right.", "Check both, or set a new password."],
    EMAIL_NOT_VERIFIED: ["This e-mail address is not verified yet.", "Enter the code that was mailed to it."],
    INVALID_EMAIL: ["This is not an e-mail address.", "Write it like name@example.com."],
    PASSWORD_TOO_SHORT: ["The password is too short.", "Choose one of at least 8 characters."],
    PASSWORD_TOO_LONG: ["The password is too long.", "Choose one of at most 128 characters."],
    PASSWORD_TOO_COMMON: ["This password is one of the most common ones.", "Choose one that nobody would guess."],
    INVALID_PASSWORD: ["This is not the account's password.", "Try again."],
    INVALID_OTP: ["This is not the code that was mailed last.", "Check the six digits, or have a new code mailed."],
    OTP_EXPIRED: ["This code has expired.", "Have a new code mailed."],
    TOO_MANY_ATTEMPTS: ["This code was tried too often and is no longer valid.", "Have a new code mailed."],
    INVALID_TOKEN: ["This link was used already, or is too old.", "Ask for a new one."],
    TOKEN_EXPIRED: ["This link has expired.", "Ask for a new one."],
    SESSION_EXPIRED: ["You signed in more than a day ago.", "Enter your password to confirm that it is you."],
    INVALID_ORIGIN: [
        "The server does not know this address of the console.",
        "Open the console at its own address, or add this one to TRUSTED_ORIGINS.",
    ],
    MISSING_OR_NULL_ORIGIN: ["The browser hid this page's address.", "Open the console in an ordinary tab."],
};

/** Fields of a form that a code of the accounts is about. */
const ACCOUNT_FIELDS = {
    INVALID_EMAIL: "email",
    PASSWORD_TOO_SHORT: "newPassword",
    PASSWORD_TOO_LONG: "newPassword",
    PASSWORD_TOO_COMMON: "newPassword",
    INVALID_PASSWORD: "currentPassword",
    INVALID_OTP: "otp",
    OTP_EXPIRED: "otp",
    TOO_MANY_ATTEMPTS: "otp",
};

/** Field that a failure is about, where it names none itself. */
export function fieldOf(failure) {
    return Object.hasOwn(ACCOUNT_FIELDS, failure.code) ? ACCOUNT_FIELDS[failure.code] : null;
}

/**
 * A failure in words.
 *
 * @returns {{title: string, next: string, requestId: string}}
 */
export function explain(failure) {
    const said = (title, next) => ({ title, next, requestId: failure.requestId ?? "" });
    if (!(failure instanceof Failure)) {
        return { title: "This page has an error.", next: "Reload it; what you typed is kept.", requestId: "" };
    }
    if (Object.hasOwn(ACCOUNT_WORDS, failure.code)) return said(...ACCOUNT_WORDS[failure.code]);
    const message = sentence(failure.message);
    const later = failure.waitSeconds ? `Try again in ${wait(failure.waitSeconds)}.` : "Try again in a minute.";
    switch (failure.status) {
        case 0:
            return said(
                failure.code === "timeout" ? "The server took too long to answer." : "The server cannot be reached.",
                "Check your connection and try again. What you typed is still here.",
            );
        case 401:
            return said("You are signed out.", "Sign in to go on. What you typed is still here.");
        case 403:
            return said(message || "You may not do this.", "Ask whoever runs this server if you should be allowed to.");
        case 404:
            return said(message || "This is not there.", "It may have been deleted. Go back to the list.");
        case 409:
            return said(message || "This conflicts with something that exists.", "Change it and send it again.");
        case 413:
            return said("This is too large.", "Make it shorter and send it again.");
        case 429:
            return said("That was too often.", later);
        case 502:
            return said(message || "A service behind this server did not answer.", later);
        case 503:
            return said(message || "The server is not available at the moment.", later);
        case 504:
            return said("The server took too long to answer.", later);
        default:
            break;
    }
    if (failure.status >= 500) return said(message || "The server had an error.", later);
    return said(
        message || "This was not accepted.",
        Object.keys(failure.fields).length ? "Correct what is marked below." : "Change it and send it again.",
    );
}

/** A text with a capital letter and a full stop, as a sentence of its own. */
export function sentence(text) {
    if (!text) return "";
    text = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.!?]$/.test(text) ? text : `${text}.`;
}
