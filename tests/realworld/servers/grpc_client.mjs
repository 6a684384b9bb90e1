// What grpc_client.py does, by grpc-js: `grpc_client.mjs NODE_MODULES TARGET`.
import { createRequire } from "node:module";

const [modules, target] = process.argv.slice(2);
const grpc = createRequire(`${modules}/`)("@grpc/grpc-js");
const UNLIMITED = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
const same = (message) => message;

function connect(options = {}) {
  return new grpc.Client(target, grpc.credentials.createInsecure(), { ...UNLIMITED, ...options });
}

const client = connect();
const later = (seconds) => ({ deadline: Date.now() + seconds * 1000 });
const path = (method) => `/test.Service/${method}`;

function unary(method, message, { by = client, metadata = new grpc.Metadata(), seconds = 60 } = {}) {
  return new Promise((resolve, reject) => {
    let trailers;
    const call = by.makeUnaryRequest(path(method), same, same, Buffer.from(message), metadata, later(seconds), (error, answer) =>
      error ? reject(error) : setImmediate(() => resolve([answer, trailers])),
    );
    call.on("status", (status) => (trailers = status.metadata));
  });
}

function upload(method, pieces) {
  return new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest(path(method), same, same, new grpc.Metadata(), later(60), (error, answer) =>
      error ? reject(error) : resolve(answer.toString()),
    );
    for (let left = pieces; left; left--) call.write(Buffer.alloc(1000, "a"));
    call.end();
  });
}

function stream(method, message) {
  return client.makeServerStreamRequest(path(method), same, same, Buffer.from(message), later(60));
}

async function count() {
  let found = 0;
  for await (const _ of stream("Count", "1000")) found++;
  return found;
}

async function chat() {
  const call = client.makeBidiStreamRequest(path("Chat"), same, same, later(60));
  let at = 0;
  call.write(Buffer.from("0"));
  for await (const answer of call) {
    if (answer.toString() !== `${at}`) throw new Error(`${answer} is not ${at}`);
    if (++at < 100) call.write(Buffer.from(`${at}`));
    else call.end();
  }
  return at;
}

function cancel() {
  return new Promise((resolve) => {
    const call = stream("Forever", "");
    call.once("data", () => call.cancel());
    call.on("error", (error) => resolve(grpc.status[error.code]));
  });
}

async function metadata() {
  const sent = new grpc.Metadata();
  sent.set("x-sent-bin", Buffer.from([1, 0xfe]));
  const [, trailers] = await unary("Echo", "x", { metadata: sent });
  return Object.fromEntries(Object.entries(trailers.getMap()).map(([key, value]) => [key, value.toString(key.endsWith("-bin") ? "hex" : "utf8")]));
}

async function large() {
  const message = Buffer.alloc(8 << 20, Buffer.from([...Array(256).keys()]));
  return (await unary("Echo", message))[0].equals(message);
}

async function gzip() {
  const by = connect({ "grpc.default_compression_algorithm": 2 });
  const found = (await unary("Echo", "q".repeat(100_000), { by }))[0].length;
  by.close();
  return found;
}

async function atOnce() {
  const running = Array.from({ length: 300 }, (_, number) => unary("Echo", `${number}`));
  return (await Promise.all(running)).every(([answer], number) => answer.toString() === `${number}`);
}

const code = (call) => call.then(() => "OK", (error) => grpc.status[error.code] ?? error.message);
const cases = {
  unary: async () => (await unary("Echo", "hello"))[0].toString(),
  empty: async () => (await unary("Echo", ""))[0].length,
  metadata,
  failure: () => unary("Fail", "x").catch((error) => [grpc.status[error.code], error.details]),
  unknown: () => code(unary("Nowhere", "x")),
  deadline: () => code(unary("Slow", "x", { seconds: 0.5 })),
  "8 MiB": large,
  gzip,
  "server stream": count,
  "client stream": () => upload("Add", 1000),
  both: chat,
  cancel,
  "at once": atOnce,
};
const told = {};
for (const [name, run] of Object.entries(cases)) told[name] = await run().catch((error) => error.message);
console.log(JSON.stringify(told));
client.close();
