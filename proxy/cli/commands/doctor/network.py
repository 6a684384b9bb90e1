"""`sidelog doctor` on the network: are ports free, or held by the sidelog of this directory, and
are others there.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from proxy.cli.commands.doctor.finding import Finding
from proxy.http1.errors import why_unreached
from proxy.http1.forwarded import TrustedProxies
from proxy.otel.answers import MAX_TRIES, Answer, Later, Taken, judge
from proxy.otel.requests import Signal, write_request
from proxy.otel.sender import Sender
from proxy.process.certificate_expiry import expires_at_s
from proxy.process.data_dir import LISTENS_NAME, UNLISTED_NAME, is_in_use, read_state
from proxy.process.listeners import UNIX_PREFIX, path_error
from proxy.process.terminal import without_credentials
from proxy.settings.addresses import UpstreamAddress, parse_listen, parse_upstream, parse_via
from proxy.settings.flags import FLAGS
from proxy.settings.model import RouteSettings, Settings
from proxy.settings.outgoing_model import OtelSettings

CONNECT_S: Final = 3.0
SOON_DAYS: Final = 14
"""Renewals are due a month before the end as a rule: two weeks before it, one has failed."""
MAX_AT_ONCE: Final = 16

_PORTS: Final = {
    "proxy.listen": "data port",
    "egress.listen": "port of outgoing calls",
    "admin.listen": "admin port",
    "admin.metrics_listen": "metrics port",
    "admin.health_listen": "health port",
}


def check_ports(settings: Settings) -> Iterator[Finding]:
    """See whether every port can be bound, or is held by the sidelog of this data directory."""
    running = _held_ports(settings)
    held = frozenset(running.values())
    usual = Settings().listens

    for setting, text in settings.listens.items():
        name = _PORTS[setting]
        if setting in running and text == usual.get(setting):
            # Flags of the running one are not known here, and its port counts, not the one that it
            # might have.
            yield Finding("ok", name, f"{running[setting]} is in use; sidelog is running here")
            continue

        try:
            host, port = parse_listen(text)
        except ValueError:
            continue  # reported with the settings

        if text.startswith(UNIX_PREFIX):
            error = path_error(host)
        else:
            error = _bind_error(host, port)
        if error is None:
            yield Finding("ok", name, f"{text} is free")
        elif error.errno == errno.EADDRINUSE and (port or host) in held:
            yield Finding("ok", name, f"{text} is in use; sidelog is running here")
        else:
            other = FLAGS[setting].option if setting in FLAGS else setting
            fix = (
                "stop the other program (ss -lxtnp shows it), or choose another address with "
                f"{other}"
            )
            if error.errno == errno.EADDRINUSE:
                fix += "; if it is a sidelog, name its --data-dir"
            yield Finding("fail", name, f"{text}: {error.strerror or error}", fix)


def check_certificates(settings: Settings) -> Iterator[Finding]:
    """See when the certificates of the ports expire; that they are there and fit their keys, the
    settings check.
    """
    for name, cert_file, key_file in (
        ("data port", settings.proxy.tls_cert_file, settings.proxy.tls_key_file),
        ("admin port", settings.admin.tls_cert_file, settings.admin.tls_key_file),
    ):
        if not cert_file:
            continue
        try:
            left_days = (expires_at_s(cert_file, key_file) - time.time()) / 86_400
        except (OSError, ValueError, KeyError):
            continue

        if left_days >= SOON_DAYS:
            yield Finding(
                "ok", "certificate", f"{cert_file} of the {name} expires in {left_days:.0f} days"
            )
            continue

        fix = "renew it, then send SIGHUP: connections go on"
        if left_days > 0:
            when = f"expires in {left_days:.1f} days"
        else:
            when = f"expired {-left_days:.1f} days ago"
        yield Finding(
            "warn" if left_days > 0 else "fail",
            "certificate",
            f"{cert_file} of the {name} {when}",
            fix,
        )


def check_proxies(settings: Settings) -> Iterator[Finding]:
    """Name peers that behaved like a proxy in front (`collector/watch/unlisted_proxies.py`), and
    are not listed.
    """
    trusted = TrustedProxies(settings.proxy.trusted_proxies)
    for address in read_state(Path(settings.data_dir)).get(UNLISTED_NAME) or ():
        if isinstance(address, str) and not trusted.has(address):
            text = (
                f"{address} says that its clients speak TLS, is not believed, and was redirected "
                "without end"
            )
            yield Finding(
                "warn",
                "proxy in front",
                text,
                f'if it is yours: [proxy] trusted_proxies = ["{address}"]',
            )


def _held_ports(settings: Settings) -> dict[str, int | str]:
    """Return setting → port, or path, of the sidelog that runs with this data directory, as its
    state says.
    """
    directory = Path(settings.data_dir)
    if not is_in_use(directory):
        return {}
    listens = read_state(directory).get(LISTENS_NAME)
    return dict(listens) if isinstance(listens, dict) else {}


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error

    return None


def check_upstreams(settings: Settings) -> Iterator[Finding]:
    """Connect to all upstreams at once; a failure is only a warning, because sidelog starts without
    them too.
    """
    routes = {route.upstream: route for route in settings.routes}
    with ThreadPoolExecutor(max_workers=MAX_AT_ONCE) as pool:
        errors = {
            _place(upstream, route): pool.submit(
                _connect_error, _nearest(upstream, route), route.tls_context
            )
            for upstream, route in routes.items()
        }
        for place, error in errors.items():
            fix = "start the service, or correct upstream or via of the route"
            yield _reached("upstream", place, error.result(), fix)


def _nearest(upstream: str, route: RouteSettings) -> str:
    """Return where a connection is made to: the upstream, or the proxy that it is reached through."""
    via = parse_via(route.via)
    if via is None:
        return upstream
    return f"http://{via.host}:{via.port}"


def _place(upstream: str, route: RouteSettings) -> str:
    nearest = _nearest(upstream, route)
    if nearest == upstream:
        return upstream
    return f"{nearest} on the way to {upstream}"


def check_receiver(settings: Settings) -> Iterator[Finding]:
    """Send the OpenTelemetry receiver a request without records; a failure is only a warning,
    because records wait in the store.
    """
    endpoint = settings.otel.endpoint
    for signal in settings.otel.signals if endpoint else ():
        answer = asyncio.run(_ask_receiver(settings.otel, signal))
        verdict = answer if isinstance(answer, Later) else judge(answer, 0, MAX_TRIES, time.time())
        if isinstance(verdict, Taken):
            yield Finding("ok", "OpenTelemetry", f"{endpoint} accepts {signal}")
        else:
            fix = (
                "start the receiver, or correct [otel] endpoint, headers or compression; what is "
                "recorded is sent once it is accepted"
            )
            yield Finding(
                "warn",
                "OpenTelemetry",
                f"{without_credentials(endpoint)}, {signal}: {verdict.message}",
                fix,
            )


async def _ask_receiver(otel: OtelSettings, signal: Signal) -> Answer | Later:
    sender = Sender(otel, timeout_s=CONNECT_S)
    try:
        return await sender.send(signal, write_request(signal, ()))
    finally:
        await sender.close()


def _reached(name: str, place: str, reason: str | None, fix: str) -> Finding:
    if reason is None:
        return Finding("ok", name, f"{place} accepts connections")
    return Finding("warn", name, f"{without_credentials(place)}: {reason}", fix)


def _connect_error(origin: str, make_context: Callable[[], ssl.SSLContext]) -> str | None:
    """Connect as sidelog would, up to the end of the TLS handshake; return what went wrong."""
    try:
        address = parse_upstream(origin)
        with _connected(address) as connection:
            if address.scheme == "https":
                make_context().wrap_socket(connection, server_hostname=address.host).close()
    except (OSError, ValueError) as error:
        return why_unreached(error)

    return None


def _connected(address: UpstreamAddress) -> socket.socket:
    if address.scheme != "unix":
        return socket.create_connection((address.host, address.port), CONNECT_S)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(address.path)
    except OSError:
        connection.close()
        raise

    return connection
