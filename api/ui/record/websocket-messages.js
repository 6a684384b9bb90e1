// The messages of a WebSocket session, both directions on one line of time. They share the trace of their exchange.

import { button, el, unit } from "../lib/dom.js";
import { durationText, moment, sizeText } from "../lib/format.js";
import { getJson, errorText } from "../lib/api.js";
import { bytesOf, hexLines } from "./hex.js";
import { marked } from "../lib/redaction.js";

const PAGE = 200;

export function messagesTab(record, signal) {
  const body = el("tbody", { id: "messages" });
  const note = el("p", { class: "unit" }, "Loading messages");
  const more = button("Load more messages", () => read(), { hidden: true });
  let cursor = null,
    number = 0;

  async function read() {
    more.disabled = true;
    const trace = record.trace_id ?? record.id.replaceAll("-", "");
    try {
      const answer = await getJson(
        "/api/records",
        { kind: "event", trace_id: trace, order: "asc", limit: PAGE, ...(cursor && { cursor }) },
        signal,
      );
      const messages = answer.records.filter((event) => event.name === "websocket_message");
      number += messages.length;
      cursor = answer.next_cursor;
      body.append(...messages.map((event) => row(event, record)));
      note.textContent = number
        ? `${number} messages${cursor ? " so far" : ""}`
        : "No messages were kept";
      more.hidden = cursor === null;
    } catch (error) {
      note.textContent = errorText(error) ?? "";
    }
    more.disabled = false;
  }

  read();
  return [
    note,
    el(
      "table",
      { class: "frames messages" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["At", "Direction", "Kind", "Size", "Message"].map((name) =>
            el("th", { scope: "col" }, name),
          ),
        ),
      ),
      body,
    ),
    more,
  ];
}

function row(event, record) {
  const data = event.data ?? {};
  const isIn = data.direction === "in";
  const content =
    data.text ??
    (data.base64 !== undefined
      ? hexLines(bytesOf(data.base64).slice(0, 64))
      : data.code
        ? `code ${data.code}`
        : "not readable");
  return el(
    "tr",
    { class: isIn ? "in" : "out" },
    el(
      "td",
      { title: moment(event.started_at_us).title },
      durationText(Math.max(0, event.started_at_us - record.started_at_us)),
    ),
    el("td", {}, isIn ? "↑ in" : "↓ out"),
    el("td", {}, data.opcode ?? "–"),
    el("td", {}, sizeText(data.size ?? null)),
    el("td", { class: "data" }, marked(content), data.truncated && unit(" cut")),
  );
}
