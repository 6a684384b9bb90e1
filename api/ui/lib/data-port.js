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
export const usualPort = () =>
  reachedAt({ listen: `${location.hostname}:8080`, tls_cert_file: "" });

/** Where clients find the port: the `place` to name, the `url` to ask for, and the `curl` that does; a Unix socket has a path. */
function reachedAt({ listen, tls_cert_file: certificate }) {
  const scheme = certificate ? "https" : "http";
  if (listen.startsWith("unix:")) {
    const curl = `curl --unix-socket ${listen.replace(/^unix:(\/\/)?/, "")}`;
    return { ...USUAL, place: listen, url: `${scheme}://localhost`, curl };
  }
  const at = listen.lastIndexOf(":");
  const host = /^(0\.0\.0\.0|\[::\]|\*|):/.test(listen) ? location.hostname : listen.slice(0, at);
  const url = `${scheme}://${host}:${listen.slice(at + 1)}`;
  return { ...USUAL, place: url, url, curl: "curl" };
}

/**
 * Load the address of the data port, `isRefused` where the token has a scope; with `isKeyed`, a route that requires a key.
 * @param {{ isKeyed?: boolean, signal: AbortSignal }} options
 */
export async function dataPort({ isKeyed = false, signal }) {
  try {
    const {
      configuration: { proxy, routes },
    } = await getJson("api/status", {}, signal);
    const route = (isKeyed && routes.find(({ auth }) => auth && auth !== "off")) || routes.at(-1);
    return {
      ...reachedAt(proxy),
      isOpen: proxy.data_port !== false,
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
