// Vercel's AI SDK, with the tools of an MCP server: two questions in one conversation, of which the first needs a tool.
//
// node ai_sdk.mjs PACKAGE_JSON responses|chat|messages MODEL_URL MCP_URL

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, api, modelUrl, mcpUrl] = process.argv.slice(2);
const { resolve } = createRequire(packages);
const load = (name) => import(pathToFileURL(resolve(name)));
const { generateText, stepCountIs, streamText } = await load("ai");
const { createMCPClient } = await load("@ai-sdk/mcp");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createAnthropic } = await load("@ai-sdk/anthropic");

const at = { baseURL: `${modelUrl}/v1`, apiKey: "sk-test-5bf00d1e0c9a4d5e8a7b6c5d4e3f2a1b" };
const MODELS = {
  responses: () => createOpenAI(at)("gpt-5"),
  chat: () => createOpenAI(at).chat("gpt-4o"),
  messages: () => createAnthropic(at)("claude-sonnet-4-5"),
};
const model = MODELS[api]();
const messages = [{ role: "user", content: "What do my notes say?" }];
const client = await createMCPClient({ transport: { type: "http", url: mcpUrl } });
try {
  const { echo } = await client.tools();
  const first = streamText({ model, messages, tools: { echo }, stopWhen: stepCountIs(3) });
  const answers = [await first.text];
  const results = (await first.steps).flatMap((step) => step.toolResults);
  const said = (await first.response).messages;
  messages.push(...said, { role: "user", content: "Is that all?" });
  answers.push((await generateText({ model, messages })).text);
  process.stdout.write(JSON.stringify({ answers, results: results.map(({ output }) => output) }));
} finally {
  await client.close();
}
