// The search box: filter words with suggestions, a pasted id that opens its record, and what is wrong said below.

import { el } from "./dom.js";
import { isId, NAMES, parse, term } from "./filter.js";

const VALUES = {
  __proto__: null, // looked up by what is typed
  status: ["2xx", "3xx", "4xx", "5xx", "404", "429", "500"],
  method: ["GET", "POST", "PUT", "PATCH", "DELETE"],
  level: ["error", "warn", "info"],
  kind: ["exchange", "event", "all"],
  outcome: [
    "ok",
    "upstream_error",
    "upstream_timeout",
    "client_closed",
    "rejected",
    "truncated",
    "worker_lost",
    "shutdown",
  ],
};
const MAX_SUGGESTIONS = 8;

/** Make the box. `submit(text)` gets filters, `open(id)` a pasted id of a `noun`; `known(name)` gives values seen. */
export function searchBox({ submit, open, known, noun = "record" }) {
  const input = el("input", {
    type: "search",
    id: "filter",
    autocomplete: "off",
    spellcheck: "false",
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": "suggestions",
    "aria-describedby": "filter-error",
    "aria-label": `Filter ${noun}s`,
    placeholder: 'status:5xx path:/api/* -method:GET "some words", or an id',
    title:
      "words, name:value, or, not or -, ( ), ranges such as duration:>500ms, * (docs/search.md)",
  });
  const list = el("ul", { id: "suggestions", role: "listbox", class: "suggestions", hidden: true });
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

  const close = () => {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const complain = (text) => {
    bad.textContent = text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
  };
  const enter = () => {
    close();
    const text = input.value.trim();
    if (isId(text)) {
      complain("");
      return open(text);
    }
    const { error } = parse(text);
    complain(error ?? "");
    if (error) return;
    submit(text);
    input.blur(); // the keys are the page's again: j and k go through what was found
  };
  const take = (suggestion) => {
    if (suggestion.id) return enter();
    input.value = input.value.replace(/[-(]*[^\s()]*$/, () => suggestion.text);
    if (/[.:]$/.test(suggestion.text)) suggest();
    else enter();
  };

  function suggest() {
    const found = suggestions(input.value, known, noun);
    chosen = -1;
    list.replaceChildren(
      ...found.map((suggestion, index) => {
        const item = el(
          "li",
          { role: "option", id: `suggestion-${index}`, "aria-selected": "false" },
          suggestion.label,
        );
        item.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(suggestion);
        });
        item.suggestion = suggestion;
        return item;
      }),
    );
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  function move(step) {
    const items = [...list.children];
    if (list.hidden || !items.length) return;
    chosen = (chosen + step + items.length + (chosen < 0 && step < 0 ? 1 : 0)) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    input.setAttribute("aria-activedescendant", items[chosen].id);
  }

  input.addEventListener("input", () => {
    complain("");
    suggest();
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
      event.preventDefault();
      take(list.children[chosen].suggestion);
    } else if (event.key === "Escape" && !list.hidden) {
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

/** What could be meant by the word at the end of the box. */
export function suggestions(text, known, noun) {
  if (isId(text)) return [{ id: text.trim(), label: `Open ${noun} ${text.trim().slice(0, 12)}…` }];
  const [, sign, word] = text.match(/([-(]*)([^\s()]*)$/);
  if (!word) return [];
  const [name, value] = word.split(":", 2);
  if (value === undefined) {
    return NAMES.filter((other) => other.startsWith(name) && other !== name)
      .slice(0, MAX_SUGGESTIONS)
      .map((other) => ({ text: sign + offered(other), label: offered(other) }));
  }
  const values = [...new Set([...(VALUES[name] ?? []), ...known(name)])].filter(
    (other) => other.toLowerCase().startsWith(value.toLowerCase()) && other !== value,
  );
  return values
    .slice(0, MAX_SUGGESTIONS)
    .map((other) => ({ text: sign + term(name, other), label: `${name}:${other}` }));
}

const offered = (name) => (name.endsWith(".") ? name : `${name}:`);
