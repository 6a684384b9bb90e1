// No requests yet: one command, a live wait, where clients point, and the usual failures by their code.

import { button, el, gradeMark, unit } from "../lib/dom.js";
import { copyButton } from "../lib/controls.js";
import { dataPort, usualPort } from "../lib/data-port.js";

const TROUBLES = [
  [
    "error",
    "upstream_refused",
    "Your service is not listening at the upstream address. Start it, or set --upstream.",
  ],
  ["warn", "no_route", "The path matches no route. sidelog config show lists them."],
  ["", "no record", "The client bypasses the proxy. Usual causes: NO_PROXY, or a fixed base URL."],
  [
    "",
    "still stuck",
    "Run sidelog doctor. It checks ports, file descriptors, /dev/shm and the store.",
  ],
];

/** Show the recipe; the page turns into the overview by itself. */
export async function emptyState(host, signal) {
  draw(host, usualPort(), signal);
  const port = await dataPort({ signal });
  if (port.isRefused)
    drawText(host, "Nothing that your token may see has been recorded. What comes appears here.");
  else if (port.isOpen) draw(host, port, signal);
  else
    drawText(
      host,
      "This sidelog has no data port: it shows what others record in its store. Start one with an upstream and the same ",
      el("code", {}, "storage.url"),
      ", and its requests appear here.",
    );
}

/** In place of the recipe, where there is no address to send a request to, or none that may be shown. */
function drawText(host, ...text) {
  clearInterval(host.timer);
  host.replaceChildren(el("h1", { class: "large" }, "No requests yet"), el("p", {}, text));
}

function draw(host, { place, url, curl, route, upstream }, signal) {
  const clients = {
    Python: `import urllib.request\nprint(urllib.request.urlopen("${url}/").status)`,
    "OpenAI client": `OPENAI_BASE_URL=${url}/v1`,
    "Anthropic client": `ANTHROPIC_BASE_URL=${url}`,
    "MCP client": `"url": "${url}/mcp"`,
  };
  const examples = { curl: `${curl} -i ${url}/`, ...(place === url ? clients : {}) };
  const code = el("pre", { id: "recipe", tabindex: 0 }, examples.curl);
  const copyCode = copyButton("Copy", () => code.textContent, { class: "primary" });
  const tabs = el(
    "div",
    { class: "tabs", role: "group", "aria-label": "Client" },
    Object.keys(examples).map((name) =>
      button(
        name,
        (event) => {
          code.textContent = examples[name];
          for (const other of tabs.children)
            other.setAttribute("aria-pressed", String(other === event.target));
        },
        { "aria-pressed": String(name === "curl") },
      ),
    ),
  );
  const waited = el("span", { class: "mono" }, "0 s");
  const since = Date.now();
  clearInterval(host.timer);
  host.timer = setInterval(() => {
    waited.textContent = `${Math.round((Date.now() - since) / 1000)} s`;
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(host.timer));
  const pointer = (name, text) =>
    el(
      "div",
      {},
      el("dt", {}, name),
      el("dd", { class: "mono" }, text),
      copyButton("Copy", () => text),
    );
  host.replaceChildren(
    el("h1", { class: "large" }, "No requests yet"),
    el("p", {}, "sidelog is listening. Send a request through it and it appears here."),
    el(
      "div",
      { class: "path-line" },
      el("div", {}, unit("Your client"), el("strong", {}, "anything that speaks HTTP")),
      el("span", { class: "arrow", "aria-hidden": "true" }, "⟶"),
      el("div", { class: "here" }, unit("sidelog"), el("code", {}, place)),
      el("span", { class: "arrow", "aria-hidden": "true" }, "⟶"),
      el("div", {}, unit(`Your service, route ${route}`), el("code", {}, upstream)),
    ),
    el(
      "div",
      { class: "recipe-grid" },
      el(
        "ol",
        {},
        el(
          "li",
          {},
          el("h2", {}, "Send a request"),
          tabs,
          el("div", { class: "code-line" }, code, copyCode),
          el(
            "p",
            { class: "unit" },
            "The response comes from your service, with one header added: ",
            el("code", {}, "x-sidelog-id"),
            ". Paste its value into the search box to find the record.",
          ),
        ),
        el(
          "li",
          {},
          el("h2", {}, "Find it here"),
          el(
            "p",
            { class: "waiting-box", role: "status" },
            el("span", { class: "flying" }, gradeMark()),
            "Waiting for the first request ",
            waited,
          ),
        ),
        el(
          "li",
          {},
          el("h2", {}, "Point your clients at it"),
          el(
            "dl",
            { class: "pointers" },
            pointer("Any HTTP client", place),
            ["OpenAI client", "Anthropic client", "MCP client"]
              .filter((name) => name in examples)
              .map((name) => pointer(name, examples[name])),
          ),
        ),
      ),
      el(
        "aside",
        {},
        el("h2", { class: "unit" }, "If nothing arrives"),
        TROUBLES.map(([grade, name, text]) =>
          el("div", {}, el("code", { class: `chip ${grade}` }, name), el("p", {}, text)),
        ),
        el("h2", { class: "unit" }, "No service to try"),
        el(
          "p",
          {},
          el("code", {}, "make run"),
          " in a clone of sidelog starts one, with JSON, LLM, MCP, gRPC and WebSocket traffic.",
        ),
      ),
    ),
  );
}
