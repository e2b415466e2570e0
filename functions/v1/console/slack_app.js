// A Slack app of one's own, as a manifest that Slack's page for apps takes. Pure, without the DOM.

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
export const EVENTS = ["app_mention", "message.channels", "message.groups", "message.im", "message.mpim"];

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
