"""Liveness, readiness, metrics, status, ledger and alerts, for probes, scrapers and operators."""

from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.accept import by_weight
from api.http.errors import Refused
from api.http.params import read_json_body
from api.http.responses import ApiObject, JsonObject, filled, json_response
from api.services import Alerts, services_of
from storage.errors import StorageUnavailable


class RingShown(Struct):
    """The ring of a worker."""

    source: str
    worker_alive: bool
    pid: int | None
    """Process id of the worker in its own name space; null if it has left its ring."""
    uptime_s: float | None
    requests: int | None
    in_flight: int | None
    capacity_bytes: int
    used_bytes: int
    pushed: int
    taken: int
    refused: int
    recording_waits: int | None
    """Number of requests and message reads that waited for room in it."""
    recording_wait_ms: int | None
    """Total time of these waits."""
    recording_standstills: int | None
    """Number of waits that ended because no entry had left the ring for 15 s."""
    corrupt: int


class WorkerShown(Struct):
    """A worker process, as the supervisor sees it."""

    name: str
    pid: int | None
    ready: bool
    ring: str
    """Source of its ring; empty until it has one."""
    leaving: bool
    silent: bool
    """True if it serves its last clients, while other workers accept new ones."""
    read: bool
    """True if its ring is read. If not, its unread entries are lost when it ends."""


class CollectorShown(Struct):
    """The process that serves the admin port."""

    pid: int
    uptime_s: float


class WriterShown(Struct):
    """The way to the store."""

    waiting_records: int
    oldest_unstored_s: float
    batches: dict[str, int]
    spooled_records: int
    records_escaped: int
    records_quarantined: int
    last_flush_s: float
    is_full: bool


class ReplicaShown(Struct):
    """A copy of the store on one of several servers."""

    host: str
    name: str
    version: str
    state: str
    """`whole`; `left_out`: neither written nor read until it has caught up; `away`; `unknown`
    without a coordinator.
    """
    reason: str | None
    """Reason of its absence."""
    read_only: bool
    waiting: int
    """Number of replication steps that it is behind."""
    delay_s: float


class StoreShown(Struct):
    """The state of the store."""

    up: bool
    reason: str | None
    """Reason, if the store cannot be reached."""
    warning: str | UnsetType | None = UNSET
    """Problem of a store that still accepts records."""
    replaced: dict[str, int] | UnsetType = UNSET
    """Number of times since the start that an empty store replaced it, by reason: it was damaged, or
    its file was removed.
    """
    replicas: list[ReplicaShown] | UnsetType = UNSET
    """Replicas at the last check; empty for a store on one server."""


class KeysShown(Struct):
    """The state of the API keys in the workers."""

    reason: str | None
    """Reason, if workers may not have the newest keys."""


class RetentionShown(Struct):
    """The progress of retention at its last check."""

    looked_at_ms: int | UnsetType | None = UNSET
    oldest_ms: int | UnsetType | None = UNSET
    used_bytes: int | UnsetType | None = UNSET
    lag_s: float | UnsetType = UNSET
    erasing_records: int | UnsetType = UNSET
    """Erased records that are still on the server's disk (ClickHouse)."""
    rows_purged: int | UnsetType = UNSET
    """Records deleted for their age since the start."""
    rows_trimmed: int | UnsetType = UNSET
    """Records deleted for the size limit since the start."""
    bodies_trimmed: int | UnsetType = UNSET
    """Upper bound of records that lost their bodies for the size limit since the start."""
    reaches_back_ms: int | UnsetType | None = UNSET
    """Start of the oldest record."""


class TextIndexShown(Struct):
    """The progress of the index of words at the last check."""

    waiting_records: int | UnsetType | None = UNSET
    """Records that are not indexed yet; a search reads each of them."""
    size_bytes: int | UnsetType | None = UNSET


class ExportShown(Struct):
    """The progress of the export of one signal to an OpenTelemetry receiver."""

    signal: str
    exported: int
    rejected: int
    missed_records: int
    """Records that were deleted before they were sent."""
    failures: dict[str, int]
    """Reason → number of failed requests."""
    waiting_records: int
    lag_s: float
    problem: str | None
    """Reason, if the export has stopped."""


class StatusShown(Struct):
    """The state of the processes, the queues and the store; all but the version may be left out."""

    version: str
    build: str | UnsetType = UNSET
    """`pure`, or `compiled`: the same source of the data plane, through mypyc."""
    instance: str | UnsetType = UNSET
    uptime_s: float | UnsetType = UNSET
    draining: bool | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    """True if traffic may come, as in `/readyz`."""
    reasons: list[str] | UnsetType = UNSET
    """Reasons why sidelog is not ready, or degraded."""
    workers: list[WorkerShown] | UnsetType = UNSET
    rings: list[RingShown] | UnsetType = UNSET
    collector: CollectorShown | UnsetType = UNSET
    writer: WriterShown | UnsetType = UNSET
    storage: StoreShown | UnsetType = UNSET
    keys: KeysShown | UnsetType = UNSET
    retention: RetentionShown | UnsetType = UNSET
    text_index: TextIndexShown | UnsetType = UNSET
    otel: list[ExportShown] | UnsetType = UNSET
    configuration: dict[str, Any] | UnsetType = UNSET
    """The current settings without secrets."""


class LedgerShown(ApiObject):
    """The accounting."""

    received: int
    stored: int
    spooled: int
    waiting: int
    sampled: int
    """Records left out by a capture rule (`[[capture.rules]]`)."""
    dropped: dict[str, int]
    """Dropped records by reason. `message_limit` counts messages of WebSockets and gRPC streams above
    their rate or their part of the ring; the record of their exchange has their number. All other
    reasons have a gap record.
    """
    balanced: bool


async def healthz(request: web.Request) -> web.Response:
    """Return 200: the process and its event loop are alive."""
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Return 200 when sidelog is ready for traffic, else 503, with the reasons."""
    is_ready, members = services_of(request).is_ready()
    return json_response({"ready": is_ready, **members}, status=200 if is_ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Return all metrics in a format that the scraper accepts, without those of the ledger while the
    store is away.
    """
    services = services_of(request)
    try:
        ledger = await services.ledger()
    except StorageUnavailable:
        ledger = None

    body, content_type = services.metrics.render(
        by_weight(request.headers.get("Accept", "")), ledger
    )
    return web.Response(body=body, headers={"Content-Type": content_type})


async def status(request: web.Request) -> web.Response:
    """Return the state of the processes, the queues and the store, and the result of `/readyz`."""
    services = services_of(request)
    is_ready, members = services.is_ready()
    return json_response(
        {**services.status(), "ready": is_ready, "reasons": members.get("reasons", [])}
    )


async def ledger(request: web.Request) -> web.Response:
    """Return the accounting of all records, and whether it balances."""
    read = await services_of(request).ledger()
    return json_response(filled(LedgerShown, read, balanced=read.is_balanced))


class AlertsShown(ApiObject):
    """Alerts with their state, waiting messages, and sent messages, newest first. Times are Unix µs."""

    evaluator: str | None
    """The sidecar that evaluates them."""
    alerts: list[JsonObject]
    waiting: list[JsonObject]
    history: list[JsonObject]


class Silence(msgspec.Struct, forbid_unknown_fields=True):
    """Duration of a silence; 0 ends it."""

    # A whole number of JSON Schema may be written 60.0, which an `int` of msgspec refuses.
    seconds: Annotated[float, Meta(ge=0, le=366 * 86_400, multiple_of=1)]


_SILENCE: Final = msgspec.json.Decoder(Silence)


async def list_alerts(request: web.Request) -> web.Response:
    """List the alerts, the firing ones and the sent messages; empty if no alerts are evaluated."""
    alerts = services_of(request).alerts
    if alerts is None:
        return json_response(AlertsShown(evaluator=None, alerts=[], waiting=[], history=[]))
    return json_response(AlertsShown(**await alerts.describe()))


async def test_alert(request: web.Request) -> web.Response:
    """Evaluate an alert and call its webhook with a message marked as a test."""
    return json_response(await _alerts_of(request).test(request.match_info["alert"]))


async def silence_alert(request: web.Request) -> web.Response:
    """Silence an alert that begins to fire, for some seconds. The end of an alert that already fires
    is still sent.
    """
    given = read_json_body(_SILENCE, await request.read(), "the silence")
    await _alerts_of(request).silence(request.match_info["alert"], int(given.seconds))
    return web.Response(status=204)


def _alerts_of(request: web.Request) -> Alerts:
    alerts = services_of(request).alerts
    if alerts is None:
        raise Refused(404, "no alerts are evaluated here")
    return alerts
