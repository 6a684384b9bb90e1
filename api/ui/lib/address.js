// The address holds the state of the page that is shown, so Back, reload and a pasted link show the same.
//
// All pages lie side by side, so every address of ours is relative, and holds under whatever path a proxy puts us.

let follow = () => {};

/** Notify `listener` when the address was changed from here. */
export function followAddress(listener) {
  follow = listener;
}

/** Where our pages lie: `https://host/`, or a folder below. */
export const ROOT = new URL(".", location.href).href;

/** The name of the page at a URL, empty for the overview; null for what lies elsewhere. */
export function pageOf(url) {
  const [place] = url.split(/[?#]/);
  const name = place.slice(place.lastIndexOf("/") + 1);
  return place === ROOT + name ? name : null;
}

/** The state in the address; names that are absent are undefined. A search may be called `query`, as in the API. */
export function address() {
  const { query, ...state } = Object.fromEntries(new URLSearchParams(location.search));
  return query === undefined ? state : { filter: query, ...state };
}

function write(page, state, isStep) {
  const given = Object.entries(state).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const text = new URLSearchParams(given).toString();
  const target = ROOT + page + (text ? "?" + text : "");
  if (target === location.href.split("#")[0]) return false;
  history[isStep ? "pushState" : "replaceState"](null, "", target);
  return true;
}

/** Change some of the state; a step can be undone with Back. The page is notified unless `isKnown`. */
export function change(some, { isStep = true, isKnown = false } = {}) {
  if (write(pageOf(location.href), { ...address(), ...some }, isStep) && !isKnown) follow();
}

/** Go to a page by its name. */
export function go(page, state = {}) {
  write(page, state, true);
  follow();
}
