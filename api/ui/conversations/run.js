// One run of an agent as a page of its own.

import { address } from "../lib/address.js";
import { errorText, getJson, toQuery } from "../lib/api.js";
import { copyButton } from "../lib/controls.js";
import { button, el } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { RunView, runTitle } from "./run-view.js";

const PAGE = 20;

export class Page {
  constructor(main, signal) {
    this.reads = new LatestRead(signal);
    this.id = null;
    this.cursor = null;
    this.view = null;
    this.actions = el("p", { class: "run-actions" });
    this.status = el("p", { role: "status" });
    this.host = el("div");
    this.more = el("p");
    this.title = el("h1", {}, "Run");
    const head = el("div", { class: "page-head" }, this.title, this.actions);
    main.append(head, this.status, this.host, this.more);
  }

  get keys() {
    return this.view?.keys ?? {};
  }

  onAddress() {
    const { id } = address();
    if (id === this.id) return;
    this.id = id;
    this.cursor = null;
    this.view = new RunView((record) => `requests${toQuery({ record })}`);
    this.host.replaceChildren(this.view.host);
    this.actions.replaceChildren();
    this.more.replaceChildren();
    this.read();
  }

  async read() {
    const signal = this.reads.next();
    this.status.textContent = "Reading";
    const path = `api/conversations/${encodeURIComponent(this.id ?? "")}/run`;
    try {
      const run = await getJson(path, { limit: PAGE, cursor: this.cursor }, signal);
      if (signal.aborted) return;
      this.status.textContent = "";
      this.draw(run);
    } catch (error) {
      const text = errorText(error);
      if (text !== null && !signal.aborted)
        this.status.textContent = `Could not read the run: ${text}.`;
    }
  }

  draw(run) {
    this.cursor = run.next_cursor;
    this.title.textContent = runTitle(run);
    document.title = `${runTitle(run)} – sidelog`;
    this.view.add(run);
    this.actions.replaceChildren(
      el("a", { href: `conversations${toQuery({ open: run.id })}` }, "Show in Conversations"),
      el("a", { href: `api/conversations/${run.id}/file`, download: "" }, "Save as a file"),
      copyButton("Copy link", () => location.href),
    );
    const rest = run.turns - this.view.records.length;
    const load = button(`Load more steps (${count(Math.max(rest, 1))})`, () => this.read());
    this.more.replaceChildren(...(this.cursor === null ? [] : [load]));
  }
}
