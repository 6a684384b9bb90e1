"""The command line of each system, with its configuration written into its place."""

import os
import sys
from collections.abc import Callable
from typing import Final

from bench.contents import KINDS, variants
from bench.contents.documents import PLACE
from bench.contents.kinds import VARIANTS
from bench.contents.stamps import is_remade
from bench.macro import configurations
from bench.macro.place import PeerUnavailable, Place, program
from bench.macro.scenarios import GRPC_ANSWER, huge


def nginx_text(template: str, place: Place, **more: object) -> str:
    """Fill in an nginx configuration; the user directive is only for root, nginx warns about it
    otherwise.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    tls = (
        f" ssl_certificate {place.certificate}; ssl_certificate_key {place.certificate};"
        if place.is_tls
        else ""
    )
    fields = {"directory": place.directory, "port": place.port, "upstream": _upstream_of(place)}
    fields |= {"http2": " http2" if place.is_http2 else ""}
    return template.format(
        user=user, tls=tls, tls_listen=" ssl" if place.is_tls else "", **fields, **more
    )


def _upstream_of(place: Place) -> str:
    """Return the upstream's address as nginx, HAProxy and sidelog spell it: host:port or unix:path."""
    if place.is_unix:
        return f"unix:{place.upstream_socket}"
    return f"127.0.0.1:{place.upstream_port}"


def _nginx_command(place: Place, text: str) -> list[str]:
    (place.directory / "nginx.conf").write_text(text)
    own = ["-p", str(place.directory), "-e", str(place.directory / "error.log")]
    return [program("nginx"), *own, "-c", str(place.directory / "nginx.conf")]


def _upstream(place: Place) -> list[str]:
    files = place.directory / "files"
    files.mkdir()
    (files / "1m").write_bytes(huge())
    source_port = place.source_port or place.port
    text = nginx_text(
        configurations.NGINX_UPSTREAM,
        place,
        socket=place.upstream_socket,
        source_port=source_port,
        message=GRPC_ANSWER.decode(),
        items=_items(),
        variants=_variants(),
        contents=_locations(place),
    )
    return _nginx_command(place, text)


def _items() -> str:
    """Return the lines that give each variant its JSON; no two are equal, by a variable as long as
    what it becomes.
    """
    bodies = [body.decode("ascii").replace(PLACE, "$request_id") for body in variants("json-1k")]
    return "\n".join(f"    {number} '{body}';" for number, body in enumerate(bodies))


def _variants() -> str:
    """Return the lines that give each of the first two digits of a request's id one of the
    variants.
    """
    return " ".join(f"{digits:02x} {digits % VARIANTS};" for digits in range(256))


def _locations(place: Place) -> str:
    """Return the places of each kind of content: `/content` has files, `/made` what is made anew
    for each request.
    """
    lines = []
    for kind in KINDS:
        coding = " gzip on; gzip_types *; gzip_min_length 0;" if kind.content_encoding else ""
        remade = ""
        if is_remade(kind):
            remade = f" sub_filter '{PLACE}' $request_id; sub_filter_types *;"
        folder = place.contents / kind.name
        common = f"alias {folder}/; default_type '{kind.content_type}';{coding}"
        lines.append(f"    location /content/{kind.name}/ {{ {common} }}")
        lines.append(f"    location /made/{kind.name}/ {{ {common}{remade} }}")

    return "\n".join(lines)


def _nginx(place: Place) -> list[str]:
    name = "grpc" if place.is_http2_upstream else "proxy"
    hop = {"name": name, "hop": configurations.NGINX_HOPS[name], "access_log": place.access_log}
    return _nginx_command(place, nginx_text(configurations.NGINX_PROXY, place, **hop))


def _haproxy(place: Place, log_port: int) -> list[str]:
    tls = f" ssl crt {place.certificate}" if place.is_tls else ""
    upstream = _upstream_of(place).replace("unix:", "unix@")
    http2 = {"http2": _PROTO * place.is_http2, "http2_upstream": _PROTO * place.is_http2_upstream}
    text = configurations.HAPROXY.format(
        port=place.port, tls=tls, upstream=upstream, log_port=log_port, **http2
    )
    (place.directory / "haproxy.cfg").write_text(text)
    return [program("haproxy"), "-db", "-f", str(place.directory / "haproxy.cfg")]


def _envoy(place: Place) -> list[str]:
    upstream = (
        f"pipe: {{ path: {place.upstream_socket} }}"
        if place.is_unix
        else f"socket_address: {{ address: 127.0.0.1, port_value: {place.upstream_port} }}"
    )
    tls = configurations.ENVOY_TLS.format(certificate=place.certificate) if place.is_tls else ""
    fields = {"port": place.port, "access_log": place.access_log, "tls": tls, "upstream": upstream}
    fields |= {"codec": "HTTP2" if place.is_http2 else "HTTP1"}
    fields |= {
        "http2_upstream": configurations.ENVOY_HTTP2_UPSTREAM if place.is_http2_upstream else ""
    }
    (place.directory / "envoy.yaml").write_text(configurations.ENVOY.format(**fields))
    command = [program("envoy"), "-c", str(place.directory / "envoy.yaml"), "--concurrency", "1"]
    return [*command, "--disable-hot-restart", "--log-level", "error"]


def _caddy(place: Place) -> list[str]:
    upstream = (
        f"unix/{place.upstream_socket}" if place.is_unix else f"127.0.0.1:{place.upstream_port}"
    )
    fields = {
        "scheme": "https" if place.is_tls else "http",
        "tls": f"tls {place.certificate} {place.certificate}" if place.is_tls else "",
        "port": place.port,
        "access_log": place.access_log,
        "upstream": upstream,
    }
    (place.directory / "Caddyfile").write_text(configurations.CADDY.format(**fields))
    return [
        program("caddy"),
        "run",
        "--config",
        str(place.directory / "Caddyfile"),
        "--adapter",
        "caddyfile",
    ]


def _traefik(place: Place) -> list[str]:
    if place.is_unix:
        raise PeerUnavailable("traefik knows no upstream on a Unix socket")
    tls = configurations.TRAEFIK_TLS.format(certificate=place.certificate) if place.is_tls else ""
    dynamic = place.directory / "dynamic.yaml"
    dynamic.write_text(configurations.TRAEFIK.format(upstream_port=place.upstream_port, tls=tls))
    command = [program("traefik"), f"--entrypoints.front.address=127.0.0.1:{place.port}"]
    command += ["--entrypoints.front.transport.respondingtimeouts.readtimeout=0"]
    command += [
        f"--providers.file.filename={dynamic}",
        "--serverstransport.maxidleconnsperhost=128",
    ]
    command += [
        "--accesslog=true",
        "--accesslog.format=json",
        f"--accesslog.filepath={place.access_log}",
    ]
    command += ["--accesslog.bufferingsize=100", "--log.level=ERROR"]
    command += ["--global.checknewversion=false", "--global.sendanonymoususage=false"]
    if place.is_tls:
        return [*command, "--entrypoints.front.http.tls=true"]

    return command


def _mitmproxy(place: Place) -> list[str]:
    if place.is_unix or place.is_tls:
        raise PeerUnavailable("mitmproxy is measured over plain TCP only")
    command = [program("mitmdump"), "--mode", f"reverse:http://{_upstream_of(place)}", "-q"]
    command += ["--listen-host", "127.0.0.1", "--listen-port", str(place.port)]
    command += ["--set", f"confdir={place.directory}", "-w", str(place.access_log)]
    return command


PEERS: Final[dict[str, Callable[[Place], list[str]]]] = {
    "upstream": _upstream,
    "nginx": _nginx,
    "envoy": _envoy,
    "caddy": _caddy,
    "traefik": _traefik,
    "mitmproxy": _mitmproxy,
}
LOGS_TO_FILE: Final = frozenset({"nginx", "envoy", "caddy", "traefik", "mitmproxy"})
SPEAK_HTTP2: Final = frozenset({"upstream", "nginx", "haproxy", "envoy"})
"""Peers that are configured for it here."""
_PROTO: Final = " proto h2"


def peer_command(name: str, place: Place, log_port: int) -> list[str]:
    """Write a peer's configuration and return its command line; HAProxy logs to a UDP port.

    Raises:
        PeerUnavailable: it is not installed, or cannot do what the place asks for.
    """
    if place.is_http2 and name not in SPEAK_HTTP2:
        raise PeerUnavailable(f"{name} is measured with HTTP/1.1 only")
    if name == "haproxy":
        return _haproxy(place, log_port)
    return PEERS[name](place)


def sidelog_command(place: Place, admin_port: int, workers: int = 1) -> list[str]:
    """Return the command line of sidelog."""
    upstream = _upstream_of(place) if place.is_unix else f"http://{_upstream_of(place)}"
    command = [sys.executable, "-m", "proxy", "serve"]
    if place.is_http2_upstream:
        route = f'[[routes]]\nid = "all"\nupstream = "{upstream}"\nupstream_protocol = "http2"\n'
        (place.directory / "sidelog.toml").write_text(route)
        command += ["--config", str(place.directory / "sidelog.toml")]
    else:
        command += ["--upstream", upstream]

    command += ["--listen", f"127.0.0.1:{place.port}", "--admin-listen", f"127.0.0.1:{admin_port}"]
    command += ["--data-dir", str(place.directory / "data"), "--workers", str(workers)]
    return command
