// The ledger strip: a line for what was received over a bar of what became of it. Equal ends mean balanced.

import { ask } from "./http.js";
import { $, el } from "./dom.js";
import { count } from "./format.js";

const PARTS = ["stored", "spooled", "waiting", "dropped"];
let lastRead = null;

const sum = (counts) => Object.values(counts).reduce((total, number) => total + number, 0);

/** Read the accounting and draw it; a failure shows the strip as unknown, with the time of the last reading. */
export async function drawLedger() {
  let ledger;
  try {
    ledger = await ask("/api/ledger");
  } catch (error) {
    drawUnknown();
    throw error;
  }
  lastRead = new Date();
  const parts = { ...ledger, dropped: sum(ledger.dropped) };
  drawEquation(parts, ledger.balanced);
  drawBar(parts, ledger.balanced);
}

function drawEquation(parts, isBalanced) {
  const terms = PARTS.filter((name) => parts[name] > 0 || (name === "stored" && parts.received === 0));
  const shown = terms.flatMap((name, index) => [
    index ? " + " : isBalanced ? " = " : " ≠ ", `${name} `, el("b", { class: name }, count(parts[name])),
  ]);
  $("equation").replaceChildren("received ", el("b", {}, count(parts.received)), ...(shown.length ? shown : [" = 0"]));
}

function drawBar(parts, isBalanced) {
  const bar = el("div", { class: "bar" });
  const isToScale = parts.stored === parts.received;
  for (const name of PARTS) {
    if (parts[name] <= 0) continue;
    const part = el("span", { class: name === "stored" && !isToScale ? "stored broken" : name, title: `${name} ${count(parts[name])}` });
    if (name === "stored") part.style.flex = "1 1 0";
    else part.style.flexBasis = `${Math.round(7 * (1 + 0.55 * Math.log10(parts[name])))}px`;
    bar.append(part);
  }
  const total = PARTS.reduce((whole, name) => whole + parts[name], 0);
  if (!isBalanced) bar.append(el("span", { class: "missing" }, count(Math.abs(parts.received - total))));
  const strip = $("strip");
  strip.className = parts.received === 0 ? "strip empty" : "strip";
  strip.setAttribute("aria-label", isBalanced ? "Ledger balanced" : "The ledger does not balance: a bug of sidelog");
  strip.replaceChildren(el("div", { class: "line" }), bar);
}

function drawUnknown() {
  const strip = $("strip");
  strip.className = "strip unknown";
  strip.title = lastRead ? `last read ${lastRead.toLocaleTimeString()}` : "not read yet";
}
