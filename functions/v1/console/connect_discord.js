// Connecting Discord, with the bot token of an application of one's own.

import * as api from "./api.js";
import { announce, h, outwardLink } from "./dom.js";
import { botField, form } from "./form.js";

/** A Discord id: a whole number of 17 to 20 digits. Source: Discord, "API Reference", "Snowflakes". */
const ID = /^\d{17,20}$/;

const PLAIN = { autocomplete: "off", spellcheck: "false" };

/**
 * The form for Discord, folded up.
 *
 * @param {{bots: object[], connected: (channel: object) => Promise<unknown>}} options
 */
export function connectDiscord({ bots, connected }) {
    const entry = form({
        draft: "connect-discord",
        fields: [
            botField(bots),
            {
                name: "appId",
                label: "Application ID",
                isRequired: true,
                hint: "A number of 17 to 20 digits. In the application's settings under “General Information”.",
                check: (text) => (ID.test(text) ? null : "An application ID has 17 to 20 digits and nothing else."),
                attributes: { ...PLAIN, inputmode: "numeric" },
            },
            {
                name: "botToken",
                label: "Discord bot token",
                type: "password",
                isRequired: true,
                isTrimmed: true,
                hint: "In the application's settings under “Bot”. Discord shows it once, and a new one when you reset it.",
                attributes: PLAIN,
            },
        ].filter(Boolean),
        submit: "Connect Discord",
        busy: "Connecting…",
        send: (values) => api.post("/v1/channels/discord/connect", values),
        async done(channel) {
            entry.reset();
            await connected(channel);
            announce("Discord is connected. Invite the bot to your server if it is not in it yet.");
        },
    });
    const steps = h(
        "ol",
        { class: "how" },
        h(
            "li",
            {},
            "Make an application on ",
            outwardLink("https://discord.com/developers/applications", "Discord's page for developers"),
            ", and turn on “Message Content Intent” under “Bot”.",
        ),
        h("li", {}, "Under “OAuth2”, make an address with the scope bot, and invite the bot to your server with it."),
        h("li", {}, "Copy the two values into this form. They are checked with Discord, and the token is kept sealed."),
    );
    return h("details", { class: "by-hand" }, h("summary", {}, "Connect Discord instead"), steps, entry.element);
}
