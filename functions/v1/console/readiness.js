// What a channel's readiness means for a person, and what they can do about it: pure functions, without the DOM.
//
// The readiness is `{ready, connected, running, configured, lastError, gatewayConnected}`. The checks go from the first thing that
// has to work to the last, so that the words name the cause and not what follows from it.

/**
 * @param {{status: string}} channel
 * @param {object | null} readiness `null` where it is not known
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
            reason(readiness).trim() || "Slack does not accept its token any more. Connect it again to replace the token.",
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
