// Times three calls: an action with a connected account, the same call directly to the fake Composio, and the list of a
// person's accounts.
// `PORTCULLIS_URL=http://127.0.0.1:8787 node tests/benches/composio.mjs`, against a `cargo local --demo` of the release
// profile, with DEMO_PASSWORD, DEMO_COMPOSIO_API_KEY and SKILL_API_TOKEN of its `.local/dev.env` in the environment. No
// figure makes it fail.

const base = process.env.PORTCULLIS_URL ?? "http://127.0.0.1:8787";
const { DEMO_PASSWORD: password, DEMO_COMPOSIO_API_KEY: key, SKILL_API_TOKEN: token } = process.env;
const calls = 500;

async function call(method, path, { headers = {}, body } = {}) {
    const answer = await fetch(base + path, {
        method,
        redirect: "manual",
        headers: { origin: base, ...(body && { "content-type": "application/json" }), ...headers },
        body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return { headers: answer.headers, json: text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null };
}

const cookieOf = (answer) => answer.headers.getSetCookie()[0].split(";")[0];

async function times(make) {
    const taken = [];
    for (let index = 0; index < calls; index += 1) {
        const start = performance.now();
        await make();
        taken.push(performance.now() - start);
    }
    taken.sort((a, b) => a - b);
    const at = (share) => taken[Math.floor(taken.length * share)].toFixed(2);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (${calls} calls)`;
}

const session = cookieOf(await call("POST", "/api/auth/sign-in/email", { body: { email: "demo@example.com", password } }));
const list = (await call("GET", "/v1/integrations", { headers: { cookie: session } })).json.integrations;
if (list[0].status !== "active") {
    const begun = await call("POST", "/v1/integrations/connect", { headers: { cookie: session }, body: { toolkitSlug: "gmail" } });
    await fetch(begun.json.connectUrl, { method: "POST", body: "decision=allow", redirect: "manual" });
    const refresh = `/v1/integrations/${begun.json.integration.id}/refresh`;
    await call("POST", refresh, { headers: { cookie: session }, body: { state: begun.json.state } });
}
const action = "GMAIL_SEND_EMAIL";
const executed = { botId: "bot-demo", action, params: { to: "eve@example.com" } };
const direct = { user_id: "nexu_user-demo", version: "latest", arguments: executed.params };
const throughUs = () =>
    call("POST", "/api/internal/composio/execute", { headers: { "x-internal-token": token }, body: executed });
const toStandIn = () =>
    call("POST", `/dev/composio/api/v3.1/tools/execute/${action}`, { headers: { "x-api-key": key }, body: direct });
for (let round = 0; round < 3; round += 1) {
    console.log(`to the stand-in  ${await times(toStandIn)}`);
    console.log(`through us       ${await times(throughUs)}`);
}
console.log(`GET /v1/integrations  ${await times(() => call("GET", "/v1/integrations", { headers: { cookie: session } }))}`);
