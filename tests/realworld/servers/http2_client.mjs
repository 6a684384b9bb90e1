// What http2_client.py does, by Node's http2: `http2_client.mjs URL CERTIFICATE`.
import { readFileSync } from "node:fs";
import { connect, constants } from "node:http2";

const [url, certificate] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const LARGE = Buffer.alloc(8 << 20, Buffer.from([...Array(256).keys()]));
const session = connect(origin, { ca: readFileSync(certificate) });

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": pathname + path });
    const parts = [];
    let status;
    stream.on("response", (fields) => (status = fields[":status"]));
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => resolve([status, Buffer.concat(parts)]));
    stream.on("error", reject);
    stream.end(body);
  });
}

const sizes = ([status, body]) => [status, body.length];

function cancel() {
  return new Promise((resolve) => {
    const stream = session.request({ ":path": `${pathname}/endless` });
    stream.once("data", () => stream.close(constants.NGHTTP2_CANCEL));
    stream.on("close", resolve);
  });
}

const told = {
  GET: sizes(await ask("GET", "/small")),
  HEAD: sizes(await ask("HEAD", "/small")),
  missing: (await ask("GET", "/missing"))[0],
};
const [status, body] = await ask("GET", "/large");
told.large = [status, body.equals(LARGE) ? body.length : -1];
const [echoed, back] = await ask("POST", "/echo", LARGE);
told.upload = [echoed, back.equals(LARGE) ? back.length : -1];
const asked = Array.from({ length: 50 }, () => ask("GET", "/small"));
told["at once"] = (await Promise.all(asked)).filter(([status]) => status === 200).length;
await cancel();
console.log(JSON.stringify(told));
session.close();
