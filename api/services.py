"""The services of the admin port's handlers, injected by the root that runs them. The only file with
an `AppKey`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, cast

from aiohttp import web

from api.access.front import Front
from api.access.principal import ANONYMOUS, Credentials, Principal
from api.access.query_gate import QueryGate
from api.access.refusals import Refusals
from api.access.scoped import ScopedStorage
from api.access.sessions import Sessions
from api.access.snapshot_cursor import SnapshotCursors
from api.metrics.metrics import Metrics
from api.stream.streams import StreamServices
from storage.base import Storage
from storage.keys import ApiKey
from storage.ledger import Ledger
from storage.query import Scope, is_visible
from storage.record import Entry, ToolCall, now_us


class Alerts(Protocol):
    """The alerts of this sidecar. `silence` and `test` raise `Refused` for an unknown name."""

    async def describe(self) -> dict[str, Any]:
        """Describe the alerts, the firing ones, and the sent messages."""

    async def silence(self, name: str, seconds: int) -> None:
        """Send no messages about an alert for some time after now."""

    async def test(self, name: str) -> dict[str, Any]:
        """Evaluate an alert and call its webhook."""


async def _forget_nothing() -> None:
    """Do nothing: there are no learned endpoints."""


async def _ignore_key(change: str, key: ApiKey) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAgain:
    """Sends recorded requests again."""

    targets: tuple[str, ...]
    """Allowed servers, in addition to the upstream of a request's own route."""
    send: Callable[[str, Entry, str], Awaitable[Entry]]
    """Sends a request for a caller to a target, empty for the upstream, and returns the response as
    it would be recorded. Raises ValueError if the request cannot be sent, ConnectionError if there
    is no response.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInfo:
    """Labels of a route that responses show."""

    client: str | None = None
    project: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The sources of a response besides its request. They are closed by their makers, not here."""

    storage: Storage
    credentials: Credentials
    listen_host: str
    """Host the admin port listens on, allowed as a Host name."""
    instance: str
    """Name of this sidecar."""
    ledger: Callable[[], Awaitable[Ledger]]
    """Reads the accounting; may raise `StorageUnavailable`."""
    status: Callable[[], dict[str, object]]
    """Describes the processes, queues and store to an operator."""
    in_flight: Callable[[], list[Entry]]
    """Returns exchanges in flight on this sidecar, in any order. Their `seq` and `ended_at_us` are 0;
    `status` is None before the response.
    """
    is_ready: Callable[[], tuple[bool, dict[str, object]]]
    """Returns True if traffic may come, with further members to show (`degraded`, reasons)."""
    metrics: Metrics
    streams: StreamServices
    on_key_changed: Callable[[str, ApiKey], Awaitable[None]] = _ignore_key
    """Called for every API key that was `created`, `updated` or `deleted`, before the response is
    sent.
    """
    refusals: Refusals = field(default_factory=Refusals)
    sessions: Sessions = field(default_factory=Sessions)
    """The UI's sessions; in memory unless made with a place to save them."""
    allowed_hosts: tuple[str, ...] = ()
    """Allowed host names in addition to loopback, IP literals and `listen_host`."""
    base_path: str = ""
    """Path of the admin port behind another proxy, without a trailing slash; empty without one."""
    is_trusted_proxy: Callable[[str], bool] = lambda address: False
    """Returns True if the headers of a proxy at this address are trusted."""
    host_scopes: Mapping[str, Scope] = field(default_factory=dict)
    """Host names that carry a scope, lower case; they are allowed too."""
    running_tools: Callable[[], list[ToolCall]] = list
    """Returns tool calls that run on this sidecar now, in any order."""
    routes: Mapping[str, RouteInfo] = field(default_factory=dict)
    """The configured routes, by id."""
    forget_endpoints: Callable[[], Awaitable[None]] = _forget_nothing
    """Called after an erasure, to forget names that no record has any more."""
    retention_s: int | None = None
    """Retention time of records; None without a limit."""
    add_event: Callable[[str, dict[str, object]], None] = lambda name, data: None
    """Adds an event of sidelog itself to the log."""
    send_again: SendAgain | None = None
    """None if it is off."""
    version: str = ""
    """Version of the program."""
    data_socket: str = ""
    """Path of the data port of this sidecar if it is a Unix socket, else empty."""
    fanout: SnapshotCursors | None = None
    """Signs the cursors of the proxy logs' fan-out; None if it is off."""
    alerts: Alerts | None = None
    """None if no alerts are evaluated here."""
    export_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Held by an export while it reads and encodes a part of its records, but not while it sends
    them.
    """
    gate: QueryGate = field(default_factory=QueryGate)
    comparing: QueryGate = field(default_factory=lambda: QueryGate(max_queries=1))
    """Lets one comparison of records run at a time."""
    principal: Principal = ANONYMOUS
    """The caller; set in the view that a handler gets."""
    now_us: Callable[[], int] = now_us
    """The wall clock, Unix µs."""


SERVICES: Final = web.AppKey("services", Services)
VIEW: Final = web.RequestKey("view", Services)
FRONT: Final = web.RequestKey("front", Front)


def view_for(services: Services, principal: Principal) -> Services:
    """Return the services limited to the scope of one caller."""

    def in_flight() -> list[Entry]:
        return [
            entry for entry in services.in_flight() if is_visible(entry.record, principal.scope)
        ]

    def running_tools() -> list[ToolCall]:
        return [call for call in services.running_tools() if is_visible(call, principal.scope)]

    routes = {
        name: route for name, route in services.routes.items() if is_visible(route, principal.scope)
    }
    scoped = cast(Storage, ScopedStorage(services.storage, principal, services.gate))
    view = replace(services, storage=scoped, in_flight=in_flight, running_tools=running_tools)
    return replace(view, routes=routes, principal=principal)


def services_of(request: web.Request) -> Services:
    """Return the services as the caller may see them; handlers do this once, at the top."""
    return request[VIEW]
