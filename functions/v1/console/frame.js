// The frame around every page: brand, navigation, heading, and the place for the page itself.

import { postPublic } from "./api.js";
import { announce, focusOn, freshId, h, replace, svg } from "./dom.js";
import { problem } from "./parts.js";
import { go } from "./router.js";
import { dropAllDrafts, forget, user } from "./session.js";

const PAGES = [
    ["/", "Start"],
    ["/bots", "Bots"],
    ["/channels", "Channels"],
    ["/integrations", "Integrations"],
    ["/conversations", "Conversations"],
    ["/artifacts", "Artifacts"],
    ["/account", "Account"],
];

/** The gate that is the brand's sign. */
export function sign() {
    return svg(
        "svg",
        { viewBox: "0 0 32 32", class: "sign", "aria-hidden": "true", focusable: "false" },
        svg("rect", { width: 32, height: 32, rx: 7 }),
        svg("path", { d: "M9 25V14a7 7 0 0 1 14 0v11M16 7v18M9 15h14M9 20.5h14" }),
    );
}

/**
 * Shows a page.
 *
 * @param {{title: string, lead?: unknown, actions?: unknown[], content: unknown}} page
 * @param {{nav?: string, isBare: boolean, isFirst: boolean}} how `isBare`: without navigation, for who is not signed in;
 *     `isFirst`: the focus stays where the browser put it, as at the start of any page
 */
export function show(page, { nav, isBare, isFirst }) {
    document.title = `${page.title} – Portcullis`;
    const heading = h("h1", { tabindex: "-1" }, page.title);
    const head = [
        h("div", { class: "heading" }, heading, page.actions && h("div", { class: "actions" }, page.actions)),
        page.lead && h("p", { class: "lead" }, page.lead),
    ];
    const main = h("main", { id: "main", class: isBare ? "gate" : "page" }, head, page.content);
    const root = document.getElementById("console");
    if (isBare) {
        const brand = h("header", { class: "gate-brand" }, h("a", { href: "/#/", class: "brand" }, sign(), "Portcullis"));
        replace(root, brand, main);
    } else {
        const skip = h(
            "a",
            {
                href: "#main",
                class: "skip",
                onclick: (event) => {
                    event.preventDefault();
                    focusOn(heading);
                },
            },
            "Skip to the content",
        );
        replace(root, skip, h("div", { class: "frame" }, banner(nav), main));
    }
    window.scrollTo(0, 0);
    if (!isFirst) focusOn(heading);
}

function banner(nav) {
    const id = freshId("nav");
    const links = PAGES.map(([path, words]) =>
        h("li", {}, h("a", { href: `#${path}`, "aria-current": nav === path && "page" }, words)),
    );
    const menu = h(
        "button",
        {
            type: "button",
            class: "menu",
            "aria-expanded": "false",
            "aria-controls": id,
            onclick() {
                const isOpen = menu.getAttribute("aria-expanded") === "true";
                menu.setAttribute("aria-expanded", String(!isOpen));
            },
        },
        "Menu",
    );
    const leave = h("button", { type: "button", class: "leave", onclick: () => signOut(leave) }, "Sign out");
    const who = h(
        "div",
        { class: "who" },
        h("p", { class: "name" }, user()?.name),
        h("p", { class: "email" }, user()?.email),
        leave,
    );
    return h(
        "header",
        { class: "banner" },
        h("div", { class: "bar" }, h("a", { href: "/#/", class: "brand" }, sign(), "Portcullis"), menu),
        h("div", { class: "drawer", id }, h("nav", { "aria-label": "Main" }, h("ul", {}, links)), who),
    );
}

/** Ends the session of this browser. */
async function signOut(button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
        await postPublic("sign-out", {});
        forget();
        dropAllDrafts();
        go("/sign-in");
        announce("You are signed out.");
    } catch (failure) {
        button.setAttribute("aria-disabled", "false");
        document.querySelector("main .problem.sign-out")?.remove();
        const box = problem(failure, "You are still signed in.");
        box.classList.add("sign-out");
        document.getElementById("main").prepend(box);
    }
}
