// Times people's requests while others sign in: `PORTCULLIS_URL=http://127.0.0.1:8787 node tests/benches/people.mjs`,
// against a `cargo local` of the release profile. No figure makes it fail.

import { Agent, request } from "node:http";

const base = process.env.PORTCULLIS_URL ?? "http://127.0.0.1:8787";
const password = "correct horse battery";
const signIns = 8;

/** Makes a call and returns its status, headers and text. */
function call(agent, method, path, { cookie, body } = {}) {
    const headers = { origin: base, ...(cookie && { cookie }), ...(body && { "content-type": "application/json" }) };
    return new Promise((resolve, reject) => {
        const sent = request(base + path, { agent, method, headers }, (answer) => {
            const parts = [];
            answer.on("data", (part) => parts.push(part));
            answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(parts).toString() }));
        });
        sent.on("error", reject);
        sent.end(body && JSON.stringify(body));
    });
}

const connection = () => new Agent({ keepAlive: true, maxSockets: 1 });

async function signIn(agent, email) {
    const answer = await call(agent, "POST", "/api/auth/sign-in/email", { body: { email, password } });
    if (answer.status !== 200) throw new Error(`sign-in: ${answer.status} ${answer.text}`);
    return answer.headers["set-cookie"][0].split(";")[0];
}

async function register(email) {
    const agent = connection();
    await call(agent, "POST", "/api/auth/sign-up/email", { body: { name: "Ada", email, password } });
    const mails = JSON.parse((await call(agent, "GET", "/dev/mailbox.json")).text);
    const otp = mails.findLast((mail) => mail.to === email).text.match(/^\s*(\d{6})\s*$/m)[1];
    await call(agent, "POST", "/api/auth/email-otp/verify-email", { body: { email, otp } });
    return signIn(agent, email);
}

/** Times `count` sequential calls, in milliseconds. */
async function times(count, make) {
    const taken = [];
    for (let index = 0; index < count; index += 1) {
        const start = performance.now();
        await make();
        taken.push(performance.now() - start);
    }
    return taken.sort((a, b) => a - b);
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(2);
const shown = (sorted) => `p50 ${at(sorted, 0.5)} ms, p99 ${at(sorted, 0.99)} ms (${sorted.length} calls)`;

const run = Date.now();
const emails = Array.from({ length: signIns }, (_, index) => `person-${index}-${run}@example.com`);
const cookies = [];
for (const email of emails) cookies.push(await register(email));
const [cookie] = cookies;

const agent = connection();
const measured = {
    "GET /health": () => call(agent, "GET", "/health"),
    "GET /v1/me": () => call(agent, "GET", "/v1/me", { cookie }),
};
for (const make of Object.values(measured)) await times(200, make);
console.log(`sign-in alone: ${shown(await times(30, () => signIn(agent, emails[0])))}`);
for (const [name, make] of Object.entries(measured)) console.log(`${name}, quiet: ${shown(await times(1000, make))}`);

let storming = true;
let done = 0;
const storm = emails.map(async (email) => {
    const own = connection();
    while (storming) {
        await signIn(own, email);
        done += 1;
    }
});
const started = performance.now();
for (const [name, make] of Object.entries(measured)) {
    console.log(`${name}, while ${signIns} sign in without pause: ${shown(await times(1000, make))}`);
}
storming = false;
await Promise.all(storm);
console.log(`sign-ins meanwhile: ${(done / ((performance.now() - started) / 1000)).toFixed(1)} a second`);

for (const connections of [1, 32]) {
    const until = performance.now() + 5000;
    let count = 0;
    const one = async () => {
        const own = connection();
        while (performance.now() < until) {
            await call(own, "GET", "/v1/me", { cookie });
            count += 1;
        }
    };
    await Promise.all(Array.from({ length: connections }, one));
    console.log(`GET /v1/me with ${connections} connections: ${Math.round(count / 5)} a second`);
}
process.exit(0);
