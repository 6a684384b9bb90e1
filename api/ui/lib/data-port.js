// Where clients reach the proxied service: address, route and header of the data port, as the settings say.

import { ApiError, getJson } from "./api.js";

const USUAL = {
  isOpen: true,
  isRefused: false,
  route: "default",
  upstream: "your service",
  path: "/",
  keyHeader: "api-key",
};

/** What to show until the settings are known. */
export const usualPort = () => ({ url: `http://${location.hostname}:8080`, ...USUAL });

/**
 * Load the address of the data port, `isRefused` where the token has a scope; with `isKeyed`, a route that requires a key.
 * @param {{ isKeyed?: boolean, signal: AbortSignal }} options
 */
export async function dataPort({ isKeyed = false, signal }) {
  try {
    const {
      configuration: { proxy, routes },
    } = await getJson("api/status", {}, signal);
    const port = proxy.listen.slice(proxy.listen.lastIndexOf(":") + 1);
    const host = /^(0\.0\.0\.0|\[::\]|\*|):/.test(proxy.listen)
      ? location.hostname
      : proxy.listen.slice(0, proxy.listen.lastIndexOf(":"));
    const route = (isKeyed && routes.find(({ auth }) => auth && auth !== "off")) || routes.at(-1);
    return {
      isOpen: proxy.data_port !== false,
      isRefused: false,
      url: `${proxy.tls_cert_file ? "https" : "http"}://${host}:${port}`,
      route: route?.id ?? "none",
      upstream: route?.upstream ?? "no route is configured",
      path: route?.path ?? "/",
      keyHeader: route?.key_header ?? USUAL.keyHeader,
    };
  } catch (error) {
    const isRefused = error instanceof ApiError && error.status === 403;
    return { ...usualPort(), isRefused };
  }
}
