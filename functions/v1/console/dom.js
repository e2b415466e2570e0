// DOM nodes are built by `h`: text is always a text node, so data of an API answer never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** Attributes that are set as properties, since the attribute gives only the initial value. */
const PROPERTIES = new Set(["value", "checked", "selected", "hidden", "disabled", "readOnly", "open", "indeterminate"]);

/**
 * Makes an element. `on…` attributes are event listeners; `null`, `undefined` and `false` leave an attribute or a child out.
 *
 * @param {string} tag
 * @param {Record<string, unknown>} attributes
 * @param {...unknown} children strings, nodes, or arrays of them
 */
export function h(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element, in the way of `h`. */
export function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
        else if (PROPERTIES.has(name)) element[name] = value;
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    append(element, children);
    return element;
}

function append(element, children) {
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        element.append(child instanceof Node ? child : String(child));
    }
}

/** Puts nodes in the place of everything that an element holds. */
export function replace(element, ...children) {
    element.replaceChildren();
    append(element, children);
}

let lastId = 0;

/** An id that no other element of the page has. */
export function freshId(name) {
    lastId += 1;
    return `${name}-${lastId}`;
}

/** A moment as words, with the exact time in `datetime` and on hover. */
export function timeOf(moment, words) {
    return h("time", { datetime: moment, title: new Date(moment).toLocaleString() }, words);
}

/** A link to another site: opened in its own tab, which learns nothing of this one. */
export function outwardLink(url, ...children) {
    const hidden = h("span", { class: "unseen" }, " (opens in a new tab)");
    return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...children, hidden);
}

/** Says a result in the page's live region, which is also shown for a while. */
export function announce(text) {
    const region = document.getElementById("announcer");
    region.replaceChildren();
    clearTimeout(announce.timer);
    // A change of the same text would not be read; an emptied region that is filled in the next task is.
    announce.timer = setTimeout(() => {
        region.append(h("p", {}, text));
        announce.timer = setTimeout(() => region.replaceChildren(), ANNOUNCEMENT_MS);
    }, 30);
}

/** Time that an announcement stays on the screen. It repeats what the page shows elsewhere. */
const ANNOUNCEMENT_MS = 7000;

/** Moves the keyboard's focus to an element that is no control, such as a heading. */
export function focusOn(element) {
    if (!element) return;
    if (!element.hasAttribute("tabindex")) element.setAttribute("tabindex", "-1");
    element.focus({ preventScroll: true });
}
