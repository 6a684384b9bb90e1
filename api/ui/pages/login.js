// Exchange the token for a session. The printed address carries it in the fragment, which reaches no log and no Referer.

import { ROOT } from "../lib/address.js";
import { $ } from "../lib/dom.js";
import { restoreTheme } from "../lib/theme.js";

const tokenField = /** @type {HTMLInputElement} */ ($("token"));

/** Where to go on: an address of ours, whole, as a path such as `/.//host` may be read in two ways. */
function target() {
  const next = new URL(new URLSearchParams(location.search).get("next") ?? "", ROOT).href;
  return next.startsWith(ROOT) ? next : ROOT;
}

async function logIn(token) {
  $("error").textContent = "";
  const button = /** @type {HTMLButtonElement} */ (document.querySelector("#login button"));
  button.disabled = true;
  try {
    const response = await fetch("login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (response.status === 204) return location.replace(target());
    $("error").textContent =
      response.status === 401
        ? "This is not a token of this server"
        : (await response.json()).detail;
  } catch {
    $("error").textContent = "Cannot reach sidelog";
  }
  button.disabled = false;
  tokenField.select();
}

restoreTheme();
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(tokenField.value.trim());
});

/** Log in with the token of the address; false when it has none. */
function followAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return false;
  history.replaceState(null, "", location.pathname + location.search);
  logIn(token);
  return true;
}

// The address may be pasted into a tab that shows this page already, which then is not loaded anew.
addEventListener("hashchange", followAddress);
if (!followAddress()) tokenField.focus();
