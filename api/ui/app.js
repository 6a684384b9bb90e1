// The requests page: what is in the address is what is shown. Polls every two seconds; pausing never loses the place.

import { $, el, place } from "./dom.js";
import { count } from "./format.js";
import { ask, Problem } from "./http.js";
import { drawLedger } from "./ledger.js";
import { makeRow } from "./list.js";
import { isId, parse } from "./query.js";
import { drawSheet, drawSheetError } from "./sheet.js";

const POLL_MS = 2000;
const PAGE = 100;
const MAX_ROWS = 2000; // older ones are a filter or a period away
const PERIODS = [["15m", "15 m"], ["1h", "1 h"], ["24h", "24 h"], ["7d", "7 d"], ["", "All"]];

const state = { filter: "", period: "", open: null, records: [], flying: [], cursor: null, complete: true, pending: null, paused: false };
const rows = new Map(); // record id → {record, row}
let question = new AbortController(); // ended when filter or period change: late answers must not be shown
let failedAt = null;

// --- address ---------------------------------------------------------------------------------------------------

function readAddress() {
  const query = new URLSearchParams(location.search);
  state.filter = query.get("filter") ?? "";
  state.period = query.get("period") ?? "";
  state.open = query.get("record");
  $("filter").value = state.filter;
}

function writeAddress(isStep) {
  const query = new URLSearchParams();
  if (state.filter) query.set("filter", state.filter);
  if (state.period) query.set("period", state.period);
  if (state.open) query.set("record", state.open);
  const text = query.toString();
  const address = text ? `/requests?${text}` : "/requests";
  history[isStep ? "pushState" : "replaceState"](null, "", address);
}

// --- reading ---------------------------------------------------------------------------------------------------

function parameters() {
  const read = parse(state.filter);
  $("filter-error").textContent = read.error ?? "";
  if (read.error) return null;
  return { ...read.parameters, ...(state.period && { since: state.period }), limit: PAGE };
}

function take(answer) {
  const stored = answer.records.filter((record) => !record.in_flight);
  state.flying = answer.records.filter((record) => record.in_flight);
  const known = state.records[0]?.seq ?? 0;
  const fresh = stored.filter((record) => record.seq > known);
  const hasHole = stored.length > 0 && fresh.length === stored.length;
  if (known === 0 || hasHole || fresh.length + state.records.length > MAX_ROWS) {
    state.records = stored;
    state.cursor = answer.next_cursor;
    state.complete = answer.complete;
  } else state.records = [...fresh, ...state.records];
  draw();
}

async function readNewest() {
  const asked = parameters();
  if (asked === null) return;
  const { signal } = question;
  const answer = await ask("/api/records", { ...asked, in_flight: true }, signal);
  if (signal.aborted) return;
  if (!state.paused) return take(answer);
  state.pending = answer;
  drawLive();
}

async function readOlder() {
  const asked = parameters();
  if (asked === null) return;
  const { signal } = question;
  const answer = await ask("/api/records", { ...asked, cursor: state.cursor }, signal);
  if (signal.aborted) return;
  state.records = [...state.records, ...answer.records];
  state.cursor = answer.next_cursor;
  state.complete = answer.complete;
  draw();
}

async function poll() {
  if (!document.hidden) {
    try {
      await Promise.all([readNewest(), drawLedger()]);
      failedAt = null;
    } catch (error) {
      noteFailure(error);
    }
    drawConnection();
  }
  setTimeout(poll, POLL_MS);
}

function noteFailure(error) {
  if (error.name === "AbortError") return;
  if (error instanceof Problem && error.status === 400) $("filter-error").textContent = error.message;
  else failedAt ??= { time: Date.now(), text: error instanceof Problem ? error.message : "sidelog does not answer" };
}

function renew() {
  question.abort();
  question = new AbortController();
  Object.assign(state, { records: [], flying: [], cursor: null, complete: true, pending: null });
  readNewest().then(drawConnection).catch(noteFailure);
}

// --- showing ---------------------------------------------------------------------------------------------------

function rowOf(record) {
  const made = rows.get(record.id);
  if (made && !made.record.in_flight) return made.row;
  const row = makeRow(record, openRecord);
  rows.set(record.id, { record, row });
  return row;
}

function draw() {
  const shown = [...state.flying, ...state.records];
  const wanted = new Set(shown.map((record) => record.id));
  for (const id of rows.keys()) if (!wanted.has(id)) rows.delete(id);
  const focused = document.activeElement?.dataset?.id;
  place($("rows"), shown.map(rowOf));
  if (focused && rows.has(focused)) rows.get(focused).row.focus({ preventScroll: true });
  markOpen();
  drawFoot(shown.length);
  drawLive();
}

function markOpen() {
  for (const [id, { row }] of rows) {
    if (id === state.open) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function drawFoot(number) {
  const foot = $("foot");
  $("table").hidden = number === 0;
  if (number === 0 && state.complete) return foot.replaceChildren(...(state.filter || state.period ? noMatch() : nothingYet()));
  const more = el("button", { type: "button", onclick: () => readOlder().catch(noteFailure) },
    state.complete ? "Older records" : "Go on searching");
  foot.replaceChildren(el("p", { class: "unit" }, `${count(number)} shown`), state.cursor ? more : el("p", { class: "unit" }, "end of the log"));
}

function nothingYet() {
  return [el("h1", {}, "Nothing has passed through yet"),
    el("p", {}, "sidelog is listening. Send one request through its data port and this page fills itself, no reload needed."),
    el("pre", {}, `curl -i http://${location.hostname}:8080/`),
    el("p", { class: "unit" }, "The data port is 8080 unless configured otherwise. The answer is your service’s own; one header is added, x-sidelog-id. Paste its value into the box above.")];
}

function noMatch() {
  return [el("h1", {}, "No record matches"),
    el("p", {}, state.filter && el("code", { class: "chip" }, state.filter), state.period && ` within ${state.period}`),
    state.period ? el("button", { type: "button", onclick: () => setPeriod("") }, "Search all time") : null,
    state.filter ? el("button", { type: "button", onclick: () => setFilter("") }, "Clear the filter") : null].filter(Boolean);
}

function drawLive() {
  const button = $("live");
  button.setAttribute("aria-pressed", String(state.paused));
  const known = state.records[0]?.seq ?? 0;
  const fresh = state.paused ? (state.pending?.records ?? []).filter((record) => record.seq > known) : [];
  const bad = fresh.filter((record) => record.level === "error").length;
  const text = !state.paused ? "Pause " : `Resume · ${fresh.length}${fresh.length >= PAGE ? "+" : ""} new${bad ? `, ${bad} failed` : ""} `;
  button.replaceChildren(text, el("kbd", { "aria-hidden": "true" }, "Space"));
}

function drawConnection() {
  const connection = $("connection");
  connection.className = failedAt ? "connection away" : "connection";
  connection.textContent = failedAt ? "Disconnected" : state.paused ? "Paused" : "Connected";
  const isLong = failedAt !== null && Date.now() - failedAt.time > 3000;
  $("disconnected").hidden = !isLong;
  if (isLong) $("disconnected").textContent = `${failedAt.text}. What is shown is from ${new Date(failedAt.time).toLocaleTimeString()}.`;
}

function drawPeriods() {
  $("periods").replaceChildren(...PERIODS.map(([value, label]) => el("button", {
    type: "button", "aria-pressed": String(value === state.period), onclick: () => setPeriod(value),
  }, label)));
}

// --- doing -----------------------------------------------------------------------------------------------------

function setFilter(text) {
  if (isId(text)) {
    $("filter").value = state.filter;
    return openId(text.trim());
  }
  if (text === state.filter) return;
  state.filter = $("filter").value = text;
  writeAddress(true);
  renew();
}

function setPeriod(value) {
  state.period = value;
  drawPeriods();
  writeAddress(true);
  renew();
}

function setPaused(isPaused) {
  state.paused = isPaused;
  if (!isPaused && state.pending) take(state.pending);
  state.pending = null;
  drawLive();
  drawConnection();
}

function openRecord(record) {
  drawSheet(record, closeSheet, moveSheet);
  openId(record.id);
}

async function openId(id, isStep = true) {
  if (isStep && state.open !== id) {
    state.open = id;
    writeAddress(true);
  }
  markOpen();
  try {
    const record = await ask(`/api/records/${encodeURIComponent(id)}`);
    if (state.open !== id) return;
    state.open = record.id;
    writeAddress(false);
    drawSheet(record, closeSheet, moveSheet);
    markOpen();
  } catch (error) {
    if (state.open === id) drawSheetError(error.message, closeSheet);
  }
}

function closeSheet() {
  const id = state.open;
  state.open = null;
  $("sheet").hidden = true;
  $("sheet").replaceChildren();
  writeAddress(true);
  markOpen();
  rows.get(id)?.row.focus();
}

function moveSheet(step) {
  const shown = [...$("rows").children];
  const at = shown.findIndex((row) => row.dataset.id === (state.open ?? document.activeElement?.dataset?.id));
  const row = shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
  if (!row) return;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
  if (state.open) openRecord(rows.get(row.dataset.id).record);
}

function toggleTheme() {
  const isDark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
}

const KEYS = {
  "/": () => $("filter").focus(),
  j: () => moveSheet(1),
  k: () => moveSheet(-1),
  ArrowDown: () => moveSheet(1),
  ArrowUp: () => moveSheet(-1),
  " ": () => setPaused(!state.paused),
  l: () => setPaused(false),
  e: () => setFilter(state.filter === "level:error" ? "" : "level:error"),
  c: () => document.querySelector("[data-copy=curl]")?.click(),
  y: () => document.querySelector("[data-copy=link]")?.click(),
  t: toggleTheme,
  Escape: () => (state.open ? closeSheet() : setFilter("")),
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const isTyping = event.target instanceof HTMLInputElement;
  if (isTyping && event.key === "Escape") return event.target.blur();
  const isPressing = event.key === " " && event.target.closest("button, a");
  const isReading = event.key.startsWith("Arrow") && event.target.closest(".sheet");
  if (isTyping || isPressing || isReading || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

function restore() {
  readAddress();
  drawPeriods();
  renew();
  if (state.open) openId(state.open, false);
  else $("sheet").hidden = true;
  markOpen();
}

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
document.addEventListener("keydown", onKey);
addEventListener("popstate", restore);
$("tools").addEventListener("submit", (event) => { event.preventDefault(); setFilter($("filter").value.trim()); });
$("filter").addEventListener("change", () => setFilter($("filter").value.trim()));
$("live").addEventListener("click", () => setPaused(!state.paused));
$("logout").addEventListener("click", async () => { await fetch("/logout", { method: "POST" }); location.assign("/login"); });
restore();
drawLedger().catch(noteFailure);
setTimeout(poll, POLL_MS);
