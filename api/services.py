"""What the handlers of the admin port need, injected by the root that runs them. The only file with an `AppKey`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from api.metrics import Metrics
from api.sessions import Sessions
from api.stream_limits import StreamLimits
from api.tail import Tail
from storage.base import Storage
from storage.keys import ApiKey
from storage.ledger import Ledger
from storage.record import Record, now_us


async def _ignore_key(change: str, key: ApiKey) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamServices:
    """What a stream needs."""

    tail: Tail
    limits: StreamLimits = field(default_factory=StreamLimits)
    heartbeat_s: float = 15.0
    stall_s: float = 30.0
    """A client that takes no bytes for so long is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything outside a request that an answer is made of. Nothing here is owned: who made it closes it."""

    storage: Storage
    token: str | None
    """The admin token; None switches authentication off."""
    listen_host: str
    """Host the admin port listens on, allowed as a Host name."""
    instance: str
    """Which sidecar this is."""
    ledger: Callable[[], Awaitable[Ledger]]
    """Read the accounting; may raise `StorageUnavailable`."""
    status: Callable[[], dict[str, object]]
    """Describe the processes, queues and store to an operator."""
    in_flight: Callable[[], list[Record]]
    """Exchanges in flight on this sidecar: `seq` 0, `ended_at_us` 0, `status` None; any order."""
    is_ready: Callable[[], tuple[bool, dict[str, object]]]
    """Whether traffic may come, and members to show beside it (`degraded`, reasons)."""
    metrics: Metrics
    streams: StreamServices
    on_key_changed: Callable[[str, ApiKey], Awaitable[None]] = _ignore_key
    """Told of every API key that was `created`, `updated` or `deleted`, before the answer is sent."""
    sessions: Sessions = field(default_factory=Sessions)
    """The UI's sessions; in memory unless made with a state file."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names beside loopback, IP literals and `listen_host`."""
    now_us: Callable[[], int] = now_us
    """The wall clock, Unix µs."""


SERVICES: Final = web.AppKey("services", Services)


def services_of(request: web.Request) -> Services:
    """Fetch the services of a request's application; handlers do this once, at the top."""
    return request.app[SERVICES]
