// The frame around every page: head, ledger strip, connection, shortcuts. Pages are chosen by the address.

import { $, button, el } from "./lib/dom.js";
import { getJson, onConnectionChange, ApiError, sendJson } from "./lib/api.js";
import { listenToKeys } from "./pages/keyboard.js";
import { drawLedger, drawUnknown } from "./lib/ledger.js";
import { listen, recover, show } from "./router.js";
import { restoreTheme } from "./lib/theme.js";
import { clockText } from "./lib/format.js";
import { zoneButton } from "./lib/zone.js";

const POLL_MS = 2000;
const SHOWN_AFTER_MS = 3000;

let awaySince = null; // ms, null while sidelog answers
let nextTryAt = 0;
let waitsFor = null; // what keeps requests waiting, in words
let isHidden = false; // the ledger is not for readers with a scope

function drawConnection() {
  const connection = $("connection");
  connection.className = awaySince ? "connection away" : "connection";
  connection.textContent = awaySince ? "Disconnected" : "Connected";
  const notice = $("disconnected");
  if (waitsFor !== null) {
    notice.hidden = false;
    notice.replaceChildren(el("span", { class: "grade warn" }), `Waiting: ${waitsFor}.`);
    return;
  }
  notice.hidden = awaySince === null || Date.now() - awaySince < SHOWN_AFTER_MS;
  if (notice.hidden) return;
  const seconds = Math.max(0, Math.ceil((nextTryAt - Date.now()) / 1000));
  notice.replaceChildren(
    el("span", { class: "grade warn" }),
    el("strong", {}, `No connection to sidelog since ${clockText(new Date(awaySince))}.`),
    ` Retrying in ${seconds} s.`,
    button("Retry now", () => readLedger()),
  );
}

async function readLedger() {
  if (isHidden) return;
  try {
    drawLedger(await getJson("/api/ledger"));
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) isHidden = true;
    else drawUnknown();
  }
}

async function poll() {
  nextTryAt = Date.now() + POLL_MS;
  if (!document.hidden) await readLedger();
  setTimeout(poll, Math.max(POLL_MS, nextTryAt - Date.now()));
}

async function logOut() {
  await sendJson("POST", "/logout");
  location.assign("/login");
}

restoreTheme();
onConnectionChange((isThere, reason) => {
  if (isThere && awaySince) recover();
  awaySince = isThere ? null : (awaySince ?? Date.now());
  waitsFor = reason;
  drawConnection();
});
setInterval(() => {
  if (awaySince) drawConnection();
}, 1000);
zoneButton($("zone"));
$("logout").addEventListener("click", logOut);
listenToKeys();
listen();
show();
poll();
