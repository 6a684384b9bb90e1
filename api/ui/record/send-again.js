// Send a recorded request again, edited or not, and show what came back: in a dialog, for callers who may.

import { differencesIn, partOf } from "../lib/changes.js";
import { option } from "../lib/controls.js";
import { button, el, unit } from "../lib/dom.js";
import { confirm, openDialog } from "../lib/dialog.js";
import { countOf, durationText, sizeText } from "../lib/format.js";
import { errorText, getJson, sendJson } from "../lib/api.js";

const SAFE = ["GET", "HEAD", "OPTIONS", "TRACE"];
const OWN = /^(?:host|content-length|connection|keep-alive|transfer-encoding|te|trailer|upgrade)$/i;

/** @type {Promise<{enabled: boolean, targets: string[]}> | undefined} asked once a page */
let allowed;

/** Whether the caller may send requests again, and where to. */
const mayReplay = () =>
  (allowed ??= getJson("api/replay").catch(() => ({ enabled: false, targets: [] })));

/** The button that opens the form; it appears once it is known that the caller may use it. */
export function sendAgainButton(record) {
  const open = button("Send again …", () => openForm(record), { id: "send-again", hidden: true });
  mayReplay().then(({ enabled }) => (open.hidden = !enabled || !record.request));
  return open;
}

/** What is said where there is no such button. */
export function sendAgainNote() {
  const setting = el("code", {}, "[replay] enabled = true");
  const note = el(
    "p",
    { class: "unit", id: "no-send-again", hidden: true },
    "Send again: needs ",
    setting,
    " in the configuration file, and a token of role operate or admin.",
  );
  mayReplay().then(({ enabled }) => (note.hidden = enabled));
  return note;
}

async function openForm(record) {
  const { targets } = await mayReplay();
  return openDialog("Send again", (close) => formOf(record, targets, close));
}

function formOf(record, targets, close) {
  const kept = record.request.body;
  const isText = kept === null || (kept.encoding === "utf-8" && !kept.truncated && !kept.omitted);
  const field = (name, value) =>
    el("input", { name, value, required: true, autocomplete: "off", spellcheck: "false" });
  const area = (name, rows, value) =>
    el("textarea", { name, rows, spellcheck: "false", class: "mono" }, value);
  const method = field("method", record.method ?? "GET");
  const target = field("target", record.path + (record.query === null ? "" : `?${record.query}`));
  const lines = record.request.headers.filter(([name]) => !OWN.test(name));
  const headers = area("headers", 7, lines.map(([name, value]) => `${name}: ${value}`).join("\n"));
  const body = area("body", 7, isText ? (kept?.head ?? "") : "");
  const to = el(
    "select",
    { name: "to" },
    [["", "the upstream of its route"], ...targets.map((url) => [url, url])].map(option),
  );
  const bad = el("p", { class: "bad", role: "alert" });
  const outcome = el("div", { class: "outcome", role: "status" });
  const send = el("button", { class: "primary", id: "send" }, "Send");
  const again = () => ({
    method: method.value.trim(),
    target: target.value.trim(),
    headers: pairsOf(headers.value),
    body: isText || body.value ? body.value : null,
    to: to.value,
  });
  const submit = async (event) => {
    event.preventDefault();
    bad.textContent = "";
    const asked = again();
    const warning = `${asked.method} may change something there, a second time.`;
    if (!SAFE.includes(asked.method) && !(await confirm("Send it?", warning, "Send"))) return;
    send.disabled = true;
    outcome.replaceChildren(unit("Sending"));
    try {
      const path = `api/records/${encodeURIComponent(record.id)}/send`;
      outcome.replaceChildren(...outcomeOf(await sendJson("POST", path, asked)));
    } catch (error) {
      outcome.replaceChildren();
      bad.textContent = errorText(error) ?? "";
    }
    send.disabled = false;
  };
  return el(
    "form",
    { class: "again", onsubmit: submit },
    el("label", {}, "Method", method),
    el("label", {}, "Path and query", target),
    el("label", {}, "Headers, a line each", headers),
    el(
      "label",
      {},
      isText ? "Body" : "Body; empty: as it was recorded, which cannot be shown here",
      body,
    ),
    targets.length > 0 && el("label", {}, "To", to),
    bad,
    outcome,
    el(
      "div",
      { class: "buttons end" },
      el("button", { type: "button", onclick: () => close() }, "Close"),
      send,
    ),
  );
}

/** Read lines such as `Accept: text/html`; a line without a colon is a name, which the server refuses. */
const pairsOf = (text) =>
  text
    .split("\n")
    .filter((line) => line.trim())
    .map((line) => line.split(/:(.*)/s))
    .map(([name, value = ""]) => [name.trim(), value.trim()]);

function outcomeOf({ status, duration_us: us, record: id, equal, parts, response }) {
  const differing = parts.filter((part) => !part.equal);
  const found = equal ? "no differences" : countOf(differencesIn(differing), "difference");
  return [
    el(
      "p",
      {},
      el("strong", {}, String(status)),
      ` after ${durationText(us)}: ${found} to the recorded response. `,
      id && el("a", { href: `requests?record=${encodeURIComponent(id)}` }, "Its record"),
    ),
    el(
      "div",
      { class: "compared" },
      differing.map((part) => partOf(part, ["Recorded", "Now"])),
    ),
    el("details", { open: !equal }, el("summary", {}, "Response"), shown(response)),
  ];
}

/** Write a response as text: its head, then what is kept of its body. */
function shown({ start_line: line, headers, body }) {
  const head = [line, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\n");
  const isText = body?.encoding === "utf-8" && !body.omitted;
  const content = body === null ? "" : isText ? body.head : `[${sizeText(body.size)}, no text]`;
  return el("pre", { tabindex: 0 }, `${head}\n\n${content}${body?.truncated ? " …" : ""}`);
}
