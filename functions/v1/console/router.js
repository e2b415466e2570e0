// Hash routes. The page's path is the server's; everything behind `#` is the console's: `#/bots/B1?tab=…`.

/** Path and query of a hash; anything that is no route leads to the start. */
export function parse(hash) {
    const text = hash.startsWith("#/") ? hash.slice(1) : "/";
    const at = text.indexOf("?");
    const path = at < 0 ? text : text.slice(0, at);
    return { path: path.replace(/(.)\/+$/, "$1"), query: new URLSearchParams(at < 0 ? "" : text.slice(at + 1)) };
}

/** The route of a path, with the values of its `:name` segments; `null` where none matches. */
export function match(routes, path) {
    const segments = path.split("/");
    for (const route of routes) {
        const wanted = route.path.split("/");
        if (wanted.length !== segments.length) continue;
        const params = {};
        const fits = wanted.every((part, index) => {
            if (!part.startsWith(":")) return part === segments[index];
            const value = decoded(segments[index]);
            params[part.slice(1)] = value;
            return Boolean(value);
        });
        if (fits) return { route, params };
    }
    return null;
}

function decoded(segment) {
    try {
        return decodeURIComponent(segment);
    } catch {
        return null;
    }
}

/** Hash of a route, with the query's values that are not empty. */
export function hashOf(path, query = {}) {
    const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const text = new URLSearchParams(kept).toString();
    return `#${path}${text ? `?${text}` : ""}`;
}

/** Goes to a route, also to the one that is shown. */
export function go(path, query) {
    const hash = hashOf(path, query);
    if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = hash;
}

/** Goes to a route in the place of the one that is shown, so that "back" does not come back to it. */
export function goInstead(path, query) {
    history.replaceState(null, "", hashOf(path, query));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
}
