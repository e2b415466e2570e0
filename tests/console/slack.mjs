// Slack's Web API, as far as connecting a channel calls it. A token that contains "bad" is refused, one with "no-scope" lacks the right to
// be told its app, and each names a workspace and an app of its own, so that no two people of a suite connect the same.
//
// Source: Slack, "Using the Slack Web API", and the pages of `auth.test` and `bots.info`.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

const answers = {
    "/api/auth.test": (id) => ({
        ok: true, url: "https://analytical.slack.com/", team: "Analytical Engines", user: "bot", team_id: `T${id}`, user_id: `U${id}`,
        bot_id: `B${id}`, is_enterprise_install: false,
    }),
    "/api/bots.info": (id) => ({ ok: true, bot: { id: `B${id}`, deleted: false, name: "bot", app_id: `A${id}`, user_id: `U${id}` } }),
};

createServer((request, response) => {
    request.resume();
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const id = createHash("sha256").update(token).digest("hex").slice(0, 9).toUpperCase();
    const answer = answers[new URL(request.url, "http://slack").pathname];
    const isScopeMissing = token.includes("no-scope") && request.url.startsWith("/api/bots.info");
    const body = !answer ? { ok: false, error: "unknown_method" } : token.includes("bad") ? { ok: false, error: "invalid_auth" } : isScopeMissing ? { ok: false, error: "missing_scope", needed: "users:read" } : answer(id);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
}).listen(Number(process.argv[2]), "127.0.0.1");
