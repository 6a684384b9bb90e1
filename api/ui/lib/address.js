// The address holds the state of the page that is shown, so Back, reload and a pasted link show the same.

let follow = () => {};

/** Notify `listener` when the address was changed from here. */
export function followAddress(listener) {
  follow = listener;
}

/** The state in the address; names that are absent are undefined. */
export const address = () => Object.fromEntries(new URLSearchParams(location.search));

function write(path, state, isStep) {
  const given = Object.entries(state).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const text = new URLSearchParams(given).toString();
  const target = path + (text ? "?" + text : "");
  if (target === location.pathname + location.search) return false;
  history[isStep ? "pushState" : "replaceState"](null, "", target);
  return true;
}

/** Change some of the state; a step can be undone with Back. The page is notified unless `isKnown`. */
export function change(some, { isStep = true, isKnown = false } = {}) {
  if (write(location.pathname, { ...address(), ...some }, isStep) && !isKnown) follow();
}

/** Go to a page. */
export function go(path, state = {}) {
  write(path, state, true);
  follow();
}
