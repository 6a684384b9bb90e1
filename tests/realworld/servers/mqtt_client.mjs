// An MQTT client, MQTT.js: `mqtt_client.mjs NODE_MODULES URL PASSWORD`; prints what came of it, a line each.
import { createRequire } from "node:module";

const [modules, url, password] = process.argv.slice(2);
const mqtt = createRequire(`${modules}/`)("mqtt");
const client = mqtt.connect(`${url.replace("http", "ws")}/mqtt`, {
  username: "alice",
  password,
  reconnectPeriod: 0,
  will: { topic: "w/t", payload: "gone" },
});
let left = 2;
client.on("connect", async () => {
  await client.subscribeAsync("a/#", { qos: 1 });
  await client.publishAsync("a/text", "hello", { qos: 1 });
  await client.publishAsync("a/large", Buffer.alloc(200_000, "x"), { qos: 2 });
});
client.on("message", (topic, message) => {
  console.log(topic, message.length);
  if (--left === 0) client.end();
});
client.on("error", (error) => {
  console.log(error.message);
  client.end();
});
