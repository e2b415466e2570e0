// Connecting Slack: by Slack's consent page, or by hand with the tokens of an app of one's own.

import { actionButton } from "./action.js";
import * as api from "./api.js";
import { announce, freshId, h, replace } from "./dom.js";
import { form } from "./form.js";
import { manifest, EVENTS } from "./slack_app.js";
import { webUrl } from "./words.js";

/** Whether this server has answered that it has no Slack app of its own. */
let isUnavailable = false;

/**
 * Both ways of connecting Slack.
 *
 * @param {{bots: object[], connected: (channel: object) => Promise<unknown>}} options
 */
export function connectSlack({ bots, connected }) {
    const place = h("div", { class: "place" });
    const byHand = handForm(bots, connected);
    const details = h(
        "details",
        { class: "by-hand" },
        h("summary", {}, "Connect by hand with an app of your own"),
        byHand.element,
    );
    const explained = h(
        "div",
        { class: "notice", tabindex: "-1" },
        h(
            "p",
            {},
            h("strong", {}, "“Add to Slack” is not set up on this server."),
            " It has no Slack app of its own, or cannot reach it now. You can connect with an app that you make yourself, which takes a few minutes:",
        ),
    );
    const bot = bots.length > 1 ? botPicker(bots) : null;
    const button = actionButton({
        words: "Add to Slack",
        busy: "Opening Slack…",
        lead: "Slack was not opened.",
        tone: "primary",
        place,
        async run() {
            const query = new URLSearchParams({ returnTo: "/" });
            if (bot) query.set("botId", bot.value());
            const { url } = await api.get(`/v1/channels/slack/oauth-url?${query}`);
            const target = webUrl(url);
            if (!target) throw new TypeError("The address of Slack's consent page is no web address.");
            location.assign(target);
            // The button stays busy until Slack's page replaces this one.
            await new Promise((resolve) => {
                setTimeout(resolve, LEAVING_MS);
            });
        },
        failed(failure) {
            if (failure.status !== 503 && failure.status !== 404) return false;
            isUnavailable = true;
            showByHand();
            explained.focus();
            return true;
        },
    });
    const offer = h(
        "div",
        { class: "offer" },
        h("p", {}, "Slack asks which workspace to add the bot to. It takes a minute, and you can undo it at any time."),
        bot?.element,
        h("div", { class: "actions" }, button),
        place,
    );
    const element = h("div", { class: "connect" }, offer, details);

    function showByHand() {
        details.open = true;
        replace(element, explained, details);
    }

    if (isUnavailable) showByHand();
    return element;
}

/** Longest time that a browser takes to leave for Slack's page before the button may be clicked again. */
const LEAVING_MS = 8000;

function botPicker(bots) {
    const id = freshId("oauth-bot");
    const select = h(
        "select",
        { id },
        bots.map((bot) => h("option", { value: bot.id }, bot.name)),
    );
    return {
        value: () => select.value,
        element: h("div", { class: "field" }, h("label", { for: id }, "Bot that answers there"), select),
    };
}

function handForm(bots, connected) {
    const fields = [
        bots.length > 1 && {
            name: "botId",
            label: "Bot that answers there",
            type: "select",
            options: bots.map((bot) => [bot.id, bot.name]),
        },
        {
            name: "botToken",
            label: "Bot token",
            type: "password",
            isRequired: true,
            isTrimmed: true,
            hint: "Begins with xoxb-. In the app's settings under “OAuth & Permissions”.",
            check: (text) =>
                text.startsWith("xoxb-")
                    ? null
                    : "A bot token begins with xoxb-. One that begins with xoxp- or xapp- is another kind.",
            attributes: { autocomplete: "off", spellcheck: "false" },
        },
        {
            name: "signingSecret",
            label: "Signing secret",
            type: "password",
            isRequired: true,
            isTrimmed: true,
            hint: "In the app's settings under “Basic Information”, “App Credentials”.",
            attributes: { autocomplete: "off", spellcheck: "false" },
        },
        {
            name: "appId",
            label: "App ID",
            isHeldBack: true,
            hint: "Begins with A. In the app's settings under “Basic Information”.",
            attributes: { autocomplete: "off", spellcheck: "false", autocapitalize: "characters" },
        },
    ].filter(Boolean);
    const entry = form({
        draft: "connect-slack",
        fields,
        submit: "Connect",
        busy: "Connecting…",
        send: (values) => api.post("/v1/channels/slack/connect", values),
        async done(channel) {
            entry.reset();
            await connected(channel);
            // The last step is in the app's settings: the address is shown at once.
            const details = document.getElementById(addressId(channel));
            if (details) {
                details.open = true;
                details.querySelector("summary").focus();
            }
            announce("Connected. One step is left: give Slack the event address.");
        },
    });
    const steps = h(
        "ol",
        { class: "how" },
        h(
            "li",
            {},
            "Open ",
            link("https://api.slack.com/apps?new_app=1", "Slack's page for apps"),
            ", choose “From a manifest”, and paste this one:",
            copyable("App manifest", manifest(bots[0].name), true),
        ),
        h(
            "li",
            {},
            "Install the app into your workspace, and copy its two credentials into the form below. They are checked with Slack and kept sealed.",
        ),
        h("li", {}, "Give Slack the event address, which you get here once the app is connected."),
    );
    return { element: h("div", {}, steps, entry.element) };
}

function link(url, words) {
    return h(
        "a",
        { href: url, target: "_blank", rel: "noopener noreferrer" },
        words,
        h("span", { class: "unseen" }, " (opens in a new tab)"),
    );
}

const addressId = (channel) => `events-${channel.id}`;

/** Address to which the app of a channel sends its events, for an app that was connected by hand. */
export function eventAddress(channel) {
    const address = `${location.origin}/api/slack/events/${encodeURIComponent(channel.id)}`;
    return h(
        "details",
        { class: "by-hand", id: addressId(channel) },
        h("summary", {}, "Event address, for an app connected by hand"),
        h(
            "p",
            {},
            "In the app's settings under “Event Subscriptions”: turn events on, paste this as the request URL, and subscribe to the bot events ",
            EVENTS.map((event, index) => [index > 0 && ", ", h("code", {}, event)]),
            ".",
        ),
        copyable("Request URL", address, false),
    );
}

/** A text to copy: it can be selected, and a button copies it where the browser allows that. */
function copyable(label, text, isLong) {
    const id = freshId("copy");
    const attributes = {
        id,
        readOnly: true,
        value: text,
        spellcheck: "false",
        class: "copy-text",
        onfocus: (event) => event.target.select(),
    };
    const box = isLong ? h("textarea", { ...attributes, rows: 5 }) : h("input", { type: "text", ...attributes });
    const button = h(
        "button",
        {
            type: "button",
            "aria-label": `Copy: ${label}`,
            async onclick() {
                try {
                    await navigator.clipboard.writeText(text);
                    announce("Copied.");
                } catch {
                    box.focus();
                    announce("Your browser does not let this page copy. The text is selected: copy it with the keyboard.");
                }
            },
        },
        "Copy",
    );
    return h("div", { class: "field copy" }, h("label", { for: id }, label), h("div", { class: "with-show" }, box, button));
}
