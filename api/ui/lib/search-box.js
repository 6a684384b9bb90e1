// The search box: filter words with suggestions, a pasted id that opens its record, and what is wrong said below.

import { el, unit } from "./dom.js";
import { isId } from "./filter.js";
import { learn, offers } from "./suggestions.js";

/** Make the box. `submit(text)` gets filters, `open(id)` a pasted id of a `noun`. */
export function searchBox({ submit, open, noun = "record" }) {
  const input = el("input", {
    type: "search",
    id: "filter",
    autocomplete: "off",
    spellcheck: "false",
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": "suggestions",
    "aria-describedby": "filter-error",
    "aria-label": `Filter ${noun}s`,
    placeholder: 'status:5xx path:/api/* -method:GET "some words", or an id',
    title:
      "words, name:value, or, not or -, ( ), ranges such as duration:>500ms, * (docs/search.md)",
  });
  const list = el("ul", {
    id: "suggestions",
    role: "listbox",
    class: "suggestions",
    "aria-label": "Suggestions",
    hidden: true,
  });
  const bad = el("p", { class: "bad", id: "filter-error", role: "alert" });
  const form = el(
    "form",
    { class: "search", role: "search" },
    el("span", { class: "lens", "aria-hidden": "true" }),
    input,
    el("kbd", { "aria-hidden": "true" }, "/"),
    list,
  );
  let chosen = -1;
  let asked = ""; // the text that suggestions are wanted for; empty when none are

  const close = () => {
    list.hidden = true;
    chosen = -1;
    asked = "";
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  let isSent = false;
  const complain = (text) => {
    bad.textContent = text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
    if (!text || !isSent) return;
    isSent = false;
    if (document.activeElement === document.body) input.focus(); // to be written again
  };
  const enter = () => {
    close();
    const text = input.value.trim();
    complain("");
    if (isId(text)) return open(text);
    submit(text);
    isSent = true;
    input.blur(); // the keys are the page's again: j and k go through what was found
  };
  /** Put a suggestion into the box, and submit that, unless there is more to be written. */
  const take = (offer, goesOn) => {
    if (offer.id) return enter();
    const caret = input.selectionStart;
    input.setRangeText(offer.text, caret - offer.length, caret, "end");
    input.setAttribute("aria-invalid", "false");
    if (/[.:]$/.test(offer.text)) suggest();
    else if (goesOn) close();
    else enter();
  };

  /** Suggest how the word before the caret goes on: at once from what is known, again when more is. */
  async function suggest(asks = false) {
    const caret = input.selectionStart;
    if (/^[^\s)]/.test(input.value.slice(caret))) return close();
    const before = input.value.slice(0, caret);
    asked = before;
    const after = input.value.slice(caret);
    show(offers(before, after, noun, { asks }));
    const hasMore = await learn(before, after);
    if (hasMore && asked === before && chosen < 0) show(offers(before, after, noun, { asks }));
  }

  function show(found) {
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...found.map(itemOf));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  function itemOf(offer, index) {
    const item = el(
      "li",
      { role: "option", id: `suggestion-${index}`, "aria-selected": "false" },
      el("span", {}, offer.label),
      offer.help && unit(offer.help),
    );
    item.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      take(offer, false);
    });
    item.offer = offer;
    return item;
  }

  function move(step) {
    if (list.hidden) {
      suggest(true);
      return;
    }
    const items = [...list.children];
    chosen = (chosen + step + items.length + (chosen < 0 && step < 0 ? 1 : 0)) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    input.setAttribute("aria-activedescendant", items[chosen].id);
    items[chosen].scrollIntoView({ block: "nearest" });
  }

  input.addEventListener("input", () => {
    complain("");
    suggest();
  });
  input.addEventListener("focus", () => learn("", ""));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
      event.preventDefault();
      take(list.children[chosen].offer, event.key === "Tab");
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault(); // a field for searches would be emptied
      event.stopPropagation();
      close();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter();
  });
  return {
    form,
    bad,
    input,
    complain,
    set: (text) => {
      if (document.activeElement !== input) input.value = text;
    },
  };
}
