// Small SVG drawings: nodes, scales, time axes. Sizes are CSS pixels; a drawing is made anew when its width changes.

import { el, put, table } from "./dom.js";
import { dayText, clockText } from "./format.js";

/** Make an SVG element from attributes and children; text becomes text nodes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, String(value));
  }
  return put(element, children);
}

/** Call `draw(width)` now and whenever the width of `host` changes, until the signal ends it. */
export function drawAtWidth(host, draw, signal) {
  let width = 0;
  const observer = new ResizeObserver(() => {
    const wide = Math.floor(host.clientWidth);
    if (wide > 0 && wide !== width) draw((width = wide));
  });
  observer.observe(host);
  signal?.addEventListener("abort", () => observer.disconnect());
  return () => {
    if (width > 0) draw(width);
  };
}

/** Round a maximum up to something whose quarters can be read. */
export function niceMax(value) {
  if (!(value > 0)) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].find((step) => step * magnitude >= value) * magnitude;
}

/** How many equal parts of such a maximum have short names: 0 2 4 6, and not 0 1.3 2.7 4. */
export function partsOf(max) {
  const lead = Number((max / 10 ** Math.floor(Math.log10(max) + 1e-9)).toPrecision(2));
  return { 1: 2, 1.5: 3, 2: 4, 3: 3, 4: 4, 6: 3, 8: 4 }[lead] ?? 2;
}

/** Labels of a time axis: the ends and what lies between. */
export function timeLabels(since, until, { left, right, y, count = 5 }) {
  const span = until - since;
  const isShort = span < 300_000;
  return Array.from({ length: count }, (_, index) => {
    const share = index / (count - 1);
    const time = new Date(since + share * span);
    const text = isShort ? clockText(time) : dayText(time, span > 86_400_000);
    const anchor = index === 0 ? "start" : index === count - 1 ? "end" : "middle";
    return svg(
      "text",
      { x: left + share * (right - left), y, "text-anchor": anchor, class: "axis" },
      text,
    );
  });
}

/** A hidden table with what a drawing shows, for those who cannot see it. */
export function hiddenTable(caption, names, rows) {
  const cells = (row) => row.map((cell) => el("td", {}, String(cell)));
  const body = el(
    "tbody",
    {},
    rows.map((row) => el("tr", {}, cells(row))),
  );
  const made = table({ class: "hidden" }, names, body);
  made.prepend(el("caption", {}, caption));
  return made;
}
