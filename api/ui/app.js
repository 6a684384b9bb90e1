// The frame around every page: head, ledger strip, connection, shortcuts. Pages are chosen by the address.

import { $, button, el, write } from "./lib/dom.js";
import { getJson, onConnectionChange, ApiError, sendJson } from "./lib/api.js";
import { watchAlerts } from "./alerts/firing.js";
import { listenToKeys } from "./pages/keyboard.js";
import { drawLedger, drawUnknown } from "./lib/ledger.js";
import { listen, recover, show } from "./router.js";
import { restoreTheme, toggleTheme } from "./lib/theme.js";
import { clockText } from "./lib/format.js";
import { zoneButton } from "./lib/zone.js";

const POLL_MS = 2000;
const POLL_HIDDEN_MS = 10_000; // where only the connection is watched
const PATIENCE_MS = 15_000; // a connection that is dropped on its way gives no error for minutes
const SHOWN_AFTER_MS = 3000;

let awaySince = null; // ms, null while sidelog answers
let nextTryAt = 0;
let waitsFor = null; // what keeps requests waiting, in words
let isHidden = false; // the ledger is not for readers with a scope

// The parts of the notice stay: only what has changed is read aloud, and the button can be pressed.
const reason = el("strong", { role: "alert" });
const countdown = el("span");
const retry = button("Retry now", () => readLedger());

function drawConnection() {
  $("connection").className = awaySince ? "connection away" : "connection";
  write($("connection"), awaySince ? "Disconnected" : "Connected");
  const isAway = awaySince !== null && Date.now() - awaySince >= SHOWN_AFTER_MS;
  const away = isAway ? `No connection to sidelog since ${clockText(new Date(awaySince))}.` : "";
  write(reason, waitsFor === null ? away : `Waiting: ${waitsFor}.`);
  $("disconnected").hidden = reason.textContent === "";
  retry.hidden = waitsFor !== null;
  const seconds = Math.max(0, Math.ceil((nextTryAt - Date.now()) / 1000));
  write(countdown, waitsFor === null ? `Retrying in ${seconds} s.` : "");
}

async function readLedger() {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    if (isHidden) await getJson("api/views", {}, signal);
    else {
      drawLedger(await getJson("api/ledger", {}, signal));
      await watchAlerts(signal).catch(() => {}); // asked again; the strip has the ledger
    }
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) isHidden = true;
    else if (!isHidden) drawUnknown();
  }
}

async function poll() {
  const interval = isHidden && !awaySince ? POLL_HIDDEN_MS : POLL_MS;
  nextTryAt = Date.now() + interval;
  if (!document.hidden) await readLedger();
  setTimeout(poll, Math.max(POLL_MS, nextTryAt - Date.now()));
}

/** Where no key was ever used, the page of their calls has nothing to say. */
async function showKeyCalls() {
  const { logs } = await getJson("api/request-logs", { limit: 1 });
  $("key-calls").hidden = logs.length === 0;
}

async function logOut() {
  await sendJson("POST", "logout");
  location.assign("login");
}

restoreTheme();
$("disconnected").append(el("span", { class: "grade warn" }), reason, countdown, retry);
onConnectionChange((isThere, waiting) => {
  if (isThere && awaySince) recover();
  awaySince = isThere ? null : (awaySince ?? Date.now());
  waitsFor = waiting;
  drawConnection();
});
setInterval(() => {
  if (awaySince) drawConnection();
}, 1000);
zoneButton($("zone"));
$("theme").addEventListener("click", toggleTheme);
$("logout").addEventListener("click", logOut);
$("more-pages").addEventListener("click", () => $("more-pages").hidePopover());
listenToKeys();
listen();
show();
poll();
showKeyCalls().catch(() => {}); // a reader with a scope has no such page
