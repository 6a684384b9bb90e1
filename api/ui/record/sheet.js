// The sheet beside the list: one record in plain words, its phases, then tabs for what was said and what is known.

import { copyButton } from "../lib/controls.js";
import { button, el, gradeMark, redraw, unit, write } from "../lib/dom.js";
import { readChat } from "../chat/read.js";
import { chatTab } from "../chat/tab.js";
import { framesTab } from "./frames.js";
import { facts } from "./facts.js";
import { term } from "../lib/filter.js";
import { ago, grade, moment, queryText, targetText } from "../lib/format.js";
import { getJson, ApiError, errorText, toQuery } from "../lib/api.js";
import { LatestRead } from "../lib/latest-read.js";
import { messageTab } from "./message.js";
import { messagesTab } from "./session-messages.js";
import { nextState, readCurl } from "./following.js";
import { explain, reasonOf } from "../lib/explanations.js";
import { address, change } from "../lib/address.js";
import { isSessionCall, kindTag } from "./record-kind.js";
import { standsFor } from "./sample.js";
import { sendAgainButton, sendAgainNote } from "./send-again.js";
import { redactionsLine } from "./redactions.js";
import { toolsTab } from "./tool-calls.js";
import { usage } from "./usage.js";
import { waterfall } from "./waterfall.js";

/** Where an id leads that is no record's: the client or the tracing may have made it. */
const otherwise = (id) =>
  `requests${toQuery({ filter: `request_id:${id} or trace:${id.replaceAll("-", "")}`, period: "7d" })}`;

const TAB_KEYS = { ArrowLeft: -1, ArrowRight: 1 };

export class Sheet {
  /** `close()`, `move(step)` and `compareWith(record)`, beside a list, are what its buttons do. */
  constructor({ close, move, compareWith = null, signal }) {
    const attributes = { id: "sheet", "aria-label": "Record", tabindex: -1, hidden: true };
    this.host = el("aside", { class: "sheet", ...attributes });
    this.close = close;
    this.move = move;
    this.compareWith = compareWith;
    this.signal = signal;
    this.reads = new LatestRead(signal);
    this.id = null;
    this.record = null;
    this.chat = null; // what was said in a call of a language model
    this.curl = null; // a promise of the command that repeats it, and what to know before it is run
    this.notes = el("p", { class: "unit", role: "status" });
    this.tabs = [];
    this.hasMore = false; // whether all that can be done is shown
  }

  hide() {
    if (this.host.hidden) return;
    this.host.hidden = true;
    this.host.replaceChildren();
    this.id = this.record = null;
    this.reads.next();
  }

  /** Show a record: at once what the list row knows, then all of it. `found(record)` gets each state that is read. */
  async show(id, known, found) {
    if (id === this.id) return this.turnTo(address().tab);
    this.id = id;
    this.record = known ?? null;
    this.host.hidden = false;
    if (known) this.draw(known, false);
    else this.host.replaceChildren(el("p", { class: "unit" }, "Loading the record"));
    const signal = this.reads.next();
    let record = null;
    try {
      record = await getJson(`api/records/${encodeURIComponent(id)}`, {}, signal);
      if (signal.aborted) return;
      this.id = record.id;
      this.curl = readCurl(record, signal);
      write(this.notes, "");
      await this.take(record, signal);
      found(record);
    } catch (error) {
      if (!signal.aborted) this.fail(error, id);
    }
    while (record?.in_flight && (record = await nextState(record, signal))) {
      await this.take(record, signal);
      found(record);
    }
  }

  async take(record, signal) {
    const chat = await readChat(record, signal);
    if (signal.aborted) return;
    this.record = record;
    this.chat = chat;
    this.draw(record, true);
  }

  fail(error, id) {
    const text = errorText(error);
    if (text === null) return;
    const isGone = error instanceof ApiError && error.status === 404;
    this.host.replaceChildren(
      el("p", { class: "complaint warn" }, text),
      isGone && /^[0-9a-f-]{32,36}$/i.test(id)
        ? el(
            "p",
            {},
            el("a", { href: otherwise(id) }, "Search for it as a request id or a trace id"),
          )
        : "",
      el(
        "div",
        { class: "buttons" },
        button("Close", () => this.close(), { title: "Esc" }),
      ),
    );
  }

  draw(record, isWhole) {
    const { scrollTop: scrolled } = this.host;
    const hasFocus = this.host.contains(document.activeElement);
    redraw(
      this.host,
      ...this.headline(record),
      ...complaint(record),
      ...(record.kind === "event" ? [] : [waterfall(record)]),
      ...this.actions(record, isWhole),
      this.notes,
      ...usage(record),
      ...(isWhole
        ? [...this.tabsOf(record), ...redactionsLine(record), ...standsFor(record)]
        : [el("p", { class: "unit later" }, "Loading headers and bodies")]),
    );
    if (hasFocus && !this.host.contains(document.activeElement)) this.host.focus();
    this.host.scrollTop = scrolled;
    this.turnTo(address().tab);
  }

  headline(record) {
    const start = moment(record.started_at_us);
    const tag = kindTag(record);
    return [
      el(
        "header",
        {},
        el(
          "h2",
          {},
          el(
            "span",
            { class: "status " + grade(record) },
            gradeMark(),
            record.in_flight ? "open" : record.kind === "event" ? "" : String(record.status ?? "–"),
          ),
          " ",
          titleOf(record),
          record.query !== null && unit("?" + queryText(record.query)),
          tag && [" ", el("span", { class: "tag" }, tag)],
          record.model && el("span", { class: "model" }, ` ${record.model}`),
        ),
        el(
          "p",
          { class: "unit under", title: start.title },
          `${start.date}${start.clock}${start.ms} · ${ago(record.started_at_us / 1000)} ago · `,
          el("code", {}, record.id),
        ),
        el(
          "div",
          { class: "buttons" },
          button("↑", () => this.move(-1), {
            title: "Previous (k)",
            "aria-label": "Previous record",
          }),
          button("↓", () => this.move(1), { title: "Next (j)", "aria-label": "Next record" }),
          button(["Close ", el("kbd", {}, "Esc")], () => this.close()),
        ),
      ),
    ];
  }

  /** What can be done with a record: on one line what is done most, and behind a button all else. */
  actions(record, isWhole) {
    const isEvent = record.kind === "event";
    const hasFailed = ["error", "warn"].includes(grade(record));
    const link = copyButton("Copy link", () => location.href, { "data-copy": "link", title: "y" });
    const around = linkButton("Around this moment", aroundOf(record), AROUND);
    const conversation =
      record.conversation && linkButton("Conversation", conversationOf(record), null);
    if (isEvent) return [el("div", { class: "actions" }, link, around, conversation)];
    const last = record.endpoint && lastSuccess(record);
    const original = originalOf(record);
    const rest = el(
      "div",
      { class: "actions", id: "more-actions", hidden: !this.hasMore },
      link,
      !record.in_flight && harFile(record),
      !hasFailed && [around, last],
      this.compareWith &&
        button("Compare with …", () => this.compareWith(record), {
          title: "Choose another row (x)",
        }),
      record.trace_id && traceOf(record),
      sendAgainNote(),
    );
    const toggle = () => {
      this.hasMore = !this.hasMore;
      rest.hidden = !this.hasMore;
      more.setAttribute("aria-expanded", String(this.hasMore));
    };
    const more = button("More", toggle, {
      "aria-expanded": String(this.hasMore),
      "aria-controls": "more-actions",
    });
    return [
      el(
        "div",
        { class: "actions" },
        hasFailed && [last, around],
        copyButton("Copy as curl", () => this.curlCommand(), {
          "data-copy": "curl",
          title: "c",
          disabled: !isWhole,
        }),
        isWhole && !record.in_flight && sendAgainButton(record),
        original &&
          linkButton(
            "Compare with the original",
            `compare${toQuery({ a: original, b: record.id })}`,
            "With the record that this one was sent again from",
          ),
        conversation,
        more,
      ),
      rest,
    ];
  }

  async curlCommand() {
    const { command, notes = [] } = await this.curl;
    write(this.notes, notes.length ? `Before you run it: ${notes.join("; ")}.` : "");
    return command;
  }

  /** Do what a button that copies does, and show it, where it says that it has. */
  press(name) {
    const found = this.host.querySelector(`[data-copy=${name}]`);
    if (found?.closest("[hidden]")) this.host.querySelector("[aria-controls=more-actions]").click();
    found?.click();
  }

  // --- tabs --------------------------------------------------------------------------------------------------

  tabsOf(record) {
    const hasMessages = record.kind !== "event" || record.request !== null;
    this.tabs = [
      chatTab(record, this.chat),
      record.has_messages && ["messages", "Messages", () => messagesTab(record, this.signal)],
      record.tools?.length > 0 && ["tools", "Tool calls", () => toolsTab(record)],
      record.kind === "event" && [
        "event",
        "Event",
        () => [el("pre", { tabindex: 0 }, JSON.stringify(record.data, null, 2))],
      ],
      hasMessages && ["request", "Request", () => messageTab(record, "request")],
      hasMessages && ["response", "Response", () => messageTab(record, "response")],
      record.timeline?.length > 0 && ["frames", "Frames", () => framesTab(record)],
      ["facts", "Facts", () => facts(record)],
    ].filter(Boolean);
    this.list = el(
      "div",
      {
        class: "tabs",
        role: "tablist",
        "aria-label": "Parts of the record",
        onkeydown: (event) => this.onTabKey(event),
      },
      this.tabs.map(([name, label]) =>
        button(label, () => this.choose(name), {
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": "tab-panel",
        }),
      ),
    );
    this.panel = el("div", { id: "tab-panel", role: "tabpanel" });
    return [this.list, this.panel];
  }

  turnTo(name) {
    if (!this.tabs.length || !this.panel?.isConnected) return;
    const standard = standardTab(this.record);
    const tab =
      this.tabs.find(([other]) => other === name) ??
      this.tabs.find(([other]) => other === standard) ??
      this.tabs[0];
    if (this.panel.dataset.tab === tab[0]) return;
    this.panel.dataset.tab = tab[0];
    this.panel.setAttribute("aria-labelledby", `tab-${tab[0]}`);
    for (const item of this.list.children) {
      const isChosen = item.id === `tab-${tab[0]}`;
      item.setAttribute("aria-selected", String(isChosen));
      item.tabIndex = isChosen ? 0 : -1;
    }
    this.panel.replaceChildren(...tab[2]());
  }

  choose(name) {
    change({ tab: name }, { isStep: false, isKnown: true });
    this.turnTo(name);
    this.bringUp();
  }

  /** Scroll to where the panel begins, unless that is seen already with room for some of it. */
  bringUp() {
    const top = this.panel.getBoundingClientRect().top - this.host.getBoundingClientRect().top;
    const tabs = this.list.offsetHeight;
    if (top < tabs || top > this.host.clientHeight / 2) this.host.scrollTop += top - tabs;
  }

  onTabKey(event) {
    const step = TAB_KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    this.turn(step);
  }

  /** Go on to the next tab, or back. */
  turn(step) {
    if (!this.tabs.length || !this.panel?.isConnected) return;
    const at = this.tabs.findIndex(([name]) => name === this.panel.dataset.tab);
    this.choose(this.tabs[(at + step + this.tabs.length) % this.tabs.length][0]);
    this.list.querySelector("[aria-selected=true]").focus();
  }
}

function titleOf(record) {
  if (isSessionCall(record)) return "call over a WebSocket";
  if (record.kind === "event") return `event ${record.name}`;
  const base =
    record.direction === "out" && record.path?.startsWith("/") ? `${record.scheme}://` : "";
  return `${record.method ?? ""} ${base}${targetText(record) ?? "invalid request"}`;
}

/** The id of the record that a replay was made of; undefined of others. */
const originalOf = ({ request }) =>
  request?.headers.find(([name]) => name.toLowerCase() === "x-sidelog-replay-of")?.[1];

const linkButton = (text, href, title) => el("a", { class: "button", href, title }, text);

const lastSuccess = ({ id }) =>
  linkButton(
    "Compare with the last success",
    `compare${toQuery({ b: id })}`,
    "With the last success of this endpoint",
  );

const harFile = ({ id }) =>
  el(
    "a",
    {
      class: "button",
      href: `api/records/${encodeURIComponent(id)}/har`,
      download: `${id}.har`,
      title: "One exchange, for the network panel of a browser",
    },
    "HAR file",
  );

const traceOf = ({ trace_id: trace }) =>
  el(
    "span",
    { class: "trace" },
    "trace ",
    el("a", { href: `requests?filter=trace_id:${trace}&period=7d` }, trace),
  );

const AROUND_US = 60_000_000;
const AROUND = "What the same service did a minute before and after";

/** Where the list shows what happened around a record, in its service or, where it has none, on its route. */
function aroundOf(record) {
  const iso = (us) => new Date(us / 1000).toISOString();
  const [name, value] = record.service
    ? ["service", record.service]
    : ["route", record.kind === "event" ? null : record.route_id];
  const since = iso(record.started_at_us - AROUND_US);
  const until = iso((record.ended_at_us ?? record.started_at_us) + AROUND_US);
  return (
    "requests" + toQuery({ filter: value && term(name, value), since, until, record: record.id })
  );
}

const conversationOf = ({ conversation }) =>
  `conversations?open=${encodeURIComponent(conversation)}`;

function complaint(record) {
  const plain = explain(record);
  if (!plain) return [];
  const said = record.error_message ?? record.data?.error_message;
  const code = reasonOf(record) ?? (record.outcome === "ok" ? null : record.outcome);
  return [
    el(
      "div",
      { class: "complaint " + grade(record) },
      el("span", { class: grade(record) }, gradeMark()),
      el(
        "div",
        {},
        el("strong", {}, plain.what),
        " ",
        code && el("code", { class: "chip" }, code),
        said && el("p", {}, said),
        plain.next && el("p", {}, plain.next),
      ),
    ),
  ];
}

/** The tab that a record opens on: what failed, else the first that says something; null for the first one. */
function standardTab(record) {
  if (record.kind !== "exchange" || record.provider) return null;
  const hasFailed = record.level === "error" || record.status >= 400;
  if (hasFailed) return record.tools?.length > 0 ? "tools" : "response";
  const isAsked = record.has_messages || record.tools?.length > 0 || record.request?.body;
  return isAsked ? null : "response";
}
