// Connecting Slack: by Slack's consent page, or by hand with the tokens of an app of one's own.

import * as api from "./api.js";
import { announce, freshId, h, outwardLink, replace } from "./dom.js";
import { botField, form } from "./form.js";
import { actionButton, copyable } from "./parts.js";
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
        botField(bots),
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
    const text = copyable("App manifest", manifest(bots[0].name), true);
    if (bots.length > 1) {
        // The app has the name of the bot that is chosen.
        entry
            .input("botId")
            .addEventListener("change", (event) => text.change(manifest(event.target.selectedOptions[0].textContent)));
    }
    const steps = h(
        "ol",
        { class: "how" },
        h(
            "li",
            {},
            "Open ",
            outwardLink("https://api.slack.com/apps?new_app=1", "Slack's page for apps"),
            ", choose “From a manifest”, and paste this one:",
            text.element,
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
        copyable("Request URL", address, false).element,
    );
}

/**
 * Rights of the app: those that the consent page asks for, but `assistant:write`. Slack takes that one only together with the feature
 * `assistant_view` and its events, and events only together with an address, which there is none of yet. Without it, a bot answers
 * as well and shows no status while it thinks.
 */
const SCOPES = [
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "mpim:read",
    "reactions:write",
    "users.profile:read",
    "users:read",
];

/** Events that the app subscribes to. */
const EVENTS = ["app_mention", "message.channels", "message.groups", "message.im", "message.mpim"];

/** Longest name of an app, and of a bot user. Source: Slack, "Manifest reference". */
const NAME_LENGTH = 35;

/**
 * Manifest for a new app, as JSON. It names no event address: Slack checks one at once, and the app is connected only afterwards.
 */
export function manifest(name) {
    const short = [...name].slice(0, NAME_LENGTH).join("").trim() || "Bot";
    return JSON.stringify(
        {
            display_information: { name: short },
            features: {
                app_home: { home_tab_enabled: false, messages_tab_enabled: true, messages_tab_read_only_enabled: false },
                bot_user: { display_name: short, always_online: true },
            },
            oauth_config: { scopes: { bot: SCOPES } },
            settings: { org_deploy_enabled: false, socket_mode_enabled: false, token_rotation_enabled: false },
        },
        null,
        2,
    );
}
