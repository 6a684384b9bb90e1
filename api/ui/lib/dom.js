// Elements from values. Text becomes text nodes, never markup: what a service sent cannot run here.

export const $ = (id) => document.getElementById(id);

/** Make an element; `attributes` may hold `on…` listeners, `null` and `false` are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return put(element, children);
}

/** Append children, and those of lists among them; what is absent is left out. */
export function put(element, children) {
  const isThere = (child) => child !== null && child !== undefined && child !== false;
  for (const child of children.flat(Infinity).filter(isThere)) element.append(child); // too many for one call
  return element;
}

/** Write a text where it is another: what is the same is not read aloud again, and a selection in it stays. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const FOCUSABLE = "a[href], button, input, select, summary, [tabindex]";
const nameOf = (element) =>
  element.dataset.name ??
  (element.id || element.getAttribute("href") || element.ariaLabel || element.textContent);

/** Replace what a host has; the focus passes on to what stands for the element that had it. */
export function redraw(host, ...nodes) {
  const focused = host.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  host.replaceChildren(...nodes);
  if (focused === null || host.contains(document.activeElement)) return;
  const now = [...host.querySelectorAll(FOCUSABLE)].find((one) => nameOf(one) === focused);
  /** @type {HTMLElement | undefined} */ (now)?.focus({ preventScroll: true });
}

/** Replace what a host has, but not what looks the same: that keeps the focus, and what is selected in it. */
export function renew(host, ...nodes) {
  const shown = [...host.children];
  nodes.forEach((node, index) => {
    if (!shown[index]) host.append(node);
    else if (!shown[index].isEqualNode(node)) shown[index].replaceWith(node);
  });
  for (const rest of shown.slice(nodes.length)) rest.remove();
}

/** Secondary text: units, notes, what is absent. */
export const unit = (...content) => el("span", { class: "unit" }, content);

/** A number and its unit; zero is set back. */
export const quantity = ([number, name]) => [number === "0" ? unit(number) : number, unit(name)];

/** One of the figures at the top of a page. */
export const statistic = (name, [number, unitName], note, grade = "") =>
  el(
    "div",
    {},
    el("dt", {}, name),
    el("dd", {}, el("span", { class: "number" }, number), unit(unitName)),
    el("dd", { class: `note ${grade}` }, note),
  );

/** The mark of a grade; shape and colour come from the class of its parent. */
export const gradeMark = () => el("span", { class: "grade", "aria-hidden": "true" });

/** A button that submits nothing. */
export const button = (label, onclick, attributes = {}) =>
  el("button", { type: "button", onclick, ...attributes }, label);

/** A row of a table that a click or Enter opens. */
export function openableRow(attributes, open, ...cells) {
  const onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    open();
  };
  return el("tr", { tabindex: 0, ...attributes, onclick: () => open(), onkeydown }, cells);
}

/** A row of a table that a click opens and closes; its first cell is the button that says so. */
export function expandableRow(attributes, toggle, cells) {
  const [first] = cells;
  first.replaceChildren(
    el(
      "button",
      { type: "button", class: "opens", "data-name": "open", "aria-expanded": "false" },
      [...first.childNodes],
    ),
  );
  const onclick = ({ target }) => target.closest("a, button:not(.opens)") || toggle();
  return el("tr", { ...attributes, onclick }, cells);
}

/** Show that an expandable row is open, or closed. */
export function setOpen(row, isOpen) {
  row.classList.toggle("open", isOpen);
  row.querySelector(".opens").setAttribute("aria-expanded", String(isOpen));
}

/** A table from the names of its columns and its rows; cells of the columns in `figures` are numbers. */
export function table(attributes, names, body, figures = []) {
  const heads = names.map((name) =>
    el("th", { scope: "col", class: figures.includes(name) ? "figure" : null }, name),
  );
  return el("table", attributes, el("thead", {}, el("tr", {}, heads)), body);
}

/** The head of a column of buttons, which only a screen reader says. */
export const actionsHead = () => el("span", { class: "hidden" }, "Actions");

/** The ruled head of a section: its title, a note, and what stands at the right end. */
export const sectionHead = (title, note = "", ...end) =>
  el("div", { class: "section-head" }, el("h2", {}, title, " ", note && unit(note)), end);
