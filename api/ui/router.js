// Which page is shown: the one the address names, loaded when it is first asked for.

import { followAddress } from "./lib/address.js";
import { el } from "./lib/dom.js";

const PAGES = {
  "/": ["Overview", () => import("./pages/overview.js")],
  "/requests": ["Requests", () => import("./pages/requests.js")],
  "/endpoints": ["Endpoints", () => import("./endpoints/page.js")],
  "/conversations": ["Conversations", () => import("./conversations/page.js")],
  "/mcp-logs": ["MCP logs", () => import("./pages/mcp-logs.js")],
  "/request-logs": ["Request logs", () => import("./pages/request-logs.js")],
  "/keys": ["Keys", () => import("./pages/keys.js")],
  "/health": ["Health", () => import("./health/page.js")],
};

let shown = null; // {path, page, leaving}
let isLost = false; // the script of a page could not be fetched

/** The keys of the page that is shown: {key: function}. */
export const pageKeys = () => shown?.page?.keys ?? {};

const named = () => (location.pathname in PAGES ? location.pathname : "/");

/** Load anew what could not be loaded while sidelog was away; a browser may remember that an import failed. */
export function recover() {
  if (isLost) location.reload();
}

/** Show the page the address names. */
export async function show() {
  const path = named();
  if (shown?.path === path && shown.page) return shown.page.onAddress();
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
  const fail = (text) => {
    main.className = "page";
    main.replaceChildren(el("p", { class: "failed" }, text));
  };
  isLost = true;
  try {
    const { Page } = await load();
    if (shown !== mine) return;
    isLost = false;
    main.className = "page" + path.replaceAll("/", "-");
    main.replaceChildren();
    mine.page = new Page(main, leaving.signal);
    mine.page.onAddress();
  } catch (error) {
    if (shown !== mine) return;
    fail(`Could not load the page: ${isLost ? "sidelog does not answer" : error.message}.`);
  }
}

/** Follow links between pages without loading anew. */
export function listen() {
  addEventListener("popstate", show);
  followAddress(() => (shown?.path === named() ? shown.page?.onAddress() : show()));
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const link = /** @type {HTMLAnchorElement | null} */ (event.target.closest("a[href]"));
    if (
      !link ||
      event.button ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey ||
      link.hasAttribute("download")
    )
      return;
    const url = new URL(link.href);
    if (
      url.origin !== location.origin ||
      !(url.pathname in PAGES) ||
      link.getAttribute("href").startsWith("#")
    )
      return;
    event.preventDefault();
    if (url.pathname + url.search !== location.pathname + location.search)
      history.pushState(null, "", url);
    show();
  });
}
