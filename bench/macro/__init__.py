"""sidelog beside nginx, HAProxy, Envoy, Caddy and Traefik, under the same load on the same machine."""
