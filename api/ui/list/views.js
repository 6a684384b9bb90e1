// Views: searches with a name. What the address of the page holds becomes a view, and a view becomes such an address.

import { change } from "../lib/address.js";
import { errorText, getJson, sendJson } from "../lib/api.js";
import { confirm, openDialog } from "../lib/dialog.js";
import { button, el, unit } from "../lib/dom.js";
import { presetMs, PRESETS } from "../lib/time-range.js";
import { isField } from "./fields.js";
import { COLUMNS } from "./rows.js";

const NAMES = {
  __proto__: null, // columns as the command line calls them
  time: "started",
  code: "status",
  ms: "duration",
  target: "path",
  request: "path",
  route_id: "route",
  key_name: "key",
  response_bytes: "size",
};
const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const LENGTHS = [...PRESETS.map(([name]) => name), "30d"];

/** The view that the state of the page is. */
function viewOf(state) {
  const isFixed = state.since && state.until;
  return {
    query: state.filter ?? "",
    columns: state.columns ? state.columns.split(",").filter(Boolean) : [],
    since: isFixed ? state.since : (state.period ?? null),
    until: isFixed ? state.until : null,
    group_by: state.by ?? null,
  };
}

/** The state of the page that shows a view. */
function stateOf(view, now = Date.now()) {
  const columns = view.columns
    .map((name) => NAMES[name] ?? name)
    .filter((name) => name in COLUMNS || isField(name));
  return {
    filter: view.query || undefined,
    columns: columns.join() || undefined,
    by: view.group_by ?? undefined,
    ...periodOf(view, now),
    view: undefined,
    record: undefined,
    live: undefined,
  };
}

function periodOf({ since, until }, now) {
  if (!since && !until) return {};
  if (!until && LENGTHS.includes(since))
    return { period: since, since: undefined, until: undefined };
  const [from, to] = [momentOf(since, now) ?? now - presetMs("30d"), momentOf(until, now) ?? now];
  return {
    period: undefined,
    since: new Date(from).toISOString(),
    until: new Date(to).toISOString(),
  };
}

/** Milliseconds of an age or of a time; a time without an offset is UTC, as for the API. */
function momentOf(text, now) {
  if (!text) return null;
  const age = text.match(/^(\d+)([smhdw])$/);
  if (age) return now - Number(age[1]) * UNIT_MS[age[2]];
  const isNaive = /T/i.test(text) && !/(?:Z|[+-]\d\d:?\d\d)$/i.test(text);
  const moment = Date.parse(isNaive ? text + "Z" : text);
  return Number.isNaN(moment) ? null : moment;
}

/** Put the filters of a named view into the address; call `complain` when there is no such view. */
export async function enterView(name, signal, complain) {
  const { views } = await getJson("api/views", {}, signal);
  const view = views.find((one) => one.name === name);
  change(view ? stateOf(view) : { view: undefined }, { isStep: false });
  if (!view) complain(`there is no view “${name}”`);
}

/** Show the views; `choose` gets the state of one that is opened. */
export function openViews(state, choose) {
  const host = el("div", { id: "views" }, el("p", { class: "unit" }, "Loading …"));
  const bad = el("p", { class: "bad", role: "alert" });
  let views = [];
  const read = async () => {
    ({ views } = await getJson("api/views"));
    draw();
  };
  const act = async (action) => {
    bad.textContent = "";
    try {
      await action();
      await read();
    } catch (error) {
      bad.textContent = errorText(error) ?? "";
    }
  };
  let close = () => {};
  const draw = () =>
    host.replaceChildren(
      views.length
        ? el(
            "ul",
            { class: "saved-views" },
            views.map((view) => lineOf(view, act, open)),
          )
        : el(
            "p",
            { class: "unit" },
            "No views yet. One keeps filter, columns, period and grouping.",
          ),
    );
  const open = (view) => {
    close();
    choose(stateOf(view));
  };
  openDialog("Views", (end) => {
    close = end;
    return [
      host,
      saveForm(state, () => views, act),
      bad,
      el(
        "div",
        { class: "buttons end" },
        button("Close", () => end()),
      ),
    ];
  });
  act(async () => {});
}

function saveForm(state, known, act) {
  const name = el("input", {
    id: "view-name",
    maxlength: 100,
    required: true,
    autocomplete: "off",
  });
  const submit = async (event) => {
    event.preventDefault();
    const text = name.value.trim();
    const isThere = known().some((view) => view.name === text);
    if (isThere && !(await confirm("Replace the view?", `There is a view “${text}”.`, "Replace")))
      return;
    await act(() => sendJson("PUT", "api/views", { name: text, ...viewOf(state) }));
    name.value = "";
  };
  return el(
    "form",
    { class: "field-form", onsubmit: submit },
    el("label", {}, "Save what is shown as", name),
    el("button", { id: "view-save", class: "primary" }, "Save"),
  );
}

function lineOf(view, act, open) {
  const href = `requests?view=${encodeURIComponent(view.name)}`;
  const link = el("a", { href }, view.name);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    open(view);
  });
  return el(
    "li",
    {},
    el("div", { class: "view" }, link, unit(describe(view))),
    button("Rename", () => askName(view, act), { class: "link" }),
    button("Delete", () => askDeletion(view, act), { class: "link" }),
  );
}

function describe(view) {
  const period = view.since && `since ${view.since}${view.until ? ` until ${view.until}` : ""}`;
  const by = view.group_by && `by ${view.group_by}`;
  return [view.query, period, by].filter(Boolean).join(" · ");
}

async function askDeletion(view, act) {
  const text = `“${view.name}” is deleted for all who share it. Records stay.`;
  if (await confirm("Delete the view?", text, "Delete"))
    await act(() => sendJson("DELETE", `api/views/${encodeURIComponent(view.name)}`));
}

async function askName(view, act) {
  const name = el("input", { id: "new-name", maxlength: 100, required: true, value: view.name });
  const wanted = await openDialog("Rename the view", (close) =>
    el(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          close(name.value.trim());
        },
      },
      el("label", {}, "Name", name),
      el(
        "div",
        { class: "buttons end" },
        button("Cancel", () => close()),
        el("button", { class: "primary" }, "Rename"),
      ),
    ),
  );
  if (!wanted || wanted === view.name) return;
  const { changed_at: _, ...members } = view;
  await act(() => sendJson("PUT", "api/views", { ...members, name: wanted, replaces: view.name }));
}
