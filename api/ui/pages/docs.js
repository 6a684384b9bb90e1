// The description of the API as a page: an article per operation, made of text nodes only.

export {}; // a module: it awaits at its top

const make = (name, ...children) => {
  const node = document.createElement(name);
  node.append(...children);
  return node;
};

// Text as descriptions write it: what stands between backticks is code.
const prose = (text) =>
  text.split("`").map((part, index) => (index % 2 ? make("code", part) : part));

// Our own API first, then the pages, then the dialects of others, in the order in which they are described.
const OWN = /^\/api\/(?!clients|mcp-logs|proxy-logs|request-logs)/;
const DIALECT = /^\/(api|v1)\//;
const rankOf = (path) => (OWN.test(path) ? 0 : DIALECT.test(path) ? 2 : 1);

const typeOf = (schema) => {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.filter((one) => one !== "" && one !== null).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  const bounds = [
    ["from", schema.minimum],
    ["to", schema.maximum],
    ["default", schema.default],
  ];
  const described = bounds
    .filter(([, value]) => value !== undefined && !(Math.abs(value) > Number.MAX_SAFE_INTEGER))
    .map(([word, value]) => `${word} ${value}`);
  return [schema.type ?? "anything", ...described].join(", ");
};

const parameters = (list) => {
  const rows = list.map((each) =>
    make(
      "tr",
      make("td", make("code", each.name)),
      make("td", each.in),
      make("td", typeOf(each.schema)),
      make("td", ...prose(each.schema.description ?? "")),
    ),
  );
  const head = make(
    "tr",
    ...["Parameter", "In", "Type", "Meaning"].map((word) => {
      const cell = make("th", word);
      cell.scope = "col";
      return cell;
    }),
  );
  return make("table", make("thead", head), make("tbody", ...rows));
};

const responseList = (responses) =>
  make(
    "ul",
    ...Object.entries(responses).map(([status, response]) => {
      const kinds = Object.entries(response.content ?? {}).map(
        ([media, { schema }]) => `${media}: ${typeOf(schema)}`,
      );
      return make(
        "li",
        make("code", status),
        " ",
        ...prose(response.description),
        kinds.length ? ` (${kinds.join("; ")})` : "",
      );
    }),
  );

const filterLink = () => {
  const link = make("a", "filters");
  link.href = "#filters";
  return link;
};

/** The parameters that operations share: each is a term of the search. */
const filters = (shared) => {
  const node = make(
    "article",
    make("h2", "Filters"),
    make(
      "p",
      "Each is a term of the search: ",
      make("code", "model=x"),
      " is ",
      make("code", 'model:"x"'),
      ".",
    ),
    parameters(Object.values(shared)),
  );
  node.id = "filters";
  return node;
};

const article = (path, method, operation) => {
  const node = make(
    "article",
    make("h2", make("code", `${method.toUpperCase()} ${path}`)),
    make("p", ...prose(operation.summary)),
  );
  node.id = operation.operationId;
  if (operation.security?.length === 0) node.append(make("p", "No token required."));
  const own = operation.parameters.filter((each) => !each.$ref);
  if (own.length < operation.parameters.length)
    node.append(make("p", "Takes the ", filterLink(), "."));
  if (own.length) node.append(parameters(own));
  const details = make("details", make("summary", "Responses"), responseList(operation.responses));
  node.append(details);
  return node;
};

const shape = (name, schema) => {
  const node = make(
    "article",
    make("h2", make("code", name)),
    make("p", ...prose(schema.description ?? "")),
  );
  const members = Object.entries(schema.properties ?? {}).map(([member, type]) =>
    make(
      "tr",
      make("td", make("code", member)),
      make("td", typeOf(type)),
      make("td", schema.required?.includes(member) ? "always present" : "may be absent"),
    ),
  );
  node.append(make("table", make("tbody", ...members)));
  node.id = name;
  return node;
};

const contents = (paths) => {
  const list = make(
    "ul",
    ...Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => {
        const link = make("a", make("code", `${method.toUpperCase()} ${path}`));
        link.href = `#${operation.operationId}`;
        return make(
          "li",
          link,
          " ",
          ...prose(operation.summary === path ? "A page of the UI." : operation.summary),
        );
      }),
    ),
  );
  const node = make("nav", make("h2", "Operations"), list);
  node.setAttribute("aria-label", "Operations");
  return node;
};

const show = (document_) => {
  document_.paths = Object.fromEntries(
    Object.entries(document_.paths).sort(([a], [b]) => rankOf(a) - rankOf(b)),
  );
  const main = document.getElementById("operations");
  const nodes = Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => article(path, method, operation)),
  );
  nodes.push(
    filters(document_.components.parameters),
    ...Object.entries(document_.components.schemas).map(([name, schema]) => shape(name, schema)),
  );
  main.replaceChildren(contents(document_.paths), ...nodes);
  document.getElementById("search").addEventListener("input", (event) => {
    const words = /** @type {HTMLInputElement} */ (event.target).value.toLowerCase().split(/\s+/);
    for (const node of nodes) {
      const text = node.textContent.toLowerCase();
      node.hidden = !words.every((word) => text.includes(word));
    }
  });
};

try {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  show(await response.json());
} catch (error) {
  document.getElementById("operations").textContent =
    `Could not load the description: ${error.message}`;
}
