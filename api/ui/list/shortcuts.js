// The keys of the requests page.

import { change } from "../lib/address.js";
import { narrowed, valuesOf, without } from "../lib/filter.js";
import { presetKeys, presetState } from "../lib/time-range.js";

/** Only what failed or was refused, or all again. */
const badOnly = (filter) =>
  valuesOf(filter, "level").length
    ? without(filter, "level")
    : narrowed(filter, "level:error,warn");

/** Go to the row below, or above: to its record where one is open. */
export function moveBy(page, step) {
  const { items } = page.virtual;
  let at = page.indexOf(
    page.state.record ?? /** @type {HTMLElement} */ (document.activeElement)?.dataset?.id,
  );
  if (at < 0) at = page.virtual.top - step; // the first in sight, for one that was scrolled away has no focus
  do at += step;
  while (items[at]?.record.isNotice);
  if (at >= items.length - 5) page.loadOlder();
  if (!items[at]) return;
  page.virtual.reveal(at, { withFocus: !page.sheet.host.contains(document.activeElement) });
  if (page.state.record) change({ record: items[at].record.id }, { isStep: false });
}

/** Choose the open record, or the row that has the focus, to be compared. */
function chooseRow(page) {
  const focused = /** @type {HTMLElement} */ (document.activeElement)?.dataset?.id;
  const item = page.virtual.items[page.indexOf(page.state.record ?? focused)];
  if (item) page.choice.take(item.record);
}

/** Keys and what they do on a page. */
export const shortcuts = (page) => ({
  ...presetKeys(change),
  j: () => moveBy(page, 1),
  k: () => moveBy(page, -1),
  ArrowDown: () => moveBy(page, 1),
  ArrowUp: () => moveBy(page, -1),
  f: () => page.toggleFacets(),
  l: () => !page.state.by && page.toggleLive(),
  v: () => page.openViews(),
  z: () => page.chart.zoomIn(),
  Backspace: () => page.state.since && change(presetState("1h")),
  " ": () => page.live.isOn && (page.live.isPaused ? page.live.resume() : page.live.pause()),
  e: () => page.setFilter(badOnly(page.state.filter ?? "")),
  x: () => chooseRow(page),
  c: () => page.sheet.press("curl"),
  y: () => page.sheet.press("link"),
  "[": () => page.sheet.turn(-1),
  "]": () => page.sheet.turn(1),
  Escape: () => {
    if (page.state.record) page.close();
    else if (page.choice.isOn) page.choice.set(false);
    else page.setFilter("");
  },
});
