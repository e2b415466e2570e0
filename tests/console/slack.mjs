// Slack's Web API, as far as connecting a channel calls it. A token that contains "bad" is refused, one with "no-scope" lacks the right to
// be told its app, and each names a workspace and an app of its own, so that no two people of a suite connect the same.
//
// Source: Slack, "Using the Slack Web API", and the pages of `auth.test` and `bots.info`.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const answers = {
    "/api/auth.test": (id) => ({
        ok: true,
        url: "https://analytical.slack.com/",
        team: "Analytical Engines",
        user: "bot",
        team_id: `T${id}`,
        user_id: `U${id}`,
        bot_id: `B${id}`,
        is_enterprise_install: false,
    }),
    "/api/bots.info": (id) => ({
        ok: true,
        bot: { id: `B${id}`, deleted: false, name: "bot", app_id: `A${id}`, user_id: `U${id}` },
    }),
};

/** Error for a token that a test has made for it. */
function refused(path, token) {
    if (token.includes("bad")) return "invalid_auth";
    return token.includes("no-scope") && path.startsWith("/api/bots.info") ? "missing_scope" : null;
}

createServer((request, response) => {
    request.resume();
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const id = createHash("sha256").update(token).digest("hex").slice(0, 9).toUpperCase();
    const answer = answers[new URL(request.url, "http://slack").pathname];
    const refusal = refused(request.url, token) ?? (answer ? null : "unknown_method");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(refusal ? { ok: false, error: refusal } : answer(id)));
}).listen(Number(process.argv[2]), "127.0.0.1");
