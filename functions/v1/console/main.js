// Entry point: finds out who is signed in and what the address asks for, and shows the page of each route.

import { account } from "./account.js";
import { onSessionEnd } from "./api.js";
import { artifacts } from "./artifacts.js";
import { botPage, bots, newBot } from "./bots.js";
import { channels, slackCallback } from "./channels.js";
import { conversations } from "./conversations.js";
import { announce, h } from "./dom.js";
import { show } from "./frame.js";
import { integrationCallback, integrations } from "./integrations.js";
import { problem } from "./parts.js";
import { goInstead, hashOf, match, parse } from "./router.js";
import { refresh, user } from "./session.js";
import { forgotPassword, holdResetToken, newPassword, signIn, signInAgain, signUp, verifyCode } from "./sign_in.js";
import { start } from "./start.js";

/** Pages to which a consent page leads back, by their paths. */
const CALLBACKS = {
    "/workspace/channels/slack/callback": slackCallback,
    "/workspace/integrations/callback": integrationCallback,
};

// `for` says who may see a page: "user" signed in, "guest" not signed in, "anyone".
const ROUTES = [
    { path: "/", view: start, for: "user", nav: "/" },
    { path: "/bots", view: bots, for: "user", nav: "/bots" },
    { path: "/bots/new", view: newBot, for: "user", nav: "/bots" },
    { path: "/bots/:id", view: botPage, for: "user", nav: "/bots" },
    { path: "/channels", view: channels, for: "user", nav: "/channels" },
    { path: "/integrations", view: integrations, for: "user", nav: "/integrations" },
    { path: "/conversations", view: conversations, for: "user", nav: "/conversations" },
    { path: "/artifacts", view: artifacts, for: "user", nav: "/artifacts" },
    { path: "/account", view: account, for: "user", nav: "/account" },
    { path: "/sign-in", view: signIn, for: "guest" },
    { path: "/sign-up", view: signUp, for: "guest" },
    { path: "/verify", view: verifyCode, for: "guest" },
    { path: "/forgot-password", view: forgotPassword, for: "guest" },
    { path: "/reset-password", view: newPassword, for: "anyone" },
];

let leaving = new AbortController();
let isFirst = true;

/** Shows what the address names. */
function route() {
    leaving.abort();
    leaving = new AbortController();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    const { path, query } = parse(location.hash);
    const found = match(ROUTES, path);
    if (!found) return present(notFound(), { isBare: !user() });
    if (found.route.for === "user" && !user())
        return goInstead("/sign-in", { next: path === "/" ? null : location.hash.slice(1) });
    if (found.route.for === "guest" && user()) return goInstead(nextOf(query));
    const page = found.route.view({ params: found.params, query, signal: leaving.signal, next: nextOf(query) });
    present(page, { nav: found.route.nav, isBare: found.route.for !== "user" });
}

function present(page, how) {
    show(page, { ...how, isFirst });
    page.shown?.();
    isFirst = false;
}

/** Route that a sign-in leads on to: only one of this console. */
function nextOf(query) {
    const next = query.get("next") ?? "";
    return next.startsWith("/") && match(ROUTES, parse(`#${next}`).path)?.route.for === "user" ? next : "/";
}

function notFound() {
    return {
        title: "This page does not exist",
        lead: "The address may be mistyped, or the page has moved.",
        content: h("div", { class: "actions" }, h("a", { class: "button primary", href: "#/" }, "Go to the start")),
    };
}

/** Takes what a mailed link put into the address out of it, so that no token stays in the history. */
function takeQuery() {
    const query = new URLSearchParams(location.search);
    const [view, token, error] = ["view", "token", "error"].map((name) => query.get(name));
    if (!location.search) return;
    let hash = location.hash;
    if (view === "reset") {
        holdResetToken(token);
        hash = "#/reset-password";
    } else if (error) {
        hash = hashOf("/sign-in", { notice: "stale-link" });
    } else if (view === "verified") {
        hash = hashOf("/sign-in", { notice: "verified" });
    }
    history.replaceState(null, "", `/${hash}`);
}

async function boot() {
    const { pathname } = location;
    const callback = Object.hasOwn(CALLBACKS, pathname) ? CALLBACKS[pathname] : null;
    const outcome = new URLSearchParams(location.search);
    if (callback) history.replaceState(null, "", pathname);
    else takeQuery();
    onSessionEnd(async () => {
        const before = user()?.id;
        if (!before || !(await signInAgain(user()))) return false;
        await refresh();
        if (user()?.id === before) return true;
        // Somebody else signed in: nothing of the page that is shown is theirs.
        location.reload();
        return false;
    });
    try {
        await refresh();
    } catch (failure) {
        return unreachable(failure);
    }
    if (callback) {
        return present(callback({ outcome, signal: leaving.signal }), { isBare: true });
    }
    window.addEventListener("hashchange", () => {
        if (location.hash.startsWith("#/") || !location.hash) route();
    });
    window.addEventListener("offline", () => announce("You are offline. What you type is kept."));
    window.addEventListener("online", () => announce("You are online again."));
    route();
}

function unreachable(failure) {
    const again = h("button", { type: "button", class: "primary", onclick: () => location.reload() }, "Try again");
    show(
        { title: "The console could not start", content: [problem(failure), h("div", { class: "actions" }, again)] },
        { isBare: true, isFirst: true },
    );
}

boot();
