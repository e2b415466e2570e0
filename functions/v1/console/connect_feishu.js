// Connecting Feishu, with the secret of an app of one's own.

import * as api from "./api.js";
import { announce, h, outwardLink } from "./dom.js";
import { botField, form } from "./form.js";
import { copyable } from "./parts.js";

const PLAIN = { autocomplete: "off", spellcheck: "false" };

/** Fields that only events by webhook need. */
const OF_WEBHOOK = ["verificationToken", "encryptKey"];

/**
 * The form for Feishu, folded up.
 *
 * @param {{bots: object[], connected: (channel: object) => Promise<unknown>}} options
 */
export function connectFeishu({ bots, connected }) {
    const secret = (name, label, hint, isRequired) => ({
        name,
        label,
        type: "password",
        isRequired,
        isTrimmed: true,
        hint,
        attributes: PLAIN,
    });
    const entry = form({
        draft: "connect-feishu",
        fields: [
            botField(bots),
            {
                name: "appId",
                label: "Feishu App ID",
                isRequired: true,
                hint: "Begins with cli_. In the app's settings under “Credentials & Basic Info”.",
                attributes: { ...PLAIN, autocapitalize: "off" },
            },
            secret("appSecret", "App Secret", "Beside the App ID.", true),
            {
                name: "connectionMode",
                label: "How events arrive",
                type: "select",
                options: [
                    ["websocket", "By a long connection (the simpler way)"],
                    ["webhook", "By webhook, to an address of this server"],
                ],
            },
            secret("verificationToken", "Verification Token", "In the app's settings under “Events & Callbacks”, “Encryption Strategy”.", true),
            secret("encryptKey", "Encrypt Key", "In the same place. Leave it empty where the app has none."),
        ].filter(Boolean),
        submit: "Connect Feishu",
        busy: "Connecting…",
        send: (values) => api.post("/v1/channels/feishu/connect", values),
        async done(channel) {
            entry.reset();
            await connected(channel);
            const details = document.getElementById(addressId(channel));
            if (!details) {
                announce("Feishu is connected.");
                return;
            }
            // The last step is in the app's settings: the addresses are shown at once.
            details.open = true;
            details.querySelector("summary").focus();
            announce("Connected. One step is left: give Feishu the addresses.");
        },
    });
    const mode = entry.input("connectionMode");
    const show = () => {
        for (const name of OF_WEBHOOK) entry.input(name).closest(".field").hidden = mode.value !== "webhook";
    };
    mode.addEventListener("change", show);
    show();
    const steps = h(
        "ol",
        { class: "how" },
        h(
            "li",
            {},
            "Make a custom app on ",
            outwardLink("https://open.feishu.cn/app", "Feishu's page for developers"),
            ", add the bot to it, and give it the rights im:message, im:message:send_as_bot, im:chat:readonly and im:resource.",
        ),
        h("li", {}, "Copy its credentials into this form. They are checked with Feishu and kept sealed."),
        h("li", {}, "Subscribe to the event im.message.receive_v1, and publish a version of the app."),
    );
    return h("details", { class: "by-hand" }, h("summary", {}, "Connect Feishu instead"), steps, entry.element);
}

const addressId = (channel) => `feishu-addresses-${channel.id}`;

/** Addresses to which Feishu posts the events and the cards' actions of a channel that is connected by webhook. */
export function feishuAddresses(channel) {
    const below = (path) => `${location.origin}/api/feishu/${path}/${encodeURIComponent(channel.id)}`;
    return h(
        "details",
        { class: "by-hand", id: addressId(channel) },
        h("summary", {}, "Addresses for Feishu"),
        h("p", {}, "In the app's settings under “Events & Callbacks”: the first is the request URL of events, the second that of callbacks."),
        copyable("Request URL of events", below("events"), false).element,
        copyable("Request URL of callbacks", below("card-action"), false).element,
    );
}
