// The tool calls of an exchange: arguments over result, each with its way to the MCP logs.

import { el, gradeMark, unit } from "../lib/dom.js";
import { durationText, jsonText } from "../lib/format.js";
import { marked } from "./redaction.js";

/** What is known of why a call failed, without the frame around it. */
export const toolError = ({ error_details: details }) => details?.error ?? details;

export function toolsTab(record) {
  return record.tools.map((call) =>
    el(
      "section",
      { class: "tool-call" },
      el(
        "h3",
        { class: "part" },
        el("span", { class: call.status === "error" ? "error" : "" }, gradeMark()),
        el("code", {}, call.tool_name),
        " ",
        unit(
          [
            call.server_label,
            call.status,
            call.latency === null ? "" : durationText(Math.round(call.latency * 1000)),
          ]
            .filter(Boolean)
            .join(" · "),
        ),
        " ",
        el(
          "a",
          {
            href: `mcp-logs?tool_names=${encodeURIComponent(call.tool_name)}&period=30d&open=${encodeURIComponent(call.id)}`,
          },
          "Open in MCP logs",
        ),
      ),
      block("Arguments", call.arguments),
      block("Result", call.result),
      call.error_details && block("Error", toolError(call)),
    ),
  );
}

function block(title, value) {
  const text = jsonText(value);
  return el(
    "div",
    { class: "tool-part" },
    el("p", { class: "unit" }, title),
    el("pre", { tabindex: 0 }, marked(text)),
  );
}
