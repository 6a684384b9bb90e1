// A long table of which only the visible rows exist: two spacers keep the height, rows are made once per item.

import { el } from "../lib/dom.js";

const OVERSCAN = 8;

const focusedKey = () => /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;

export class VirtualRows {
  /** `makeRow(item)` makes a `tr`; items have a `key`. Rows of items that are `isFleeting` are made anew each time. */
  constructor(scroller, body, makeRow) {
    this.scroller = scroller;
    this.body = body;
    this.makeRow = makeRow;
    this.items = [];
    this.made = new Map();
    this.rowHeight = 28;
    this.above = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td"));
    this.below = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td"));
    body.append(this.above, this.below);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(scroller);
  }

  stop() {
    this.observer.disconnect();
  }

  /** Show these items. When `holds`, what is in sight stays in sight although rows came above it. */
  set(items, { holds = false } = {}) {
    const anchor = holds && this.scroller.scrollTop > 0 ? this.items[this.first] : null;
    const before = anchor ? this.first : 0;
    this.items = items;
    if (anchor) {
      const now = items.findIndex((item) => item.key === anchor.key);
      if (now > before) this.scroller.scrollTop += (now - before) * this.rowHeight;
    }
    this.draw();
  }

  /** Forget rows that were made, for another look of all of them. */
  renew(rowHeight) {
    this.rowHeight = rowHeight;
    this.made.clear();
    this.draw();
  }

  /** The first row that is in sight as a whole. */
  get top() {
    return Math.ceil(this.scroller.scrollTop / this.rowHeight);
  }

  get first() {
    return Math.max(0, Math.floor(this.scroller.scrollTop / this.rowHeight) - OVERSCAN);
  }

  draw() {
    const shown =
      Math.ceil((this.scroller.clientHeight || innerHeight) / this.rowHeight) + 2 * OVERSCAN;
    const first = Math.min(this.first, Math.max(0, this.items.length - shown));
    const items = this.items.slice(first, first + shown);
    const wanted = new Map(items.map((item, index) => [item.key, this.rowOf(item, first + index)]));
    const focused = this.body.contains(document.activeElement) ? focusedKey() : null;
    for (const row of [...this.body.children]) {
      if (row !== this.above && row !== this.below && wanted.get(row.dataset.key) !== row)
        row.remove();
    }
    let place = this.above.nextSibling;
    for (const row of wanted.values()) {
      if (row === place) place = place.nextSibling;
      else this.body.insertBefore(row, place);
    }
    this.above.firstChild.style.height = `${first * this.rowHeight}px`;
    this.below.firstChild.style.height = `${Math.max(0, this.items.length - first - items.length) * this.rowHeight}px`;
    this.made = new Map(wanted);
    if (focused && focusedKey() !== focused) wanted.get(focused)?.focus({ preventScroll: true });
  }

  rowOf(item, index) {
    const row = (!item.isFleeting && this.made.get(item.key)) || this.makeRow(item);
    row.dataset.key = item.key;
    row.setAttribute("aria-rowindex", index + 2);
    return row;
  }

  /** Bring an item into sight; returns its row. */
  reveal(index, { withFocus = true } = {}) {
    const item = this.items[index];
    if (!item) return null;
    const top = index * this.rowHeight,
      head = 30;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight - head)
      this.scroller.scrollTop = top + this.rowHeight + head - clientHeight;
    this.draw();
    const row = this.made.get(item.key);
    if (withFocus) row?.focus({ preventScroll: true });
    return row;
  }
}
