// Which page is shown, and its state: both are the address, so Back, reload and a pasted link show the same.

import { el } from "./dom.js";

const PAGES = {
  "/": ["Overview", () => import("./overview.js")],
  "/requests": ["Requests", () => import("./requests.js")],
  "/mcp-logs": ["MCP logs", () => import("./mcp-logs.js")],
  "/request-logs": ["Request logs", () => import("./request-logs.js")],
  "/keys": ["Keys", () => import("./keys.js")],
  "/health": ["Health", () => import("./health.js")],
};

let shown = null; // {path, page, leaving}

/** The state in the address; names that are absent are undefined. */
export const address = () => Object.fromEntries(new URLSearchParams(location.search));

/** The keys of the page that is shown: {key: function}. */
export const pageKeys = () => shown?.page?.keys ?? {};

function write(path, state, isStep) {
  const given = Object.entries(state).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given).toString();
  const target = path + (text ? "?" + text : "");
  if (target === location.pathname + location.search) return false;
  history[isStep ? "pushState" : "replaceState"](null, "", target);
  return true;
}

/** Change some of the state; a step can be undone with Back. The page is told unless it says it knows. */
export function change(some, { isStep = true, isKnown = false } = {}) {
  if (write(location.pathname, { ...address(), ...some }, isStep) && !isKnown) shown?.page?.onAddress?.();
}

/** Go to a page. */
export function go(path, state = {}) {
  write(path, state, true);
  show();
}

/** Show what the address says. */
export async function show() {
  const path = location.pathname in PAGES ? location.pathname : "/";
  if (shown?.path === path && shown.page) return shown.page.onAddress?.();
  shown?.leaving.abort();
  const leaving = new AbortController();
  const mine = { path, page: null, leaving };
  shown = mine;
  const [title, load] = PAGES[path];
  document.title = `${title} – sidelog`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.getAttribute("href") === path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.querySelector("main");
  try {
    const { mount } = await load();
    if (shown !== mine) return;
    main.className = "page" + path.replaceAll("/", "-");
    main.replaceChildren();
    mine.page = mount(main, leaving.signal);
  } catch (error) {
    if (shown === mine) main.replaceChildren(el("p", { class: "failed" }, `The page could not be loaded: ${error.message}`));
  }
}

/** Follow links between pages without loading anew. */
export function listen() {
  addEventListener("popstate", show);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !(url.pathname in PAGES) || link.getAttribute("href").startsWith("#")) return;
    event.preventDefault();
    if (url.pathname + url.search !== location.pathname + location.search) history.pushState(null, "", url);
    show();
  });
}
