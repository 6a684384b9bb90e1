// Where clients reach the proxied service: address, route and header of the data port, as the settings say.

import { getJson } from "./api.js";

const USUAL = {
  isOpen: true,
  route: "default",
  upstream: "your service",
  path: "/",
  keyHeader: "api-key",
};

/** What to show until the settings are known, and to callers who may not ask for them. */
export const usualPort = () => ({ url: `http://${location.hostname}:8080`, ...USUAL });

/**
 * Load the address of the data port; with `isKeyed`, a route that requires a key.
 * @param {{ isKeyed?: boolean, signal: AbortSignal }} options
 */
export async function dataPort({ isKeyed = false, signal }) {
  try {
    const {
      configuration: { proxy, routes },
    } = await getJson("/api/status", {}, signal);
    const port = proxy.listen.slice(proxy.listen.lastIndexOf(":") + 1);
    const host = /^(0\.0\.0\.0|\[::\]|\*|):/.test(proxy.listen)
      ? location.hostname
      : proxy.listen.slice(0, proxy.listen.lastIndexOf(":"));
    const route = (isKeyed && routes.find(({ auth }) => auth && auth !== "off")) || routes.at(-1);
    return {
      isOpen: proxy.data_port !== false,
      url: `${proxy.tls_cert_file ? "https" : "http"}://${host}:${port}`,
      route: route?.id ?? "none",
      upstream: route?.upstream ?? "no route is configured",
      path: route?.path ?? "/",
      keyHeader: route?.key_header ?? USUAL.keyHeader,
    };
  } catch {
    return usualPort(); // a reader may not ask for it
  }
}
