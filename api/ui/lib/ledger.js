// The ledger strip: a line for what was received over a bar of what became of it. Equal ends mean balanced.

import { $, el } from "./dom.js";
import { clockText, count, short } from "./format.js";

export const PARTS = ["stored", "spooled", "waiting", "sampled", "dropped"];
const LEAST_PX = 7; // and more with the number's magnitude, so that one record is seen beside a million
let lastRead = null;

const sum = (counts) => Object.values(counts).reduce((total, number) => total + number, 0);

/** The parts of an accounting as numbers, with what is missing between the two sides. */
export function partsOf(ledger) {
  const parts = { ...ledger, dropped: sum(ledger.dropped) };
  parts.missing = parts.received - PARTS.reduce((whole, name) => whole + parts[name], 0);
  return parts;
}

/** The bar of an accounting, used small in the strip and large on the health page. */
export function ledgerBar(parts) {
  const bar = el("span", { class: "bar" });
  const isToScale = parts.stored === parts.received;
  for (const name of PARTS) {
    if (parts[name] <= 0) continue;
    const part = el("span", {
      class: name === "stored" && !isToScale ? "stored broken" : name,
      title: `${name} ${count(parts[name])}`,
    });
    if (name === "stored") part.style.flex = "1 1 0";
    else part.style.flexBasis = `${Math.round(LEAST_PX * (1 + 0.55 * Math.log10(parts[name])))}px`;
    bar.append(part);
  }
  if (parts.missing !== 0)
    bar.append(
      el("span", { class: "missing", title: `${count(Math.abs(parts.missing))} unaccounted for` }),
    );
  return bar;
}

/** Draw strip and equation. */
export function drawLedger(ledger) {
  lastRead = new Date();
  const parts = partsOf(ledger);
  drawEquation(parts);
  const strip = $("strip");
  strip.className = parts.received === 0 ? "strip empty" : "strip";
  strip.setAttribute(
    "aria-label",
    parts.missing === 0
      ? "Ledger, balanced: open Health"
      : "The ledger does not balance: open Health",
  );
  strip.replaceChildren(el("span", { class: "line" }), ledgerBar(parts));
}

function drawEquation(parts) {
  const equation = $("equation");
  if (parts.missing !== 0) {
    equation.className = "equation wrong";
    equation.replaceChildren(
      `${count(Math.abs(parts.missing))} unaccounted for. This is a bug in sidelog.`,
    );
    return;
  }
  const shown = PARTS.filter(
    (name) => parts[name] > 0 || (name === "stored" && parts.received === 0),
  );
  const terms = (write) => shown.flatMap((name, index) => [index ? " + " : " = ", write(name)]);
  const part = (name) => el("span", { class: name }, `${name} `, el("b", {}, count(parts[name])));
  equation.className = "equation";
  equation.replaceChildren(
    el("span", { class: "long" }, "received ", el("b", {}, count(parts.received)), terms(part)),
    el(
      "span",
      { class: "short" },
      shown.map((name, index) => [
        index ? " + " : "",
        el("span", { class: name }, el("b", {}, short(parts[name])), ` ${name}`),
      ]),
    ),
  );
}

/** Show that the accounting could not be read, and when it was last. */
export function drawUnknown() {
  const strip = $("strip");
  strip.className = "strip unknown";
  strip.replaceChildren(el("span", { class: "line" }), el("span", { class: "bar" }));
  strip.setAttribute("aria-label", "Ledger unknown: no connection to sidelog");
  $("equation").className = "equation";
  $("equation").textContent = lastRead ? `last read ${clockText(lastRead)}` : "not read yet";
}
