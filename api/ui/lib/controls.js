// Controls that several pages have: choices, search fields, pagers, copy buttons.

import { button, el } from "./dom.js";
import { count } from "./format.js";

/** Call `action` when nothing has called for it again within `ms`. */
function debounced(action, ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}

const TYPING_MS = 300;

export const option = ([value, label]) => el("option", { value }, label);

/** A choice; `choose` gets the value. */
export function select(id, label, options, choose) {
  const made = el("select", { id, "aria-label": label }, options.map(option));
  made.addEventListener("change", () => choose(made.value));
  return made;
}

/** A search field and the box it stands in; `search` gets the text once typing pauses. */
export function searchField(id, label, search) {
  const input = el("input", { type: "search", id, placeholder: label, "aria-label": label });
  const submit = debounced(() => input.isConnected && search(input.value.trim()), TYPING_MS);
  input.addEventListener("input", submit);
  const lens = el("span", { class: "lens", "aria-hidden": "true" });
  return { input, box: el("div", { class: "search" }, lens, input) };
}

/** A note and the buttons to the page before and the next one; those without an action are disabled. */
export const pager = (note, newer, older) => [
  el("p", { class: "unit" }, note),
  el(
    "div",
    { class: "buttons" },
    button("Newer", newer, { disabled: !newer }),
    button("Older", older, { disabled: !older }),
  ),
];

/** The pages of a log that were seen, by their cursors: so they are known after Back of the browser, too. */
export class Trail {
  constructor() {
    this.clear();
  }

  clear() {
    this.pages = new Map([[undefined, { number: 0, newer: undefined }]]);
  }

  /** Note that the page of a cursor follows that of another. */
  follow(cursor, newer) {
    const before = this.pages.get(newer);
    if (before) this.pages.set(cursor, { number: before.number + 1, newer });
  }

  /** The cursor of the page before; that of the first is undefined. */
  newer(cursor) {
    return this.pages.get(cursor)?.newer;
  }

  /** `51–100`: which rows a page shows, of `size` a page; empty where that is not known. */
  range(cursor, shown, size) {
    const page = this.pages.get(cursor);
    return page ? `${count(page.number * size + 1)}–${count(page.number * size + shown)}` : "";
  }
}

/**
 * A button that copies what `text()` returns, or promises, and shows for a moment whether it could.
 * @param {string} label
 * @param {() => string | Promise<string | null>} text
 * @param {Record<string, unknown>} attributes
 */
export function copyButton(label, text, attributes = { class: "link" }) {
  const made = button(
    label,
    async () => {
      const copied = await text();
      made.textContent = copied && (await copyText(copied)) ? "Copied" : "Could not copy";
      setTimeout(() => made.replaceChildren(label), 1500);
    },
    attributes,
  );
  return made;
}

/** Copy text; answers whether it could. Plain HTTP has no clipboard interface, and one that there is may be forbidden. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** Copy text as a selection, within the dialog that is open: what one covers cannot be selected. */
function copySelected(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const area = el("textarea", { class: "hidden" });
  area.value = text;
  (focused?.closest("dialog") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return isCopied;
}
