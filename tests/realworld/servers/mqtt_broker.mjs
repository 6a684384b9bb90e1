// An MQTT broker over WebSockets, Aedes: `mqtt_broker.mjs NODE_MODULES PORT`; it knows one user.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [modules, port] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Aedes } = require("aedes");
const { WebSocketServer, createWebSocketStream } = require("ws");

const broker = await Aedes.createBroker({
  authenticate: (_client, user, password, done) =>
    user === "alice" && String(password) === "canary-right"
      ? done(null, true)
      : done(Object.assign(new Error("refused"), { returnCode: 4 }), false),
});
const server = createServer((_request, response) => response.end("a broker\n"));
new WebSocketServer({ server, path: "/mqtt" }).on("connection", (socket, request) =>
  broker.handle(createWebSocketStream(socket), request),
);
server.listen(Number(port), "127.0.0.1");
