// Two records side by side: what differs, part by part. The address names both; with `b` alone, the first is the last
// success of its endpoint, which then joins the address.

import { address, change } from "../lib/address.js";
import { ApiError, errorText, getJson, toQuery } from "../lib/api.js";
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
} from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";

const SUCCESS = { status: "1xx,2xx,3xx", outcome: "ok" };
const KINDS = { added: "added", removed: "removed", type: "other type", moved: "moved" };

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
      if (!signal.aborted) this.draw(found);
    } catch (error) {
      const text = errorText(error);
      if (text !== null && !signal.aborted) this.status.textContent = `Could not compare: ${text}.`;
    }
  }

  /** Put the newest success of the same endpoint beside a record. */
  async findSuccess(id, signal) {
    const record = await getJson(`api/records/${encodeURIComponent(id)}`, {}, signal);
    const { method, endpoint, route_id: route } = record;
    const query = { ...SUCCESS, method, endpoint, route, limit: 2 };
    let found;
    let cursor = endpoint ? "" : null;
    while (!found && cursor !== null) {
      const page = await getJson("api/records", { ...query, cursor }, signal);
      found = page.records.find((one) => one.id !== record.id);
      cursor = page.next_cursor;
    }
    if (signal.aborted) return;
    if (found) return change({ a: found.id }, { isStep: false });
    const detail = `no other success of ${method ?? ""} ${endpoint ?? "this record"} is stored`;
    throw new ApiError(404, { detail });
  }

  draw(found) {
    const differing = found.parts.filter((part) => !part.equal);
    const differences = differing.reduce((sum, part) => sum + part.changes.length + part.more, 0);
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
      ...differing.map(partOf),
      ...found.parts.filter((part) => part.equal && hasMore(part)).map(partOf),
      equal.length ? el("p", { class: "unit" }, `Equal: ${equal.join(", ")}`) : "",
      figures(found.measures),
    );
  }

  /** Go to the next change, or back. */
  move(by) {
    const rows = [...this.host.querySelectorAll("section > table tbody tr")];
    const at = rows.indexOf(document.activeElement);
    /** @type {HTMLElement | undefined} */ (
      rows[at < 0 && by < 0 ? rows.length - 1 : at + by]
    )?.focus();
  }
}

const hasMore = (part) => part.notes.length > 0 || part.set_apart.length > 0;
const wordsOf = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

function sideOf(letter, record) {
  const { date, clock, ms, title } = moment(record.started_at_us);
  const name = record.kind === "event" ? `event ${record.name}` : `${record.method} ${record.path}`;
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

function partOf(part) {
  const differences = part.changes.length + part.more;
  const note = part.equal ? "equal" : countOf(differences, "difference");
  const apart = [...new Set(part.set_apart.map(({ path }) => path))].join(", ");
  return el(
    "section",
    { "data-part": part.part },
    sectionHead(wordsOf(part.part), part.complete ? note : `${note}, not all was stored`),
    part.changes.length > 0 && changeTable(part.changes),
    part.more > 0 && el("p", { class: "unit" }, `${count(part.more)} more are not shown`),
    part.notes.map((text) => el("p", { class: "unit" }, text)),
    apart &&
      el(
        "details",
        {},
        el("summary", { class: "unit" }, `Set apart: ${apart}`),
        changeTable(part.set_apart),
      ),
  );
}

const changeTable = (changes) =>
  table({ class: "changes" }, ["Place", "A", "B"], el("tbody", {}, changes.map(changeRow)));

function changeRow(found) {
  const { path, old_path: was, change: kind, times } = found;
  const notes = [
    KINDS[kind],
    was !== null && `was ${was}`,
    times > 1 && `${count(times)} times`,
  ].filter(Boolean);
  return el(
    "tr",
    { tabindex: -1 },
    el("th", { scope: "row" }, el("code", {}, path), " ", unit(notes.join(", "))),
    valueCell(found, "a", "added", "del"),
    valueCell(found, "b", "removed", "ins"),
  );
}

/** One side of a change; of a string that has segments what differs is marked, else all of it. */
function valueCell(found, side, other, mark) {
  const value = found[side];
  if (value === null) return el("td", { class: "none" }, "–");
  const own = found.segments.filter((piece) => piece.change !== other);
  const pieces = own.length
    ? own
    : [{ change: found.change === "moved" ? "same" : mark, text: value }];
  return el(
    "td",
    { "data-side": side.toUpperCase() },
    pieces.map(({ change: kind, text }) => (kind === "same" ? text : el(mark, {}, text))),
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
