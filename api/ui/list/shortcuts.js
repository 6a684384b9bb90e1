// The keys of the requests page.

import { change } from "../lib/address.js";
import { toggled } from "../lib/filter.js";
import { presetKeys, presetState } from "../lib/time-range.js";

/** Keys and what they do on a page. */
export const shortcuts = (page) => ({
  ...presetKeys(change),
  j: () => page.move(1),
  k: () => page.move(-1),
  ArrowDown: () => page.move(1),
  ArrowUp: () => page.move(-1),
  f: () => page.toggleFacets(),
  l: () => !page.state.by && page.toggleLive(),
  v: () => page.openViews(),
  z: () => page.chart.zoomIn(),
  Backspace: () => page.state.since && change(presetState("1h")),
  " ": () => page.live.isOn && (page.live.isPaused ? page.live.resume() : page.live.pause()),
  e: () => page.setFilter(toggled(page.state.filter ?? "", "level", "error")),
  c: () => page.sheet.press("curl"),
  y: () => page.sheet.press("link"),
  "[": () => page.sheet.turn(-1),
  "]": () => page.sheet.turn(1),
  Escape: () => (page.state.record ? page.close() : page.setFilter("")),
});
