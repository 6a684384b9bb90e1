// The dialog in which a person chooses columns: those there are, and any header or place in a JSON body.

import { openDialog } from "../lib/dialog.js";
import { button, el } from "../lib/dom.js";
import { isField } from "./fields.js";
import { COLUMNS, DEFAULT_COLUMNS, FIXED, readColumns } from "./rows.js";

const MAX_FIELDS = 20;

/** Let a person choose; `choose` gets the columns as the address holds them. */
export function openColumnChooser(text, choose) {
  const shown = new Set(readColumns(text));
  const apply = () => {
    const columns = readColumns([...shown].join()).join();
    choose(columns === DEFAULT_COLUMNS.join() ? undefined : columns);
  };
  const toggle = (name, isOn) => {
    if (isOn) shown.add(name);
    else shown.delete(name);
    apply();
  };
  const tick = (name, label) => {
    const box = el("input", { type: "checkbox", checked: shown.has(name) });
    box.disabled = FIXED.has(name);
    box.addEventListener("change", () => toggle(name, box.checked));
    return el("label", { class: "tick-line" }, box, label);
  };
  const fields = el("div", { class: "ticks" });
  const drawFields = () =>
    fields.replaceChildren(...[...shown].filter(isField).map((name) => tick(name, name)));
  drawFields();
  const add = (name) => {
    shown.add(name);
    drawFields();
    apply();
  };
  openDialog("Columns", (close) => [
    el(
      "div",
      { class: "ticks" },
      Object.entries(COLUMNS).map(([name, [label]]) => tick(name, label)),
    ),
    fields,
    fieldForm(add, () => [...shown].filter(isField).length),
    el(
      "div",
      { class: "buttons end" },
      button("Done", () => close(), { class: "primary" }),
    ),
  ]);
}

function fieldForm(add, countFields) {
  const input = el("input", {
    id: "field-name",
    placeholder: "header.x-tenant or body.user.id",
    autocomplete: "off",
    spellcheck: "false",
  });
  const bad = el("p", { class: "bad", role: "alert" });
  const submit = (event) => {
    event.preventDefault();
    const name = input.value.trim();
    bad.textContent = problemOf(name, countFields());
    if (bad.textContent) return;
    input.value = "";
    add(name);
  };
  return el(
    "form",
    { class: "field-form", onsubmit: submit },
    el("label", {}, "A header, or a place in a JSON body", input),
    el("button", { id: "field-add" }, "Add"),
    bad,
  );
}

function problemOf(name, count) {
  if (!isField(name))
    return `${name || "nothing"} is no field: begin with header., body., request_ or response_ of one of them`;
  return count >= MAX_FIELDS ? `${count} fields are shown, at most ${MAX_FIELDS} can be` : "";
}
