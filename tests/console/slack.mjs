// Fake Slack Web API and consent page, limited to the calls of connecting a channel. The page consents at once, and
// every person who installs the app belongs to one workspace.
//
// Connecting by hand: a token that contains "bad" is refused, and one that contains "no-scope" may not look up its app.
// Each token has a workspace and an app of its own, so that no two people of a suite connect the same one.
//
// Source: Slack, "Using the Slack Web API", "Installing with OAuth", and the pages of `auth.test`, `bots.info` and
// `oauth.v2.access`.

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
    "/api/oauth.v2.access": () => ({
        ok: true,
        access_token: "xoxb-of-the-platforms-app",
        token_type: "bot",
        scope: "chat:write",
        bot_user_id: "U0PLATFORM",
        app_id: "A0PLATFORM",
        team: { id: "T0ENGINES", name: "Difference Engines" },
        enterprise: null,
        is_enterprise_install: false,
        authed_user: { id: "U0PERSON" },
    }),
};

/** Address that the consent page redirects the browser to. */
function consent(query) {
    const back = new URL(query.get("redirect_uri"));
    back.search = new URLSearchParams({ code: "a-code", state: query.get("state") });
    return back.href;
}

/** Error for a test's invalid token, or null. */
function refused(path, token) {
    if (token.includes("bad")) return "invalid_auth";
    return token.includes("no-scope") && path.startsWith("/api/bots.info") ? "missing_scope" : null;
}

createServer((request, response) => {
    request.resume();
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const url = new URL(request.url, "http://slack");
    if (url.pathname === "/oauth/v2/authorize") {
        response.writeHead(302, { location: consent(url.searchParams) });
        response.end();
        return;
    }
    const id = createHash("sha256").update(token).digest("hex").slice(0, 9).toUpperCase();
    const answer = answers[url.pathname];
    const refusal = refused(request.url, token) ?? (answer ? null : "unknown_method");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(refusal ? { ok: false, error: refusal } : answer(id)));
}).listen(Number(process.argv[2]), "127.0.0.1");
