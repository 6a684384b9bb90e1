// Where the parts of the requests page stand: tools above; filters, chart with log, and the open record beside each other.

import { button, el } from "../lib/dom.js";

/** On a narrow screen, where there is room for a few of the tools: shows the others as well. */
function moreButton() {
  const more = button(
    "More",
    () => {
      const isOpen = more.parentElement.classList.toggle("all");
      more.setAttribute("aria-expanded", String(isOpen));
    },
    { class: "more-tools", "aria-expanded": "false" },
  );
  return more;
}

/** The parts in their places; the last are buttons that no other code needs later. */
export const arranged = (page, { columns, views, exporting, alerting }) => [
  el("h1", { class: "hidden" }, "Requests"),
  el(
    "div",
    { class: "tools" },
    page.box.form,
    el(
      "div",
      { class: "tool-buttons" },
      page.filtersButton,
      columns,
      views,
      page.grouping.control,
      page.periodHost,
      page.liveButton,
      page.choice.button,
      alerting,
      exporting,
      page.sum,
      moreButton(),
    ),
    page.box.bad,
  ),
  el(
    "div",
    { class: "split" },
    page.panel,
    el("div", { class: "middle" }, page.chartHost, page.bar.host, page.choice.host, page.log),
    page.sheet.host,
  ),
];
