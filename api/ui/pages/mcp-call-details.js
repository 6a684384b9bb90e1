// What an open row of the MCP logs shows: arguments and result side by side, and what is known of the call.

import { copyButton } from "../lib/controls.js";
import { el, sectionHead } from "../lib/dom.js";
import { durationText, jsonText } from "../lib/format.js";
import { marked } from "../record/redaction.js";
import { toolError } from "../record/tool-calls.js";

/** The error code of a call, wherever its details hold it. */
export const errorCode = ({ error_details: details }) =>
  details?.error?.type ?? details?.error?.code ?? details?.code ?? details?.type;

function block(title, value, code = null) {
  const text = jsonText(value);
  const chip = code && el("code", { class: "chip error" }, String(code));
  return el(
    "section",
    {},
    sectionHead(
      [title, " ", chip],
      "",
      copyButton("Copy", () => text),
    ),
    el("pre", { tabindex: 0 }, marked(text)),
  );
}

const factsOf = ({ metadata, llm_request_id: llmRequest, latency }) => [
  ["Method", metadata?.method],
  ["Protocol", metadata?.protocol_version],
  ["Transport", metadata?.transport],
  ["JSON-RPC id", metadata?.rpc_id],
  ["Session", metadata?.session && `#${String(metadata.session).slice(0, 8)}`],
  ["Result type", metadata?.result_type],
  ["LLM request", llmRequest],
  ["Latency", latency === null ? null : durationText(latency * 1000)],
];

export function callDetails(log) {
  const record = log.metadata?.record_id ?? String(log.id).replace(/\.\d+$/, "");
  const code = log.error_details ? (errorCode(log) ?? "error") : null;
  const facts = factsOf(log).filter(([, value]) => value !== null && (value ?? "") !== "");
  return el(
    "div",
    { class: "call-details" },
    block("Arguments", log.arguments),
    el("div", {}, block("Result", log.result, code), code && block("Error", toolError(log))),
    el(
      "section",
      {},
      sectionHead("Call"),
      el(
        "dl",
        { class: "facts" },
        facts.map(([name, value]) => [
          el("dt", {}, name),
          el("dd", { class: "mono" }, String(value)),
        ]),
      ),
      el("a", { href: `requests?record=${encodeURIComponent(record)}` }, "Open the HTTP record"),
    ),
  );
}
