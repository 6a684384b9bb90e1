"""Checks of the network: whether ports are free or held by the sidelog of this directory, and
whether upstreams and receivers can be reached.
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
from proxy.process.listeners import UNIX_PREFIX, host_port, path_error
from proxy.process.terminal import without_credentials
from proxy.settings.addresses import UpstreamAddress, parse_listen, parse_upstream, parse_via
from proxy.settings.flags import FLAGS
from proxy.settings.model import PORTS, OtelSettings, RouteSettings, Settings

CONNECT_S: Final = 3.0
SOON_DAYS: Final = 14
"""Certificates are usually renewed a month before they expire: two weeks before, a renewal has
failed.
"""
MAX_AT_ONCE: Final = 16


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Check that every port can be bound, or is held by the sidelog of this data directory."""
    running = _held_ports(settings)
    held = frozenset(running.values())
    usual = Settings().listens

    for setting, text in settings.listens.items():
        name = PORTS[setting]
        if setting in running and text == usual.get(setting):
            # The flags of the running sidelog are unknown here, so its actual port is reported.
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
                fix += "; if it is a sidelog, pass its --data-dir"
            yield Finding("fail", name, f"{text}: {error.strerror or error}", fix)


def check_certificates(settings: Settings) -> Iterator[Finding]:
    """Check when the certificates of the ports expire. The settings check that they exist and match
    their keys.
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

        fix = "renew it, then send SIGHUP; connections stay open"
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
    """Report peers that behaved like a trusted proxy (`collector/watch/unlisted_proxies.py`), but
    are not listed as one.
    """
    trusted = TrustedProxies(settings.proxy.trusted_proxies)
    for address in read_state(Path(settings.data_dir)).get(UNLISTED_NAME) or ():
        if isinstance(address, str) and not trusted.has(address):
            text = (
                f"{address} reports that its clients use TLS, but it is not trusted, and was "
                "redirected in a loop"
            )
            yield Finding(
                "warn",
                "proxy in front",
                text,
                f'if it is your proxy: [proxy] trusted_proxies = ["{address}"]',
            )


def _held_ports(settings: Settings) -> dict[str, int | str]:
    """Return setting → port or path of the sidelog that runs with this data directory, from its
    state.
    """
    directory = Path(settings.data_dir)
    if not is_in_use(directory):
        return {}
    listens = read_state(directory).get(LISTENS_NAME)
    if isinstance(listens, dict):
        return dict(listens)
    return {}


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
    """Connect to all upstreams at once; a failure is only a warning, because sidelog also starts
    without them.
    """
    routes = {route.upstream: route for route in settings.routes}
    with ThreadPoolExecutor(max_workers=MAX_AT_ONCE) as pool:
        errors = {}
        for upstream, route in routes.items():
            nearest = _nearest(upstream, route)
            place = upstream if nearest == upstream else f"{nearest} on the way to {upstream}"
            errors[place] = pool.submit(_connect_error, nearest, route.tls_context)

        for place, error in errors.items():
            reason = error.result()
            if reason is None:
                yield Finding("ok", "upstream", f"{place} accepts connections")
            else:
                fix = "start the service, or correct upstream or via of the route"
                yield Finding("warn", "upstream", f"{without_credentials(place)}: {reason}", fix)


def _nearest(upstream: str, route: RouteSettings) -> str:
    """Return the address to connect to: the upstream, or the proxy in front of it."""
    via = parse_via(route.via)
    if via is None:
        return upstream
    return f"http://{host_port(via.host, via.port)}"


def check_receiver(settings: Settings) -> Iterator[Finding]:
    """Send an empty request to the OpenTelemetry receiver; a failure is only a warning, because
    records wait in the store.
    """
    endpoint = settings.otel.endpoint
    for signal in settings.otel.signals if endpoint else ():
        answer = asyncio.run(_ask_receiver(settings.otel, signal))
        verdict = answer if isinstance(answer, Later) else judge(answer, 0, MAX_TRIES, time.time())
        if isinstance(verdict, Taken):
            yield Finding("ok", "OpenTelemetry", f"{endpoint} accepts {signal}")
        else:
            fix = (
                "start the receiver, or correct [otel] endpoint, headers or compression; records "
                "wait, and are sent as soon as it accepts them"
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


def _connect_error(origin: str, make_context: Callable[[], ssl.SSLContext]) -> str | None:
    """Connect as sidelog does, up to the end of the TLS handshake; return the error, if any."""
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
