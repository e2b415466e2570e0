// Times the console's first paint in Chromium, without and with a cache: `PORTCULLIS_URL=http://127.0.0.1:8787
// CHROMIUM=/usr/bin/chromium node first_paint.mjs`, after `npm ci`, against a `cargo local` of the release profile. No
// figure makes it fail.

import puppeteer from "puppeteer-core";

const base = process.env.PORTCULLIS_URL ?? "http://127.0.0.1:8787";
const visits = 20;

const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...(process.getuid() === 0 ? ["--no-sandbox"] : []), "--disable-dev-shm-usage", "--disable-gpu"],
});

/** Time from the start of the navigation to the first painted text or image, in milliseconds. */
async function firstContentfulPaint(page) {
    await page.goto(base);
    return page.evaluate(
        () =>
            new Promise((resolve) => {
                new PerformanceObserver((list) => {
                    const [paint] = list.getEntriesByName("first-contentful-paint");
                    if (paint) resolve(paint.startTime);
                }).observe({ type: "paint", buffered: true });
            }),
    );
}

async function report(name, visit) {
    const taken = [];
    for (let index = 0; index < visits; index += 1) taken.push(await visit());
    taken.sort((a, b) => a - b);
    const at = (share) => Math.round(taken[Math.floor((taken.length - 1) * share)]);
    console.log(`${name}: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms (${visits} visits)`);
}

await report("first paint, new to the browser", async () => {
    const context = await browser.createBrowserContext();
    const paint = await firstContentfulPaint(await context.newPage());
    await context.close();
    return paint;
});
const page = await browser.newPage();
await page.goto(base);
await report("first paint, visited before", () => firstContentfulPaint(page));
await browser.close();
