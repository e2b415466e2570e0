// Words for what the API says in codes: pure functions, without the DOM.

const SECOND = 1000;
const UNITS = [
    ["year", 365 * 86400],
    ["month", 30 * 86400],
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
];

/** A moment relative to now: "3 hours ago". */
export function ago(moment, now = Date.now()) {
    const seconds = Math.round((new Date(moment).getTime() - now) / SECOND);
    if (!Number.isFinite(seconds)) return "at an unknown time";
    for (const [unit, length] of UNITS) {
        if (Math.abs(seconds) >= length) {
            return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.trunc(seconds / length), unit);
        }
    }
    return "just now";
}

/** A number of seconds to wait, rounded up: "40 seconds", "2 minutes". */
export function wait(seconds) {
    if (seconds < 90) return count(Math.max(1, Math.ceil(seconds)), "second");
    const minutes = Math.ceil(seconds / 60);
    return minutes < 90 ? count(minutes, "minute") : count(Math.ceil(minutes / 60), "hour");
}

/** A number with its noun, in the singular or the plural. */
export function count(number, noun) {
    return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Short form of a duration in milliseconds: "4.2 s", "3 min". */
export function duration(milliseconds) {
    if (milliseconds < 60 * SECOND) return `${(milliseconds / SECOND).toFixed(1)} s`;
    const minutes = Math.round(milliseconds / (60 * SECOND));
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Slug of a bot, made from its name: characters `a-z0-9-`, at most 100. */
export function slugOf(name) {
    const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    return plain
        .replace(/[^a-z0-9]+/g, "-")
        .replace(/^-+/, "")
        .slice(0, 100)
        .replace(/-+$/, "");
}

/** A browser in words, from its `user-agent`: only as much as helps a person to tell their devices apart. */
export function deviceOf(userAgent) {
    if (!userAgent) return "Unknown device";
    const browser = first(userAgent, [
        [/Edg\//, "Edge"],
        [/OPR\//, "Opera"],
        [/Firefox\/|FxiOS/, "Firefox"],
        [/Chrom(e|ium)\/|CriOS/, "Chrome"],
        [/Safari\//, "Safari"],
        [/curl\//, "curl"],
    ]);
    const system = first(userAgent, [
        [/iPhone/, "iPhone"],
        [/iPad/, "iPad"],
        [/Android/, "Android"],
        [/Windows/, "Windows"],
        [/Mac OS X|Macintosh/, "Mac"],
        [/CrOS/, "ChromeOS"],
        [/Linux/, "Linux"],
    ]);
    if (browser && system) return `${browser} on ${system}`;
    return browser ?? system ?? userAgent.slice(0, 60);
}

function first(text, pairs) {
    return pairs.find(([pattern]) => pattern.test(text))?.[1];
}

/** A URL of the web, or `null` for any other scheme, which a link must not have. */
export function webUrl(text) {
    try {
        const url = new URL(text);
        return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
    } catch {
        return null;
    }
}

/** A path of this origin that a browser may be sent to, or `null`. */
export function ownPath(text, origin) {
    if (typeof text !== "string" || !/^\/(?![/\\])/.test(text)) return null;
    try {
        const url = new URL(text, origin);
        return url.origin === new URL(origin).origin ? url.pathname + url.search + url.hash : null;
    } catch {
        return null;
    }
}

/** Outcome codes of Slack's consent page, as a title and the next step. */
const SLACK_ERRORS = {
    access_denied: [
        "Slack was not connected: the request was cancelled",
        "Nothing has changed. Try again, and choose Allow on Slack's page. Some workspaces let only their admins add apps; ask one of them then.",
    ],
    invalid_state: [
        "This connection was not started in this browser",
        "For your safety, a connection is finished only in the browser that started it. Start again from here.",
    ],
    expired_state: [
        "This took longer than ten minutes",
        "The request to Slack has expired, and nothing has changed. Start again from here.",
    ],
    slack_unavailable: [
        "Slack did not answer",
        "Nothing has changed. Wait a minute and try again; status.slack.com tells whether Slack has an outage.",
    ],
    channel_taken: [
        "This Slack workspace is connected to another bot already",
        "A workspace can be connected to one bot at a time. Disconnect it there first, or choose another workspace.",
    ],
    too_many_channels: [
        "This bot has as many channels as a bot can have",
        "Disconnect one that is no longer needed, or connect the workspace to another bot.",
    ],
    too_many_members: [
        "You cannot join this workspace's connection",
        "Another person connected the workspace, and it has as many members as it can have, or you have joined as many as you can. Leave one that you no longer need, or choose another workspace.",
    ],
    not_set_up: [
        "This server has no Slack app of its own",
        "Nothing has changed. You can connect by hand, with an app that you make yourself.",
    ],
    unavailable: [
        "The server could not finish the connection",
        "Something that it depends on did not answer, and nothing has changed. Try again in a minute.",
    ],
    no_bot: ["There is no bot to connect yet", "Make a bot first, then connect Slack to it."],
};

/** Title and next step for an error of Slack's callback. */
export function slackErrorOf(code) {
    const known = Object.hasOwn(SLACK_ERRORS, code) ? SLACK_ERRORS[code] : null;
    const [title, next] = known ?? [
        "Slack could not be connected",
        "Nothing has changed. Try again; if it fails again, connect by hand or ask whoever runs this server.",
    ];
    return { title, next, isKnown: known !== null };
}

/** Names of the kinds of channel. */
export function channelTypeOf(type) {
    return { slack: "Slack", discord: "Discord", feishu: "Feishu" }[type] ?? type ?? "No channel";
}

/**
 * What a channel's readiness means for a person, and what they can do about it. The checks go from the first thing that has to work
 * to the last, so that the words name the cause and not what follows from it.
 *
 * @param {{status: string}} channel
 * @param {object | null} readiness `{ready, connected, running, configured, lastError, gatewayConnected}`; `null` where it is not known
 * @returns {{tone: "good" | "wait" | "bad" | "idle", title: string, next: string}}
 */
export function readinessOf(channel, readiness, bot) {
    if (channel.status === "disconnected") {
        return say("bad", "Disconnected", "The app was removed from the workspace. Connect it again to go on.");
    }
    if (channel.status === "error") {
        return say(
            "bad",
            "Not working",
            reason(readiness).trim() ||
                `${channelTypeOf(channel.channelType)} does not accept its token any more. Connect it again to replace the token.`,
        );
    }
    if (bot?.status === "paused") {
        return say("idle", "Paused", "Its bot is paused and reads no messages. Resume the bot to go on.");
    }
    if (!readiness) return say("idle", "Unknown", "Its state could not be read. Reload the page to try again.");
    if (readiness.ready) {
        // A notice beside a channel that works, such as Slack holding back events of an app that had too many.
        const notice = reason(readiness).trim();
        return notice
            ? say("wait", "Ready, with a notice", notice)
            : say("good", "Ready", "Messages reach the bot, and it can answer.");
    }
    if (channel.status === "pending" || !readiness.connected) {
        return say("wait", "Connecting", "The connection is not finished yet. This usually takes less than a minute.");
    }
    if (!readiness.running) {
        return say(
            "bad",
            "Its pool does not run",
            `${reason(readiness)}Messages wait and are delivered once it runs. Whoever runs this server has to start it.`,
        );
    }
    if (!readiness.configured) {
        return say("wait", "Being set up", "Its pool runs and has not fetched the newest configuration yet. Wait a minute.");
    }
    if (!readiness.gatewayConnected) {
        return say(
            "wait",
            "Waiting for the gateway",
            `${reason(readiness)}Its pool is set up, and its gateway is not connected yet.`,
        );
    }
    return say("bad", "Not ready", `${reason(readiness)}Reload the page in a minute; if it stays, connect it again.`);
}

/** Whether a bot runs, from the readiness of its channels. */
export function runningOf(bot, states) {
    if (bot.status === "paused") return say("idle", "Paused", "It reads no messages until you resume it.");
    if (states.length === 0) return say("idle", "No channel yet", "Connect Slack to talk to it.");
    const bad = states.find((state) => state.tone === "bad");
    if (bad) return say("bad", bad.title, bad.next);
    const ready = states.filter((state) => state.tone === "good");
    if (ready.length === states.length) return say("good", "Running", "It is ready on all its channels.");
    return states.find((state) => state.tone !== "good");
}

function say(tone, title, next) {
    return { tone, title, next };
}

function reason(readiness) {
    const text = readiness?.lastError?.trim();
    if (!text) return "";
    return /[.!?]$/.test(text) ? `${text} ` : `${text}. `;
}
