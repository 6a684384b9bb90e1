// Two records side by side: what differs, part by part. The address names both; with `b` alone, the first is the last
// success of its endpoint, which then joins the address.

import { address, change } from "../lib/address.js";
import { ApiError, errorText, getJson, toQuery } from "../lib/api.js";
import { differencesIn, partOf, wordsOf } from "../lib/changes.js";
import { button, el, gradeMark, sectionHead, table, unit } from "../lib/dom.js";
import {
  count,
  countOf,
  durationText,
  grade,
  moment,
  money,
  queryText,
  sizeText,
  targetText,
} from "../lib/format.js";
import { readChat } from "../chat/read.js";
import { LatestRead } from "../lib/latest-read.js";
import { chatComparison } from "./compare-chat.js";

export class Page {
  constructor(main, signal) {
    this.reads = new LatestRead(signal);
    this.question = null;
    this.status = el("p", { class: "compare-result", role: "status" });
    this.host = el("div", { class: "compared" });
    const swap = () => change({ a: address().b, b: address().a }, { isStep: false });
    this.swap = button("Swap sides", swap, { id: "swap" });
    main.append(
      el("div", { class: "page-head" }, el("h1", {}, "Compare"), this.swap),
      this.status,
      this.host,
    );
    const [down, up] = [() => this.move(1), () => this.move(-1)];
    this.keys = { j: down, ArrowDown: down, k: up, ArrowUp: up };
  }

  async onAddress() {
    const { a, b } = address();
    if (this.question === `${a} ${b}`) return;
    this.question = `${a} ${b}`;
    const signal = this.reads.next();
    this.swap.hidden = true;
    this.host.replaceChildren();
    this.status.textContent = "Comparing";
    try {
      if (!b) throw new ApiError(400, { detail: "choose two records in Requests" });
      if (!a) return await this.findSuccess(b, signal);
      const path = `api/records/${encodeURIComponent(a)}/compare/${encodeURIComponent(b)}`;
      const found = await getJson(path, {}, signal);
      const chat = await readChats(found, signal);
      if (!signal.aborted) this.draw(found, chat);
    } catch (error) {
      const text = errorText(error);
      if (text !== null && !signal.aborted) this.status.textContent = `Could not compare: ${text}.`;
    }
  }

  /** Put the success of the same endpoint whose request is most alike beside a record. */
  async findSuccess(id, signal) {
    const path = `api/records/${encodeURIComponent(id)}/last-success`;
    const found = await getJson(path, {}, signal);
    if (!signal.aborted) change({ a: found.id }, { isStep: false });
  }

  draw(found, chat) {
    const differing = found.parts.filter((part) => !part.equal);
    const differences = differencesIn(differing);
    const all = found.complete ? "" : " in what is stored";
    this.status.textContent = found.equal
      ? `No differences${all}`
      : `${countOf(differences, "difference")} in ${countOf(differing.length, "part")}${all}`;
    this.swap.hidden = false;
    const equal = found.parts
      .filter((part) => part.equal && !hasMore(part))
      .map(({ part }) => part.replaceAll("_", " "));
    this.host.replaceChildren(
      el("div", { class: "sides" }, sideOf("A", found.a), sideOf("B", found.b)),
      ...(chat
        ? [
            chat,
            ...differing.filter((part) => !isBody(part)).map((part) => partOf(part)),
            bodiesOf(differing),
          ]
        : differing.map((part) => partOf(part))),
      ...found.parts.filter((part) => part.equal && hasMore(part)).map((part) => partOf(part)),
      equal.length ? el("p", { class: "unit" }, `Equal: ${equal.join(", ")}`) : "",
      figures(found.measures),
    );
  }

  /** Go to the next change, or back. */
  move(by) {
    const all = [...this.host.querySelectorAll("section > table tbody tr, .pair")];
    const rows = all.filter((row) => row.checkVisibility());
    const at = rows.indexOf(document.activeElement);
    /** @type {HTMLElement | undefined} */ (
      rows[at < 0 && by < 0 ? rows.length - 1 : at + by]
    )?.focus();
  }
}

/** What was said in two calls of language models; null where that cannot be read. */
async function readChats({ a, b }, signal) {
  return chatComparison(...(await Promise.all([readChat(a, signal), readChat(b, signal)])));
}

const isBody = ({ part }) => part.endsWith("_body");

/** Bodies that differ, behind the chat that says the same in fewer words. */
function bodiesOf(parts) {
  const bodies = parts.filter(isBody);
  if (!bodies.length) return "";
  const names = bodies.map(({ part }) => wordsOf(part)).join(", ");
  return el(
    "details",
    { class: "bodies" },
    el("summary", {}, `${names} as sent`),
    bodies.map((part) => partOf(part)),
  );
}

const hasMore = (part) => part.notes.length > 0 || part.set_apart.length > 0;

function sideOf(letter, record) {
  const { date, clock, ms, title } = moment(record.started_at_us);
  const name =
    record.kind === "event" ? `event ${record.name}` : `${record.method} ${targetText(record)}`;
  return el(
    "div",
    { class: "side" },
    el("strong", { class: "letter" }, letter),
    el(
      "p",
      {},
      el(
        "span",
        { class: "status " + grade(record) },
        gradeMark(),
        record.in_flight ? "open" : String(record.status ?? "–"),
      ),
      " ",
      el("a", { href: `requests${toQuery({ record: record.id })}` }, name),
      record.query !== null && unit("?" + queryText(record.query)),
    ),
    el("p", { class: "unit", title }, `${date}${clock}${ms} · `, el("code", {}, record.id)),
  );
}

function figures(measures) {
  if (!measures.length) return "";
  const cell = (name, value) => el("td", { class: "figure" }, figureText(name, value));
  const row = ({ name, a, b }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, wordsOf(name.replace(/_(us|usd)$/, ""))),
      cell(name, a),
      cell(name, b),
    );
  return el(
    "section",
    { "data-part": "measures" },
    sectionHead("Figures", "never a difference"),
    table({ class: "measures" }, ["Figure", "A", "B"], el("tbody", {}, measures.map(row)), [
      "A",
      "B",
    ]),
  );
}

function figureText(name, value) {
  if (value === null) return "–";
  if (name.endsWith("_us")) return durationText(value);
  if (name.endsWith("_bytes")) return sizeText(value);
  return name === "cost_usd" ? money(value) : count(value);
}
