"""The admin port of a running collector: its server, and the parts of this process that its
handlers need.

This module only wires; the application is `api/app.py`. The collector owns the application, the
caller owns the listening socket.
"""

import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from api.access.hosts import remember_server_name
from api.access.principal import Credential, Credentials, Principal
from api.access.sessions import Sessions
from api.access.stream_limits import StreamLimits
from api.app import make_app, make_open_app
from api.middleware import unreadable_response
from api.services import RouteInfo, SendAgain, Services
from api.stream.streams import StreamServices
from proxy.collector.admin_token import AdminToken
from proxy.collector.send_again import Resender
from proxy.collector.watch.families import port_families
from proxy.http1.forwarded import TrustedProxies
from proxy.network.http_port import HttpPort, http_port
from proxy.process.data_dir import DataDir, directory_id, read_state, update_state
from proxy.process.listeners import UNIX_PREFIX
from proxy.process.tls import server_context
from proxy.process.version import VERSION
from proxy.settings.addresses import parse_address, parse_listen
from proxy.settings.model import AdminHostSettings, Settings, TokenSettings
from proxy.settings.tokens import DIGEST_PREFIX
from storage.query import Scope

if TYPE_CHECKING:
    from proxy.collector.control_plane import ControlPlane


@asynccontextmanager
async def admin_port(
    settings: Settings,
    data: DataDir,
    plane: "ControlPlane",
    listener: socket.socket,
    metrics: socket.socket | None,
    health: socket.socket | None = None,
) -> AsyncIterator[None]:
    """Serve the admin port on a listening socket, and the open ports if there are any, until the
    context exits.
    """
    if settings.replay.enabled:
        resender = Resender(settings, plane.events.add_event)
    else:
        resender = None
    services = _services(settings, data, plane, resender)
    tls = server_context(settings.admin.tls_cert_file, settings.admin.tls_key_file)
    remember_server_name(tls)
    ports: dict[str, HttpPort] = {}
    if resender is not None:
        plane.metrics.watch(resender.families)
    plane.metrics.watch(
        lambda: port_families(
            {name: port.closed for name, port in ports.items()}, services.refusals.counts
        )
    )
    async with AsyncExitStack() as stack:
        admin = http_port(make_app(services), listener, unreadable_response, tls=tls)
        ports["admin"] = await stack.enter_async_context(admin)
        for name, its_listener in (("metrics", metrics), ("health", health)):
            if its_listener is not None:
                app = make_open_app(services, has_metrics=name == "metrics")
                port = http_port(app, its_listener, unreadable_response, shutdown_timeout_s=1.0)
                ports[name] = await stack.enter_async_context(port)

        yield


def _services(
    settings: Settings, data: DataDir, plane: "ControlPlane", resender: Resender | None
) -> Services:
    return Services(
        storage=plane.storage,
        credentials=credentials_of(settings, AdminToken(data.path, data.token)),
        routes={
            route.id: RouteInfo(
                client=route.client or None,
                project=route.project or None,
                container=route.container or None,
            )
            for route in settings.routes
        },
        forget_endpoints=plane.endpoints.forget,
        retention_s=round(settings.retention.max_age_days * 86_400) or None,
        fanout=plane.fanout,
        host_scopes={host.name: scope_of(host) for host in settings.admin_hosts},
        listen_host=parse_address(settings.admin.listen)[0],
        instance=data.instance,
        version=VERSION,
        data_socket=_socket_of(settings.proxy.listen),
        send_again=SendAgain(targets=settings.replay.targets, send=resender.send)
        if resender
        else None,
        add_event=plane.events.add_event,
        ledger=plane.ledger,
        status=plane.status.describe,
        in_flight=plane.running.exchanges,
        running_tools=plane.running.tools,
        is_ready=plane.readiness.answer,
        metrics=plane.metrics,
        alerts=plane.alerting,
        streams=StreamServices(
            tail=plane.tail, limits=StreamLimits(settings.admin.max_streams_per_token)
        ),
        on_key_changed=plane.on_key_changed,
        sessions=Sessions(
            read_state(data.path).get("sessions"),
            lambda opened: update_state(data.path, sessions=opened),
            mark=cookie_mark(data.path),
        ),
        allowed_hosts=(
            *settings.admin.allowed_hosts,
            urlsplit(settings.admin.public_url).hostname or "",
        ),
        base_path=urlsplit(settings.admin.public_url).path.rstrip("/"),
        is_trusted_proxy=TrustedProxies(settings.proxy.trusted_proxies).has,
    )


def _socket_of(listen: str) -> str:
    """Return the path of a data port that is a Unix socket, or an empty text for a TCP port."""
    if not listen.startswith(UNIX_PREFIX):
        return ""
    return os.path.abspath(parse_listen(listen)[0])


def cookie_mark(path: Path) -> str:
    """Return a suffix for the cookie's name. Each data directory keeps one, so sessions outlive
    restarts and two sidelogs on one host do not share cookies.
    """
    return hashlib.sha256((directory_id(path) or str(path)).encode()).hexdigest()[:12]


def credentials_of(settings: Settings, admin_token: AdminToken) -> Credentials:
    """Make the credentials of the admin port: the data directory's token and those of the settings."""
    if settings.admin.auth == "off":
        return Credentials()
    others = [
        Credential(
            bytes.fromhex(token.token.removeprefix(DIGEST_PREFIX)),
            Principal(token.name, token.role, scope_of(token)),
        )
        for token in settings.tokens
    ]
    return Credentials(admin_token, others)


def scope_of(source: TokenSettings | AdminHostSettings) -> Scope:
    return Scope(projects=source.projects, containers=source.containers, clients=source.clients)
