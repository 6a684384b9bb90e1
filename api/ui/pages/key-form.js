// The form of a key: name, scopes, agents, expiry, project and user. A bad value is said where it stands.

import { el } from "../lib/dom.js";
import { openDialog } from "../lib/dialog.js";
import { errorText } from "../lib/api.js";

const KNOWN_SCOPES = ["agent", "data_agent", "voice_agent"];
const list = (text) =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);

/**
 * Ask for the values of a key and hand them to `save`; returns what it answered, or undefined when nothing was saved.
 * Who closes the form while its values are on their way gets the answer, too: it may be a secret.
 */
export async function keyForm(title, key, save) {
  /** @type {Promise<any> | undefined} until it is known to have failed */
  let saving;
  const answer = await openDialog(title, (close) => {
    const field = (name, attributes) => el("input", { name, autocomplete: "off", ...attributes });
    const name = field("name", {
      required: true,
      maxlength: 128,
      value: key?.name ?? "",
      autofocus: true,
    });
    const scopes = field("scopes", {
      value: key?.scopes?.join(", ") ?? "",
      placeholder: "all scopes",
      list: "known-scopes",
    });
    const agents = field("agents", {
      value: Array.isArray(key?.agents) ? key.agents.join(", ") : "",
      placeholder: "all agents",
    });
    const expires = field("expires_at", {
      type: "date",
      value: key?.expires_at?.slice(0, 10) ?? "",
    });
    const project = field("project", { value: key?.project ?? "" });
    const user = field("user_id", { value: key?.user_id ?? "" });
    const bad = el("p", { class: "bad", role: "alert" });
    const button = el("button", { class: "primary", id: "save" }, key ? "Save" : "Create key");
    const values = () => ({
      name: name.value,
      scopes: scopes.value.trim() ? list(scopes.value) : null,
      agents: agents.value.trim() ? list(agents.value) : "all",
      expires_at: expiry(expires.value, key),
      project: project.value.trim() || null,
      user_id: user.value.trim() || null,
    });
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        saving = save(values());
        close((await saving) ?? true);
      } catch (error) {
        saving = undefined;
        bad.textContent = errorText(error) ?? "";
        button.disabled = false;
      }
    };
    return el(
      "form",
      { onsubmit: submit },
      el("label", {}, "Name", name),
      el("label", {}, "Scopes, separated by commas; empty for all", scopes),
      el(
        "datalist",
        { id: "known-scopes" },
        KNOWN_SCOPES.map((scope) => el("option", { value: scope })),
      ),
      el("label", {}, "Agents, separated by commas; empty for all", agents),
      el("label", {}, "Expires at the end of (UTC); empty for never", expires),
      el(
        "div",
        { class: "two" },
        el("label", {}, "Project", project),
        el("label", {}, "User", user),
      ),
      bad,
      el(
        "div",
        { class: "buttons end" },
        el("button", { type: "button", onclick: () => close() }, "Cancel"),
        button,
      ),
    );
  });
  return answer ?? saving?.catch(() => undefined);
}

/** The end of a day; an expiry that was not touched stays to the second. */
function expiry(day, key) {
  if (!day) return null;
  return key?.expires_at?.startsWith(day) ? key.expires_at : `${day}T23:59:59Z`;
}
