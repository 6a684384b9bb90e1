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
  ["Space", "pause or resume what is live, else a screen down"],
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

const SCREENS = {
  __proto__: null,
  ArrowDown: 0.1,
  ArrowUp: -0.1,
  PageDown: 1,
  PageUp: -1,
  " ": 1,
  Home: -1e5,
  End: 1e5,
}; // that a key scrolls by
const REPEATED_PX = 56; // of a screen in the next one

const isScroller = (element) =>
  element.scrollHeight > element.clientHeight &&
  /auto|scroll/.test(getComputedStyle(element).overflowY);

/** Scroll the list or the page, unless the focus lies in something smaller, which the browser scrolls. */
function scroll({ key, shiftKey, target }) {
  const scroller = [...document.querySelectorAll("main, .log, .list-side")].find(isScroller);
  if (!scroller) return false;
  for (let around = target; around && around !== scroller; around = around.parentElement)
    if (isScroller(around)) return false;
  const screens = key === " " && shiftKey ? -1 : SCREENS[key];
  scroller.scrollTop += screens * (scroller.clientHeight - REPEATED_PX);
  return true;
}

const EVERYWHERE = {
  ...Object.fromEntries(Object.keys(SCREENS).map((key) => [key, scroll])),
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
  const isTaken = [pageKeys(), EVERYWHERE].some((keys) => keys[key] && keys[key](event) !== false);
  if (isTaken) event.preventDefault();
}

/** Listen for shortcuts from now on. */
export function listenToKeys() {
  document.addEventListener("keydown", onKey);
  $("help").addEventListener("click", showShortcuts);
}
