// Exports rows of a database made by better-auth itself, one JSON object per line: a person with a verified address and
// one without.

import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";

const database = { user: [], account: [], session: [], verification: [] };
const auth = betterAuth({
    baseURL: "http://127.0.0.1:3000",
    secret: "a-secret-of-this-suite-that-signs-nothing-else",
    database: memoryAdapter(database),
    emailAndPassword: { enabled: true },
    logger: { disabled: true },
    telemetry: { enabled: false },
});
for (const name of ["moved", "unverified"]) {
    await auth.api.signUpEmail({ body: { name, email: `${name}@example.com`, password: "an old password 42" } });
}
database.user.find((user) => user.name === "moved").emailVerified = true;
for (const row of [...database.account, ...database.user]) console.log(JSON.stringify(row));
