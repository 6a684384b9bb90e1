// Shortcuts: those of every page, then the page's own. None while typing, none with Ctrl, Alt or Meta.

import { $, button, el } from "../lib/dom.js";
import { openDialog } from "../lib/dialog.js";
import { go } from "../lib/address.js";
import { pageKeys } from "../router.js";
import { toggleTheme } from "../lib/theme.js";

const PLACES = {
  o: "",
  r: "requests",
  n: "endpoints",
  c: "conversations",
  m: "mcp-logs",
  l: "request-logs",
  k: "keys",
  h: "health",
};
const GOING_MS = 1500;
const SHORTCUTS = [
  ["/", "search"],
  ["?", "this list"],
  [
    "g then o r n c m l k h",
    "Overview, Requests, Endpoints, Conversations, MCP logs, API key calls, Keys, Health",
  ],
  ["j k or ↓ ↑", "row down, up"],
  ["Enter", "open the row"],
  ["Esc", "close, then clear"],
  ["[ ]", "previous, next tab"],
  ["x", "choose the row, to compare it with another"],
  ["c", "copy as curl"],
  ["y", "copy link"],
  ["f", "filters"],
  ["l", "live"],
  ["v", "views"],
  ["Space", "pause or resume"],
  ["e", "errors only, 4xx among them"],
  ["1 … 5", "period"],
  ["z", "zoom to the selection"],
  ["Backspace", "zoom out"],
  ["t", "theme"],
];

let goingUntil = 0;

function showShortcuts() {
  openDialog("Shortcuts", (close) => [
    el(
      "dl",
      { class: "shortcuts" },
      SHORTCUTS.map(([keys, text]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, text)]),
    ),
    el(
      "div",
      { class: "buttons end" },
      el("a", { href: "docs" }, "Description of the API"),
      button("Close", () => close()),
    ),
  ]);
}

const EVERYWHERE = {
  "?": showShortcuts,
  t: toggleTheme,
  "/": () =>
    /** @type {HTMLInputElement} */ (document.querySelector("main input[type=search]"))?.focus(),
  g: () => {
    goingUntil = Date.now() + GOING_MS;
  },
};

const isField = (target) =>
  target.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  const { key, target } = event;
  if (isField(target)) {
    if (key === "Escape") target.blur();
    return;
  }
  if ((key === " " || key === "Enter") && target.closest("button, a, summary, input")) return;
  if (key.startsWith("Arrow") && target.closest("[data-arrows], .sheet")) return;
  if (Date.now() < goingUntil && key in PLACES) {
    goingUntil = 0;
    event.preventDefault();
    return go(PLACES[key]);
  }
  const action = pageKeys()[key] ?? EVERYWHERE[key];
  if (!action) return;
  event.preventDefault();
  action(event);
}

/** Listen for shortcuts from now on. */
export function listenToKeys() {
  document.addEventListener("keydown", onKey);
  $("help").addEventListener("click", showShortcuts);
}
