// The service of grpc_server.py, by grpc-js: `grpc_server.mjs NODE_MODULES PORT`.
import { createRequire } from "node:module";

const [modules, port] = process.argv.slice(2);
const grpc = createRequire(`${modules}/`)("@grpc/grpc-js");
const same = (message) => message;

function echo(call, answer) {
  const trailers = new grpc.Metadata();
  trailers.set("x-raw-bin", Buffer.from([0, 0xff]));
  trailers.set("x-text", "v");
  for (const value of call.metadata.get("x-sent-bin")) trailers.set("x-sent-bin", value);
  answer(null, call.request, trailers);
}

function fail(call, answer) {
  answer({ code: grpc.status.INVALID_ARGUMENT, details: "50 % of ä" });
}

function slow() {}

function count(call) {
  for (let number = 0; number < Number(call.request); number++) call.write(Buffer.from(`${number}`));
  call.end();
}

function forever(call) {
  const ticking = setInterval(() => call.write(Buffer.from("tick")), 10);
  call.on("cancelled", () => clearInterval(ticking));
}

function add(call, answer) {
  let sum = 0;
  call.on("data", (message) => (sum += message.length));
  call.on("end", () => answer(null, Buffer.from(`${sum}`)));
}

function first(call, answer) {
  call.once("data", (message) => answer(null, message));
}

function chat(call) {
  call.on("data", (message) => call.write(message));
  call.on("end", () => call.end());
}

const HANDLERS = { Echo: echo, Fail: fail, Slow: slow, Count: count, Forever: forever, Add: add, First: first, Chat: chat };
const service = Object.fromEntries(
  Object.keys(HANDLERS).map((name) => [
    name,
    {
      path: `/test.Service/${name}`,
      requestStream: ["Add", "First", "Chat"].includes(name),
      responseStream: ["Count", "Forever", "Chat"].includes(name),
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  ]),
);
const server = new grpc.Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
server.addService(service, HANDLERS);
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
