// People with browsers in Chromium: actions, expectations, and checks for faults that no page may have.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";

import axe from "axe-core";
import puppeteer from "puppeteer-core";

export const base = process.env.PORTCULLIS_URL;
export const password = "correct horse battery";

/** An e-mail address unique among all runs against the same stack. */
export const address = (name) => `${name}-${stamp}@example.com`;

/** A bot token with a workspace and an app of its own. */
export const botToken = (name) => `xoxb-${name}-${stamp}`;

/** A word unique to the run. */
export const stamp = Date.now().toString(36);

/** Longest wait for a condition. It ends a run that hangs; no condition is expected to take as long. */
const PATIENCE_MS = 60_000;

/** Largest sum of layout shifts of a page. Source: web.dev, "Cumulative Layout Shift", the bound of "good". */
const MOST_SHIFT = 0.1;

let browser;

export async function launch() {
    browser = await puppeteer.launch({
        executablePath: process.env.CHROMIUM,
        // Chromium's sandbox refuses to run as root, as in most containers.
        args: [...(process.getuid() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage", "--disable-gpu"],
        protocolTimeout: 3 * PATIENCE_MS,
    });
}

export const quit = () => browser?.close();

/** A separate browser without cookies. */
export class Person {
    static async visit(path = "/", { width = 1280, height = 900 } = {}) {
        const person = new Person();
        person.context = await browser.createBrowserContext();
        person.page = await person.context.newPage();
        person.page.setDefaultTimeout(PATIENCE_MS);
        await person.page.setViewport({ width, height });
        person.troubles = [];
        person.page.on("pageerror", (error) => person.troubles.push(`error: ${error.message}`));
        await person.page.exposeFunction("reportTrouble", (text) => person.troubles.push(text));
        await person.page.evaluateOnNewDocument(watch);
        await person.page.goto(base + path);
        return person;
    }

    /** A signed-in person with an account, and the page at `path`. */
    static async registered(email, path = "/") {
        const person = await Person.visit("/");
        await person.sees("Sign in");
        person.email = email;
        await person.post("/api/auth/sign-up/email", { name: "Ada Lovelace", email, password });
        await person.post("/api/auth/email-otp/verify-email", { email, otp: await mailed(email, code) });
        await person.post("/api/auth/sign-in/email", { email, password });
        await person.open(path);
        return person;
    }

    /** Calls the API as the page does. */
    async request(method, path, body) {
        const [status, text] = await this.page.evaluate(
            async (method, path, body) => {
                const answer = await fetch(path, {
                    method,
                    headers: { "content-type": "application/json" },
                    body: body && JSON.stringify(body),
                });
                return [answer.status, await answer.text()];
            },
            method,
            path,
            body,
        );
        assert.ok(status < 300, `${method} ${path}: ${status} ${text}`);
        return JSON.parse(text);
    }

    post(path, body) {
        return this.request("POST", path, body);
    }

    /** Reloads the page at a path. */
    async open(path) {
        await this.page.goto("about:blank");
        await this.page.goto(base + path);
        await this.settles();
    }

    /** Waits until the page has finished loading. */
    async settles() {
        await this.page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("[aria-busy=true]"));
    }

    /** Waits until a text is shown. */
    async sees(text) {
        try {
            await this.page.waitForFunction((text) => document.body.innerText.includes(text), {}, text);
        } catch {
            assert.fail(`“${text}” is not shown, but: ${await this.text()}`);
        }
    }

    async misses(text) {
        await this.page.waitForFunction((text) => !document.body.innerText.includes(text), {}, text);
    }

    text() {
        return this.page.evaluate(() => document.body.innerText);
    }

    /** Clicks the element with this accessible name. */
    async click(name, role = "button") {
        await this.page.locator(`::-p-aria([name="${name}"][role="${role}"])`).click();
    }

    /** Replaces the content of the field with a label. */
    async write(label, text) {
        await this.page.locator(`::-p-aria([name="${label}"])`).fill(text);
    }

    value(label) {
        return this.page.$eval(`::-p-aria([name="${label}"])`, (element) => element.value);
    }

    async signIn(email = this.email, secret = password) {
        await this.write("E-mail address", email);
        await this.write("Password", secret);
        await this.click("Sign in");
    }

    /** Text of the focused element. */
    focused() {
        return this.page.evaluate(() => {
            const element = document.activeElement;
            return element.labels?.[0]?.textContent ?? element.getAttribute("aria-label") ?? element.textContent;
        });
    }

    async focuses(words) {
        try {
            await this.page.waitForFunction(
                (words) => {
                    const element = document.activeElement;
                    return (
                        (element?.labels?.[0]?.textContent ?? element?.getAttribute("aria-label") ?? element?.textContent) ===
                        words
                    );
                },
                {},
                words,
            );
        } catch {
            assert.fail(`the focus is not on “${words}” but on “${await this.focused()}”`);
        }
    }

    /** Lets `answer` reply to requests instead of the server: `null` passes a request on, `{isLost}` aborts it. */
    async intercept(answer) {
        await this.page.setRequestInterception(true);
        this.page.removeAllListeners("request");
        this.page.on("request", async (request) => {
            const reply = request.url().startsWith(base) ? await answer(request) : null;
            if (reply?.isLost) await request.abort("internetdisconnected");
            else if (reply)
                await request.respond({ contentType: "application/json", ...reply, body: JSON.stringify(reply.body) });
            else await request.continue();
        });
    }

    async pass() {
        this.page.removeAllListeners("request");
        await this.page.setRequestInterception(false);
    }

    /** Checks the page with axe, by all of its rules for WCAG 2.2 AA and its best practices. */
    async isAccessible(what) {
        await this.page.evaluate(axe.source);
        const result = await this.page.evaluate(() =>
            globalThis.axe.run(document, {
                runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
            }),
        );
        const found = result.violations.map(
            (one) => `${one.id}: ${one.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`,
        );
        assert.deepEqual(found, [], what);
    }

    /** Asserts that no part of the page is wider than the window. */
    async fits(what) {
        const [wide, room, culprits] = await this.page.evaluate(() => {
            const room = document.documentElement.clientWidth;
            const beyond = [...document.querySelectorAll("main *, header *")].filter(
                (one) => one.getBoundingClientRect().right > room + 1,
            );
            return [document.documentElement.scrollWidth, room, beyond.map((one) => one.outerHTML.slice(0, 120))];
        });
        assert.ok(wide <= room, `${what}: ${wide} px wide in ${room} px: ${culprits.slice(0, 3).join("\n")}`);
    }

    /** Asserts that the layout shifts of the page stay below the limit. */
    async isSteady(what) {
        const shift = await this.page.evaluate(() => globalThis.shifts);
        assert.ok(shift.sum < MOST_SHIFT, `${what} shifts by ${shift.sum}: ${shift.by.join(", ")}`);
    }

    async screenshot(name) {
        const folder = process.env.PORTCULLIS_SCREENSHOTS;
        if (!folder) return;
        await mkdir(folder, { recursive: true });
        await this.page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    }

    /** Closes the browser and asserts that no page had an error. */
    async leaves() {
        const troubles = this.troubles;
        await this.context.close();
        assert.deepEqual(troubles, []);
    }
}

/** Runs in each page before the page's own scripts. */
function watch() {
    document.addEventListener("securitypolicyviolation", (event) => {
        globalThis.reportTrouble(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
    globalThis.shifts = { sum: 0, by: [] };
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
            if (entry.hadRecentInput) continue;
            globalThis.shifts.sum += entry.value;
            globalThis.shifts.by.push(...entry.sources.map((source) => `${source.node?.nodeName}.${source.node?.className}`));
        }
    }).observe({ type: "layout-shift", buffered: true });
}

export const code = /^\s*(\d{6})\s*$/m;

/** First match of a pattern in the newest mail to an address. */
export async function mailed(to, pattern) {
    const mails = await (await fetch(`${base}/dev/mailbox.json`)).json();
    const mail = mails.filter((mail) => mail.to === to).findLast((mail) => pattern.test(mail.text));
    assert.ok(mail, `a mail to ${to} that has ${pattern}`);
    return mail.text.match(pattern)[1];
}

/** Calls the internal API, as a pool does. */
export async function asPool(method, path, body) {
    const answer = await fetch(`${base}/api/internal/${path}`, {
        method,
        headers: { "x-internal-token": process.env.INTERNAL_API_TOKEN, "content-type": "application/json" },
        body: JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
}
