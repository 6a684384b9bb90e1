// Two rows of the list, chosen to be compared: a button above the list begins, then each row that is opened is chosen.

import { toQuery } from "../lib/api.js";
import { change } from "../lib/address.js";
import { button, el } from "../lib/dom.js";

export class CompareChoice {
  /** For the page of a list, which marks the rows. */
  constructor(page) {
    this.page = page;
    this.isOn = false;
    this.chosen = new Map();
    this.button = button("Compare", () => this.set(!this.isOn), { id: "compare" });
    this.text = el("p", { role: "status" });
    this.link = el("a", { class: "button", id: "compare-now" }, "Compare");
    this.host = el("div", { class: "choosing", hidden: true }, [
      this.text,
      this.link,
      button("Cancel", () => this.set(false)),
    ]);
    this.link.hidden = true;
  }

  /** Show whether the record of a row is open, and whether it is chosen. */
  mark(row) {
    const { id } = row.dataset;
    if (id === this.page.state.record) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    if (this.chosen.has(id)) row.setAttribute("aria-selected", "true");
    else row.removeAttribute("aria-selected");
  }

  /** A row was opened: show its record, or choose it. */
  open(record) {
    if (this.isOn) this.take(record);
    else change({ record: record.id });
  }

  /** Choose the record that is shown; the other one is chosen in the list. */
  begin(record) {
    this.take(record);
    this.page.close();
  }

  set(isOn) {
    this.isOn = isOn;
    this.chosen.clear();
    this.draw();
  }

  /** Choose a record, or no longer; of three the first is given up. */
  take(record) {
    this.isOn = true;
    if (!this.chosen.delete(record.id)) this.chosen.set(record.id, record);
    if (this.chosen.size > 2) this.chosen.delete(this.chosen.keys().next().value);
    this.draw();
  }

  draw() {
    const [a, b] = [...this.chosen.values()].sort((x, y) => x.started_at_us - y.started_at_us);
    this.host.hidden = !this.isOn;
    this.button.setAttribute("aria-pressed", String(this.isOn));
    this.text.textContent = b
      ? `${nameOf(a)} and ${nameOf(b)}`
      : a
        ? `${nameOf(a)} is chosen: choose another row`
        : "Choose two rows to compare";
    this.link.hidden = !b;
    if (b) this.link.setAttribute("href", `compare${toQuery({ a: a.id, b: b.id })}`);
    this.page.markOpen();
  }
}

const nameOf = ({ method, path, name, status }) =>
  [method ?? "", path ?? name ?? "", status ?? ""].join(" ").trim();
