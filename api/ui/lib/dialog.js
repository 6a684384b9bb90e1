// A dialog over the page: focus stays inside, Esc closes it unless it must be answered.

import { $, button, el } from "./dom.js";

/** Open a dialog; `make(close)` gives its content. Returns when it is closed. */
export function openDialog(title, make, { mustAnswer = false, isWide = false } = {}) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-label": title, class: isWide && "wide" }); // by an id, one over another would have its name
    const close = (value) => {
      dialog.returned = value;
      dialog.close();
    };
    dialog.append(el("h2", {}, title), ...[make(close)].flat(Infinity).filter(Boolean));
    dialog.addEventListener("cancel", (event) => {
      if (mustAnswer) event.preventDefault();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && mustAnswer) event.preventDefault();
      event.stopPropagation();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(dialog.returned);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask before something that cannot be undone. */
export function confirm(title, text, verb) {
  return openDialog(title, (close) => [
    el("p", {}, text),
    el(
      "div",
      { class: "buttons end" },
      button("Cancel", () => close(false), { autofocus: true }),
      button(verb, () => close(true), { class: "danger" }),
    ),
  ]);
}

let toastTimer = 0;

/** Show a message for a while. */
export function toast(text) {
  const box = $("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    box.hidden = true;
  }, 3000);
}
