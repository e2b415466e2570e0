// Accounts at other services that bots act with, and the page that a service's consent leads back to.

import * as api from "./api.js";
import { announce, h, replace, timeOf } from "./dom.js";
import { ask } from "./form.js";
import { actionButton, empty, loaded, pill, refocus } from "./parts.js";
import { hashOf } from "./router.js";
import { user } from "./session.js";
import { ago, ownPath, webUrl } from "./words.js";

/** Page with all toolkits, each with the person's account there. */
export function integrations({ signal }) {
    return {
        title: "Integrations",
        lead: "Connect your accounts at other services, and your bots can use them.",
        content: loaded(signal, "the integrations", () => list(signal), render),
    };
}

const list = async (signal) => (await api.get("/v1/integrations", { signal })).integrations;

const pathOf = (integration) => `/v1/integrations/${encodeURIComponent(integration.id)}`;

/** Asks the server how far an account is. The cookie of the browser that began the connection proves that this one did. */
const refresh = (integration, options) => api.post(`${pathOf(integration)}/refresh`, {}, options);

function render(all, again) {
    if (!all.length) return empty("Nothing to connect", "Whoever runs this server has switched all integrations off.");
    const categories = Map.groupBy(all, ({ toolkit }) => toolkit.category);
    return [...categories].map(([category, those]) => {
        const cards = those.map((integration) => h("li", { class: "card" }, card(integration, again)));
        return h("section", { class: "category" }, h("h2", {}, category), h("ul", { class: "cards tiles" }, cards));
    });
}

/** Tone, words and next step of each status. */
const STATES = {
    pending: ["idle", "Not connected"],
    initiated: ["wait", "Not finished", "You have not consented yet, or the connection was begun in another browser."],
    active: ["good", "Connected"],
    failed: ["bad", "Failed", "The service refused the connection. Connect it again to go on."],
    expired: ["bad", "Expired", "The service has ended the access. Connect it again to go on."],
    disconnected: ["idle", "Disconnected"],
};

/** Tone, words and next step of a toolkit that the operator keeps from every bot of the person's. */
const NOT_ALLOWED = ["idle", "Not allowed", "Your operator does not allow your bots to use this."];

function card(integration, again) {
    const { toolkit, status, operatorAllows } = integration;
    const isForAll = toolkit.authScheme === "api_key_global";
    const ready = isForAll ? ["good", "Ready", "Everyone can use it."] : (STATES[status] ?? ["idle", status]);
    const [tone, words, next] = operatorAllows === "nothing" ? NOT_ALLOWED : ready;
    const place = h("div", { class: "place" });
    const facts = status === "active" && !isForAll ? factsOf(integration) : [];
    return [
        h("div", { class: "card-head" }, h("h3", {}, toolkit.displayName), pill(tone, words)),
        toolkit.description && h("p", {}, toolkit.description),
        next && h("p", { class: "hint" }, next),
        operatorAllows === "some" && h("p", { class: "hint" }, "Your operator allows your bots only a part of this."),
        facts.length > 0 && h("p", { class: "row-facts" }, facts),
        !isForAll && h("div", { class: "actions" }, actions(integration, place, again)),
        place,
    ];
}

function factsOf({ toolkit, connectedAt, credentialHints }) {
    const hints = Object.entries(credentialHints ?? {}).map(([key, hint]) => {
        const label = toolkit.authFields?.find((field) => field.key === key)?.label ?? key;
        // Only a long key has a last part that may be shown.
        const end = hint.replace(/^\*+/, "");
        return h("span", {}, label, end ? [" ends in ", h("code", {}, end)] : " is kept");
    });
    return [...hints, connectedAt && h("span", {}, "connected ", timeOf(connectedAt, ago(connectedAt)))].filter(Boolean);
}

function actions(integration, place, again) {
    const { status, operatorAllows } = integration;
    const isActive = status === "active";
    return [
        !isActive && operatorAllows !== "nothing" && connectButton(integration, place, again),
        status === "initiated" && checkButton(integration, place, again),
        (isActive || status === "expired") && disconnectButton(integration, again),
    ];
}

/** Key by which the focus comes back to a toolkit's first button. */
const keyOf = (toolkit) => `toolkit-${toolkit.slug}`;

function connectButton({ toolkit, status }, place, again) {
    const words = ["pending", "disconnected"].includes(status) ? "Connect" : "Connect again";
    const label = `${words}: ${toolkit.displayName}`;
    const key = keyOf(toolkit);
    if (toolkit.authScheme === "api_key_user") {
        const onclick = async () => {
            if (await askForKeys(toolkit)) await renewed(again, toolkit, `${toolkit.displayName} is connected.`);
        };
        return h("button", { type: "button", "aria-label": label, "data-key": key, onclick }, words);
    }
    return actionButton({
        words,
        label,
        busy: "Opening…",
        lead: `${toolkit.displayName} was not opened.`,
        key,
        place,
        async run() {
            const { connectUrl } = await api.post("/v1/integrations/connect", { toolkitSlug: toolkit.slug, source: "page" });
            const target = webUrl(connectUrl);
            if (!target) throw new TypeError("The address of the consent page is no web address.");
            location.assign(target);
            // The button stays busy until the consent page replaces this one.
            await new Promise((resolve) => {
                setTimeout(resolve, LEAVING_MS);
            });
        },
        failed(failure) {
            // The account was connected in another tab meanwhile.
            if (failure.status === 409) renewed(again, toolkit, failure.message);
            else if (failure.status === 503) replace(place, notSetUp());
            else return false;
            return true;
        },
    });
}

/** Longest time that a browser takes to leave for a consent page before the button may be clicked again. */
const LEAVING_MS = 8000;

function notSetUp() {
    return h(
        "p",
        { class: "problem", role: "alert" },
        h("strong", {}, "This server cannot connect accounts now."),
        " It may not be set up for that; ask whoever runs it.",
    );
}

/** Asks for the credentials of a toolkit and sends them. */
function askForKeys({ slug, displayName, authFields = [] }) {
    return ask({
        title: `Connect ${displayName}`,
        text: `You find this in your account at ${displayName}. It is kept sealed, and your bots can use it.`,
        action: "Connect",
        busy: "Connecting…",
        fields: authFields.map(({ key, label, type, placeholder }) => ({
            name: key,
            label: yours(label),
            type: type === "secret" ? "password" : "text",
            isRequired: true,
            isTrimmed: true,
            attributes: { autocomplete: "off", spellcheck: "false", autocapitalize: "off", placeholder },
        })),
        aliases: Object.fromEntries(authFields.map(({ key }) => [`credentials.${key}`, key])),
        run: (credentials) => api.post("/v1/integrations/connect", { toolkitSlug: slug, credentials, source: "page" }),
    });
}

/** A label that also reads well inside a sentence: "Your secret key", "Your API key". */
function yours(label) {
    if (/^your /i.test(label)) return label;
    const isAcronym = /^\p{Lu}{2}/u.test(label);
    return `Your ${isAcronym ? label : label.charAt(0).toLowerCase() + label.slice(1)}`;
}

function checkButton(integration, place, again) {
    const { toolkit } = integration;
    return actionButton({
        words: "Check again",
        label: `Check again: ${toolkit.displayName}`,
        busy: "Checking…",
        lead: "The connection was not checked.",
        place,
        async run() {
            const { status } = await refresh(integration);
            const isActive = status === "active";
            await renewed(again, toolkit, `${toolkit.displayName} is ${isActive ? "connected" : "not connected yet"}.`);
        },
    });
}

function disconnectButton(integration, again) {
    const { toolkit } = integration;
    const name = toolkit.displayName;
    const what =
        toolkit.authScheme === "oauth2"
            ? `Your bots can no longer use it, and the access is ended at ${name}, where it can be. You can connect it again.`
            : `Your bots can no longer use it, and what you entered is deleted here. It stays valid at ${name}: revoke it there if you no longer need it.`;
    const onclick = async () => {
        const isDone = await ask({
            title: `Disconnect ${name}?`,
            text: what,
            action: "Disconnect",
            busy: "Disconnecting…",
            refusal: "Keep it",
            tone: "danger",
            run: () => api.call("DELETE", pathOf(integration)),
        });
        if (isDone) await renewed(again, toolkit, `${name} is disconnected.`);
    };
    const isOnly = integration.status === "active";
    return h(
        "button",
        {
            type: "button",
            class: "quiet danger-text",
            "aria-label": `Disconnect: ${name}`,
            "data-key": isOnly && keyOf(toolkit),
            onclick,
        },
        "Disconnect",
    );
}

/** Reads the list anew after a change, and says what has changed. */
async function renewed(again, toolkit, words) {
    await again();
    refocus(keyOf(toolkit));
    announce(words);
}

/** Outcomes of a link that a bot has handed out, as a title and the next step. */
const REFUSALS = {
    sign_in_required: [
        "Sign in, then open the link again",
        "The link from the chat works only for the person whose bot it is, and nobody is signed in here.",
    ],
    invalid_link: [
        "This link does not work",
        "It is for another person, was used already, or has been replaced by a newer one. Ask the bot again, or connect the account here.",
    ],
    not_allowed: [
        "This integration is switched off",
        "Whoever runs this server does not allow it. Ask them if you should be able to use it.",
    ],
    unavailable: [
        "The service's page could not be opened",
        "Something that this server depends on did not answer, and nothing has changed. Open the link again in a minute.",
    ],
};

/**
 * @param {{outcome: URLSearchParams, signal: AbortSignal}} options `outcome`: the query that the page was opened with
 */
export function integrationCallback({ outcome, signal }) {
    const slug = outcome.get("toolkit");
    if (!slug && outcome.has("error")) return refusal(outcome.get("error"));
    if (!user()) {
        return {
            title: "Connecting an account",
            lead: "Sign in to finish: an account is connected only for the person who began it.",
            content: h("div", { class: "actions" }, signInLink()),
        };
    }
    return {
        title: "Connecting an account",
        content: loaded(signal, "the connection", () => outcomeOf(slug, signal), outcomeWords),
    };
}

const signInLink = () =>
    h("a", { class: "button primary", href: `/${hashOf("/sign-in", { next: "/integrations" })}` }, "Sign in");

const listLink = (words, tone = "") => h("a", { class: `button ${tone}`, href: "/#/integrations" }, words);

function refusal(code) {
    const isKnown = Object.hasOwn(REFUSALS, code);
    const [title, lead] = isKnown
        ? REFUSALS[code]
        : ["The account was not connected", "Nothing has changed. Try again from the list of integrations."];
    return {
        title,
        lead,
        content: [
            !isKnown && code && h("p", { class: "request-id" }, "Reason ", h("code", {}, code.slice(0, 100))),
            h(
                "div",
                { class: "actions" },
                code === "sign_in_required" && !user() ? signInLink() : listLink("See your integrations", "primary"),
                h("a", { class: "button", href: "/#/" }, "Go to the start"),
            ),
        ],
    };
}

/** The integration as the server knows it now. The address alone proves nothing: anybody can make a link to this page. */
async function outcomeOf(slug, signal) {
    const known = (await list(signal)).find(({ toolkit }) => toolkit.slug === slug);
    return known?.id ? refresh(known, { signal }) : known;
}

function outcomeWords(integration, again) {
    const name = integration?.toolkit.displayName;
    const place = h("div", { class: "place" });
    const said = (tone, words, next, ...more) => [
        h("p", { class: `notice ${tone}` }, name && h("strong", {}, name), words),
        h("p", {}, next),
        h("div", { class: "actions" }, more),
        place,
    ];
    switch (integration?.status) {
        case "active": {
            // Only a path of this origin: a link from elsewhere must not lead people away from here.
            const target = ownPath(integration.returnTo, location.origin);
            const goOn = target && h("a", { class: "button primary", href: target }, "Continue");
            const next = "Your bots can use it now. If one of them asked for it, tell it to go on.";
            return said("good", " is connected.", next, goOn, listLink("See your integrations", target ? "" : "primary"));
        }
        case "initiated": {
            const check = actionButton({
                words: "Check again",
                busy: "Checking…",
                place,
                run: () => again(true),
            });
            return said(
                "",
                " is not connected yet.",
                "You have not consented there, took longer than ten minutes, or began in another browser. A connection is finished only in the browser that began it.",
                check,
                listLink("Start again"),
            );
        }
        case "failed":
        case "expired":
            return said(
                "bad",
                " was not connected.",
                "The consent was refused there, or the service has ended it. Nothing has changed; you can try again.",
                listLink("Try again", "primary"),
            );
        default:
            return said(
                "bad",
                name ? " is not connected." : "This connection is not among your integrations.",
                "If you have not begun to connect an account, nothing has changed.",
                listLink("See your integrations", "primary"),
            );
    }
}
