// Nothing has passed through yet: one command, a live wait, where clients point, and the usual failures by their code.

import { copy, el } from "../lib/dom.js";
import { dataPort, usualPort } from "../lib/data-port.js";

const TROUBLES = [
  [
    "error",
    "upstream_refused",
    "Your service does not listen where the route points. Start it, or set --upstream.",
  ],
  ["warn", "no_route", "The path matches no route. sidelog config show lists them."],
  [
    "",
    "no answer at all",
    "The client goes round the proxy. NO_PROXY or a pinned base URL are the usual causes.",
  ],
  ["", "still stuck", "Run sidelog doctor. It checks ports, descriptors, /dev/shm and the store."],
];

/** Show the recipe; the page turns into the overview by itself. */
export async function emptyState(host, signal) {
  draw(host, usualPort(), signal);
  draw(host, await dataPort({ signal }), signal);
}

function draw(host, { url, route, upstream }, signal) {
  const examples = {
    curl: `curl -i ${url}/`,
    Python: `import urllib.request\nprint(urllib.request.urlopen("${url}/").status)`,
    "OpenAI client": `OPENAI_BASE_URL=${url}/v1`,
    "Anthropic client": `ANTHROPIC_BASE_URL=${url}`,
    "MCP client": `"url": "${url}/mcp"`,
  };
  const code = el("pre", { id: "recipe", tabindex: 0 }, examples.curl);
  const copyCode = el(
    "button",
    { type: "button", class: "primary", onclick: () => copy(code.textContent, copyCode) },
    "Copy",
  );
  const tabs = el(
    "div",
    { class: "tabs", role: "group", "aria-label": "Client" },
    Object.keys(examples).map((name) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": String(name === "curl"),
          onclick: (event) => {
            code.textContent = examples[name];
            for (const other of tabs.children)
              other.setAttribute("aria-pressed", String(other === event.target));
          },
        },
        name,
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
  const pointer = (name, text) => {
    const button = el(
      "button",
      { type: "button", class: "link", onclick: () => copy(text, button) },
      "Copy",
    );
    return el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, text), button);
  };
  host.replaceChildren(
    el("h1", { class: "large" }, "Nothing has passed through yet"),
    el(
      "p",
      {},
      "sidelog is listening. Send one request through it and this page fills itself, no reload needed.",
    ),
    el(
      "div",
      { class: "path-line" },
      el(
        "div",
        {},
        el("span", { class: "unit" }, "Your client"),
        el("strong", {}, "anything that speaks HTTP"),
      ),
      el("span", { class: "arrow", "aria-hidden": "true" }, "⟶"),
      el("div", { class: "here" }, el("span", { class: "unit" }, "sidelog"), el("code", {}, url)),
      el("span", { class: "arrow", "aria-hidden": "true" }, "⟶"),
      el(
        "div",
        {},
        el("span", { class: "unit" }, `Your service, route ${route}`),
        el("code", {}, upstream),
      ),
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
            "The answer is your service’s own. One header is added: ",
            el("code", {}, "x-sidelog-id"),
            ". Paste its value into the search box to find the record.",
          ),
        ),
        el(
          "li",
          {},
          el("h2", {}, "See it here"),
          el(
            "p",
            { class: "waiting-box", role: "status" },
            el("span", { class: "flying" }, el("span", { class: "grade" })),
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
            pointer("Any HTTP client", url),
            pointer("OpenAI client", examples["OpenAI client"]),
            pointer("Anthropic client", examples["Anthropic client"]),
            pointer("MCP client", examples["MCP client"]),
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
        el("h2", { class: "unit" }, "No service at hand"),
        el(
          "p",
          {},
          el("code", {}, "make run"),
          " starts a demo with JSON, LLM, MCP and WebSocket traffic.",
        ),
      ),
    ),
  );
}
