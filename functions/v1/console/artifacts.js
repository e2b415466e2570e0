// Artifacts: what bots have made, such as pages that they have deployed.

import * as api from "./api.js";
import { fact } from "./bots.js";
import { announce, h, outwardLink, timeOf } from "./dom.js";
import { ask } from "./form.js";
import { empty, filteredList, loaded, pill, refocus } from "./parts.js";
import { ago, count, duration, webUrl } from "./words.js";

const STATUS = {
    building: ["wait", "Building"],
    live: ["good", "Live"],
    failed: ["bad", "Failed"],
    stopped: ["idle", "Stopped"],
};

/** Page with all artifacts. */
export function artifacts({ query, signal }) {
    const numbers = () => loaded(signal, "the numbers", () => api.get("/v1/artifacts/stats", { signal }), statistics);
    const place = h("div", { class: "numbers-place" }, numbers());
    return {
        title: "Artifacts",
        lead: "What your bots have made: code, texts, and pages that they have deployed.",
        content: [
            place,
            filteredList({
                signal,
                query,
                path: "/artifacts",
                source: "/v1/artifacts",
                key: "artifacts",
                noun: "artifact",
                item: (artifact, nameOf, again) =>
                    item(artifact, nameOf, async () => {
                        await again();
                        place.replaceChildren(numbers());
                    }),
                whenEmpty: () =>
                    empty("Nothing made yet", "When a bot makes something for you and reports it, it is listed here."),
            }),
        ],
    };
}

function statistics(stats) {
    return h(
        "dl",
        { class: "numbers" },
        fact("All", stats.totalArtifacts.toLocaleString("en")),
        fact("Live", stats.liveCount.toLocaleString("en")),
        fact("Building", stats.buildingCount.toLocaleString("en")),
        fact("Failed", stats.failedCount.toLocaleString("en")),
        fact("Lines of code", stats.totalLinesOfCode.toLocaleString("en")),
    );
}

function item(artifact, nameOf, again) {
    const [tone, words] = STATUS[artifact.status] ?? ["idle", artifact.status];
    // Any other scheme, such as `javascript:`, is shown as text and is no link.
    const url = webUrl(artifact.previewUrl);
    const remove = h(
        "button",
        {
            type: "button",
            class: "quiet danger-text",
            "aria-label": `Delete ${artifact.title}`,
            async onclick() {
                if (!(await confirmDeletion(artifact))) return;
                await again();
                refocus();
                announce(`${artifact.title} is deleted.`);
            },
        },
        "Delete",
    );
    return [
        h("div", { class: "row-head" }, h("span", { class: "row-title" }, artifact.title), pill(tone, words)),
        artifact.previewUrl && h("p", { class: "row-link" }, url ? outwardLink(url, url) : h("code", {}, artifact.previewUrl)),
        h(
            "div",
            { class: "row-foot" },
            h(
                "p",
                { class: "row-facts" },
                h("span", {}, nameOf(artifact.botId)),
                artifact.artifactType && h("span", {}, artifact.artifactType),
                artifact.deployTarget && h("span", {}, artifact.deployTarget),
                artifact.fileCount !== null && h("span", {}, count(artifact.fileCount, "file")),
                artifact.linesOfCode !== null && h("span", {}, count(artifact.linesOfCode, "line")),
                artifact.durationMs !== null && h("span", {}, "took ", duration(artifact.durationMs)),
                h("span", {}, timeOf(artifact.updatedAt, ago(artifact.updatedAt))),
            ),
            remove,
        ),
    ];
}

function confirmDeletion(artifact) {
    return ask({
        title: "Delete this artifact?",
        text: `“${artifact.title}” is removed from this list. What was deployed elsewhere stays there. This cannot be undone.`,
        action: "Delete",
        busy: "Deleting…",
        refusal: "Keep it",
        tone: "danger",
        run: () => api.call("DELETE", `/v1/artifacts/${encodeURIComponent(artifact.id)}`),
    });
}
