// A run in a file of its own: the data stands in the document, and nothing is loaded.

import { el } from "../lib/dom.js";
import { RunView, runTitle } from "./run-view.js";

const main = document.querySelector("main");
const pages = JSON.parse(document.querySelector("#run").textContent);
const view = new RunView();
const title = runTitle(pages[0]);
document.title = title;
main.append(el("div", { class: "page-head" }, el("h1", {}, title)), view.host);
for (const page of pages) view.add(page);
if (pages.at(-1).next_cursor)
  main.append(el("p", { class: "cut" }, "the rest of this run was too much for one file"));

document.addEventListener("keydown", (event) => {
  const isTaken = event.ctrlKey || event.altKey || event.metaKey;
  const act = isTaken ? undefined : view.keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
