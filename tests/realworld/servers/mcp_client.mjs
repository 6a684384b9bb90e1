// The official TypeScript client of MCP: what the server `everything` can do, and what goes wrong with it.
//
// node mcp_client.mjs PACKAGE_JSON streamable|sse URL

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, kind, url] = process.argv.slice(2);
const { resolve } = createRequire(packages);
const load = (name) => import(pathToFileURL(resolve(`@modelcontextprotocol/sdk/${name}.js`)));
const { Client } = await load("client/index");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp");
const { SSEClientTransport } = await load("client/sse");
const { CreateMessageRequestSchema, ElicitRequestSchema } = await load("types");

const Transport = kind === "sse" ? SSEClientTransport : StreamableHTTPClientTransport;
const client = new Client(
  { name: "official-client", version: "1" },
  { capabilities: { sampling: {}, elicitation: {} } },
);
client.setRequestHandler(CreateMessageRequestSchema, () => ({
  role: "assistant",
  model: "m",
  content: { type: "text", text: "good day" },
}));
client.setRequestHandler(ElicitRequestSchema, () => ({ action: "decline" }));
await client.connect(new Transport(new URL(url)));

const heard = {};
let steps = 0;

async function call(name, given, options) {
  try {
    const result = await client.callTool({ name, arguments: given }, undefined, options);
    heard[name] = { isError: result.isError ?? false, text: result.content[0].text };
  } catch (error) {
    heard[name] = { code: error.code };
  }
}

const LONG = "trigger-long-running-operation";
await call("echo", { message: "milk" });
await call(LONG, { duration: 1, steps: 3 }, { onprogress: () => steps++ });
await call("trigger-sampling-request", { prompt: "Greet me" });
await call("trigger-elicitation-request", {});
await call("get-sum", { a: "one" });
await call("nowhere", {});
const read = await client.readResource({ uri: "demo://resource/dynamic/text/1" });
await client.getPrompt({ name: "nowhere" }).catch((error) => (heard.prompt = { code: error.code }));
await client.close();
process.stdout.write(JSON.stringify({ heard, hasProgressed: steps > 1, resources: read.contents.length }));
process.exit(0);
