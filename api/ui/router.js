// Which page is shown: the one the address names, loaded when it is first asked for.

import { followAddress, pageOf } from "./lib/address.js";
import { el } from "./lib/dom.js";

const PAGES = {
  "": ["Overview", () => import("./pages/overview.js")],
  requests: ["Requests", () => import("./pages/requests.js")],
  endpoints: ["Endpoints", () => import("./endpoints/page.js")],
  conversations: ["Conversations", () => import("./conversations/page.js")],
  run: ["Run", () => import("./conversations/run.js")],
  compare: ["Compare", () => import("./pages/compare.js")],
  "mcp-logs": ["MCP logs", () => import("./pages/mcp-logs.js")],
  "request-logs": ["API key calls", () => import("./pages/request-logs.js")],
  keys: ["Keys", () => import("./pages/keys.js")],
  alerts: ["Alerts", () => import("./alerts/page.js")],
  health: ["Health", () => import("./health/page.js")],
};

let shown = null; // {name, page, leaving}
let isLost = false; // the script of a page could not be fetched

/** The keys of the page that is shown: {key: function}. */
export const pageKeys = () => shown?.page?.keys ?? {};

const isPage = (url) => Object.hasOwn(PAGES, pageOf(url));
const named = () => (isPage(location.href) ? pageOf(location.href) : "");

/** Load anew what could not be loaded while sidelog was away; a browser may remember that an import failed. */
export function recover() {
  if (isLost) location.reload();
}

/** Show the page the address names. */
export async function show() {
  const name = named();
  if (shown?.name === name && shown.page) return shown.page.onAddress();
  shown?.leaving.abort();
  const leaving = new AbortController();
  const mine = { name, page: null, leaving };
  shown = mine;
  const [title, load] = PAGES[name];
  document.title = `${title} – sidelog`;
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (
    document.querySelectorAll("#nav a")
  )) {
    if (pageOf(link.href) === name) link.setAttribute("aria-current", "page");
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
    main.className = "page-" + name;
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
  followAddress(() => (shown?.name === named() ? shown.page?.onAddress() : show()));
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
    if (!isPage(link.href) || link.getAttribute("href").startsWith("#")) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, "", link.href);
    show();
  });
}
