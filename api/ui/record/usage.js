// Tokens and cost of an LLM call: one bar of patterns, its parts, closed by a double rule under the cost.

import { el, unit } from "../lib/dom.js";
import { count, countOf, money } from "../lib/format.js";

const STATES = {
  __proto__: null,
  exact: "exact, as reported by the provider",
  partial: "partial: the stream ended early, so more may have been used",
  lost: "lost: the part with the counts was not captured",
  absent: "no usage reported",
  later: "not known yet: counted with the exchange that shows the result",
};

/** How far the counts can be trusted; many clients do not ask for them where a stream has them only then. */
function stateText({ usage_state: state, stream, path, status }) {
  const text = STATES[state] ?? state;
  if (state !== "absent" || status >= 400) return text;
  const isSilent = stream?.end === "complete" && path?.endsWith("/completions");
  return isSilent ? `${text}: a stream has it where stream_options.include_usage is set` : text;
}

/** Where the cost comes from, and what it does not include. */
function costNote(record) {
  const lacks = record.usage?.cost_lacks;
  if (!record.price_source) return "";
  if (record.price_source === "reported") return "as the provider stated";
  return `computed, ${record.price_source}${lacks?.length ? `: no price of ${lacks.join(", ")}` : ""}`;
}

/** The parts of a call's tokens: [kind, label, number], inputs first. */
function tokenParts(record) {
  const input = record.input_tokens ?? 0,
    output = record.output_tokens ?? 0;
  const cached = record.cache_read_tokens ?? 0,
    written = record.cache_write_tokens ?? 0,
    thinking = record.reasoning_tokens ?? 0;
  return {
    input: [
      ["cached", "from cache", cached],
      ["written", "written to cache", written],
      ["fresh", "new", Math.max(0, input - cached - written)],
    ],
    output: [
      ["thinking", "thinking", thinking],
      ["visible", "visible", Math.max(0, output - thinking)],
    ],
  };
}

/** Where the call was made whose answer this record shows, and where its own is shown. */
function origin({ begun_by: begun, answered_by: answers }) {
  const sentence = (words, id) => {
    const href = `requests?record=${encodeURIComponent(id)}`;
    return el("p", { class: "unit" }, words, " ", el("a", { href }, "another exchange"), ".");
  };
  return [
    ...(begun ? [sentence("The call was begun by", begun)] : []),
    ...(answers ?? []).map((id) => sentence("It is counted with", id)),
  ];
}

/** `9 in · 30 out · $0.0003` */
const sumOf = ({ input_tokens: input, output_tokens: output, cost_usd: cost }) => [
  `${input === null ? "–" : count(input)} in · ${output === null ? "–" : count(output)} out · `,
  money(cost),
];

/** The sum of a WebSocket session with a model. */
function session(sum) {
  const { calls, model, complete } = sum;
  const of = unit(` of ${countOf(calls, "call")} of ${model ?? "an unknown model"}`);
  const state = complete ? "" : "some messages were not seen: there may be more";
  return el(
    "section",
    { class: "usage" },
    el("p", {}, el("strong", {}, "Usage "), sumOf(sum), of),
    state && el("p", { class: "unit" }, state),
  );
}

let isUnfolded = false; // kept for the next record

/** One line that tells the sum; the parts are a click away. */
function folded(summary, ...parts) {
  const made = el(
    "details",
    { open: isUnfolded },
    el("summary", {}, el("strong", {}, "Usage "), summary),
    parts,
  );
  made.addEventListener("toggle", () => (isUnfolded = made.open));
  return made;
}

export function usage(record) {
  if (record.kind === "exchange" && record.data?.llm) return [session(record.data.llm)];
  if (!record.usage_state && !record.begun_by) return [];
  const state = record.usage_state;
  const title = state
    ? el("h3", {}, "Usage ", unit(stateText(record)))
    : el("h3", {}, "Answer ", unit("shown again, or not of a model: nothing is counted here"));
  if (!record.provider || (record.input_tokens === null && record.output_tokens === null))
    return [el("section", { class: "usage" }, title, origin(record))];
  const parts = tokenParts(record);
  const bar = el(
    "div",
    { class: "usage-bar", "aria-hidden": "true" },
    [...parts.input, ...parts.output]
      .filter(([, , number]) => number > 0)
      .map(([kind, , number]) => {
        const part = el("span", { class: "use " + kind });
        part.style.flexGrow = number;
        return part;
      }),
  );
  const line = (name, note, number, kind = "") =>
    el(
      "div",
      { class: kind },
      el("dt", {}, name),
      el("dd", { class: "unit" }, note),
      el("dd", { class: "figure" }, number),
    );
  const group = (name, total, list) => [
    line(name, "", total === null ? "–" : count(total), "group"),
    list
      .filter(([, , number]) => number > 0)
      .map(([kind, label, number]) =>
        line(
          [el("span", { class: "use key " + kind, "aria-hidden": "true" }), label],
          "",
          count(number),
        ),
      ),
  ];
  const finish = record.finish_reason;
  return [
    el(
      "section",
      { class: "usage" },
      origin(record),
      folded(
        [sumOf(record), unit(` ${stateText(record)}`)],
        bar,
        el(
          "dl",
          {},
          group("Input", record.input_tokens, parts.input),
          group("Output", record.output_tokens, parts.output),
          Object.entries(record.usage?.meters ?? {}).map(([name, number]) =>
            line(name.replaceAll("_", " "), "", count(number)),
          ),
          record.usage?.service_tier && line("Tier", "", record.usage.service_tier),
          record.called_tools?.length && line("Tools called", "", record.called_tools.join(", ")),
          record.failed_tools?.length && line("Tools failed", "", record.failed_tools.join(", ")),
          finish && line("Finish", "", finish),
          line("Cost", costNote(record), money(record.cost_usd), "sum"),
        ),
      ),
    ),
  ];
}
