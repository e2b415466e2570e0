// Fake Discord and Feishu APIs, limited to the calls of connecting a channel: a credential that contains "bad" is
// refused, and a Discord bot token ends with its application's id.
//
// Source: Discord, "User", "Application"; Feishu, "Obtain tenant_access_token", "Get bot info".

import { createServer } from "node:http";

createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const path = new URL(request.url, "http://chats").pathname;
    const token = (request.headers.authorization ?? "").replace(/^(Bot|Bearer) /, "");
    const [status, body] = answer(path, token, Buffer.concat(chunks).toString());
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
}).listen(Number(process.argv[2]), "127.0.0.1");

function answer(path, token, text) {
    switch (path) {
        case "/discord/users/@me":
            return token.includes("bad") ? [401, { message: "401: Unauthorized", code: 0 }] : [200, { id: "900" }];
        case "/discord/applications/@me":
            return [200, { id: token.split("-").at(-1) }];
        case "/feishu/auth/v3/tenant_access_token/internal": {
            const isBad = JSON.parse(text).app_secret.includes("bad");
            return [200, isBad ? { code: 10014, msg: "app secret invalid" } : { code: 0, tenant_access_token: "t-1", expire: 7200 }];
        }
        case "/feishu/bot/v3/info":
            return [200, { code: 0, bot: { app_name: "Analytical app", open_id: "ou_1" } }];
        default:
            return [404, {}];
    }
}
