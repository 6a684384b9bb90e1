"""What the handlers of the admin port need, injected by the root that runs them. The only file with
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
    """The alerts of this sidecar; the last two raise `Refused` where there is none of the name."""

    async def describe(self) -> dict[str, Any]:
        """Describe them, what fires, and what was sent."""

    async def silence(self, name: str, seconds: int) -> None:
        """Send nothing of one that begins to fire for some time."""

    async def test(self, name: str) -> dict[str, Any]:
        """Evaluate one and call its webhook."""


async def _forget_nothing() -> None:
    """Do nothing: no endpoint was learned."""


async def _ignore_key(change: str, key: ApiKey) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAgain:
    """Sends recorded requests again."""

    targets: tuple[str, ...]
    """Where to, beside the upstream of a request's own route."""
    send: Callable[[str, Entry, str], Awaitable[Entry]]
    """For a caller, a request as it is to be recorded, and a target, empty for the upstream: return
    the answer as it would be recorded. Raises ValueError where it cannot be sent, ConnectionError
    where it has no answer.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInfo:
    """What responses say about a route beyond its records."""

    client: str | None = None
    project: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything outside a request that a response is made of. Nothing here is owned: its maker
    closes it.
    """

    storage: Storage
    credentials: Credentials
    listen_host: str
    """Host the admin port listens on, allowed as a Host name."""
    instance: str
    """Which sidecar this is."""
    ledger: Callable[[], Awaitable[Ledger]]
    """Read the accounting; may raise `StorageUnavailable`."""
    status: Callable[[], dict[str, object]]
    """Describe the processes, queues and store to an operator."""
    in_flight: Callable[[], list[Entry]]
    """Exchanges in flight on this sidecar: `seq` 0, `ended_at_us` 0, `status` None before there is
    one; any order.
    """
    is_ready: Callable[[], tuple[bool, dict[str, object]]]
    """Whether traffic may come, and members to show beside it (`degraded`, reasons)."""
    metrics: Metrics
    streams: StreamServices
    on_key_changed: Callable[[str, ApiKey], Awaitable[None]] = _ignore_key
    """Called for every API key that was `created`, `updated` or `deleted`, before the answer is
    sent.
    """
    refusals: Refusals = field(default_factory=Refusals)
    sessions: Sessions = field(default_factory=Sessions)
    """The UI's sessions; in memory unless made with a place to save them."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names beside loopback, IP literals and `listen_host`."""
    base_path: str = ""
    """The path below which another proxy has the admin port, without a last slash; empty: none."""
    is_trusted_proxy: Callable[[str], bool] = lambda address: False
    """Whether a proxy at this address is trusted about the browser."""
    host_scopes: Mapping[str, Scope] = field(default_factory=dict)
    """Host names that carry a scope, lower case; they are allowed too."""
    running_tools: Callable[[], list[ToolCall]] = list
    """Tool calls that run on this sidecar now, any order."""
    routes: Mapping[str, RouteInfo] = field(default_factory=dict)
    """The configured routes, by id."""
    forget_endpoints: Callable[[], Awaitable[None]] = _forget_nothing
    """Called after an erasure: names that no record has any more must be forgotten."""
    retention_s: int | None = None
    """How long records are kept; None: without limit."""
    add_event: Callable[[str, dict[str, object]], None] = lambda name, data: None
    """Put an event of our own into the log."""
    send_again: SendAgain | None = None
    """None where it is off."""
    version: str = ""
    """Of the program."""
    data_socket: str = ""
    """Path of the Unix socket that is the data port of this sidecar; empty where it is none."""
    fanout: SnapshotCursors | None = None
    """Signs the cursors of the proxy logs' fan-out; None where it is off."""
    alerts: Alerts | None = None
    """None where none are evaluated."""
    export_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Held by the export that reads and writes a part of its records, not while its client takes
    them.
    """
    gate: QueryGate = field(default_factory=QueryGate)
    comparing: QueryGate = field(default_factory=lambda: QueryGate(max_queries=1))
    """Lets one comparison of records run at a time."""
    principal: Principal = ANONYMOUS
    """Who is asking; set in the view a handler gets."""
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
