"""Liveness, readiness, metrics, status, ledger and alerts: what probes, scrapers and operators ask."""

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
    """A worker, as its ring shows it."""

    source: str
    worker_alive: bool
    pid: int | None
    """Of the worker, in its own name space; null where it has let go of its ring."""
    uptime_s: float | None
    requests: int | None
    in_flight: int | None
    capacity_bytes: int
    used_bytes: int
    pushed: int
    taken: int
    refused: int
    recording_waits: int | None
    """Requests, and reads of messages, that waited for room in it."""
    recording_wait_ms: int | None
    """How long all of them waited."""
    recording_standstills: int | None
    """Times that waiting ended because nothing had left it for 15 s."""
    corrupt: int


class WorkerShown(Struct):
    """A worker process, as the supervisor shows it."""

    name: str
    pid: int | None
    ready: bool
    ring: str
    """Source of its ring; empty until it has one."""
    leaving: bool
    silent: bool
    """It serves its last clients: others accept new ones."""
    read: bool
    """Whether its ring is read: if not, what it records is lost when it ends."""


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
    """Why it is away."""
    read_only: bool
    waiting: int
    """Steps it has still to take to be as the others are."""
    delay_s: float


class StoreShown(Struct):
    """Whether the store can be reached."""

    up: bool
    reason: str | None
    """Why not."""
    warning: str | UnsetType | None = UNSET
    """What holds it up although it takes records."""
    replaced: dict[str, int] | UnsetType = UNSET
    """How often an empty store took its place since the start: it was damaged, or its file was
    removed.
    """
    replicas: list[ReplicaShown] | UnsetType = UNSET
    """As of the last look; empty where the store is on one server."""


class KeysShown(Struct):
    """Whether workers have the newest API keys."""

    reason: str | None
    """Why workers may not have the newest keys."""


class RetentionShown(Struct):
    """How far retention has come, as of its last look."""

    looked_at_ms: int | UnsetType | None = UNSET
    oldest_ms: int | UnsetType | None = UNSET
    used_bytes: int | UnsetType | None = UNSET
    lag_s: float | UnsetType = UNSET
    erasing_records: int | UnsetType = UNSET
    """Erased, and not yet gone from the server's disk (ClickHouse)."""
    rows_purged: int | UnsetType = UNSET
    """Deleted for their age since the start."""
    rows_trimmed: int | UnsetType = UNSET
    """Deleted for the cap on size since the start."""
    bodies_trimmed: int | UnsetType = UNSET
    """Records left without their bodies for the cap on size since the start, at most."""
    reaches_back_ms: int | UnsetType | None = UNSET
    """When the first record that is left started."""


class TextIndexShown(Struct):
    """How far the index of words has come, as of the last look."""

    waiting_records: int | UnsetType | None = UNSET
    """Not in it yet: searches look at each of them."""
    size_bytes: int | UnsetType | None = UNSET


class ExportShown(Struct):
    """How far the export of one signal to an OpenTelemetry receiver has come."""

    signal: str
    exported: int
    rejected: int
    missed_records: int
    """Deleted before they were sent."""
    failures: dict[str, int]
    """Reason → requests."""
    waiting_records: int
    lag_s: float
    problem: str | None
    """Why it does not go on."""


class StatusShown(Struct):
    """The state of the processes, the queues and the store; all but the version may be left out."""

    version: str
    build: str | UnsetType = UNSET
    """`pure`, or `compiled`: the same source of the data plane, through mypyc."""
    instance: str | UnsetType = UNSET
    uptime_s: float | UnsetType = UNSET
    draining: bool | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    """Whether traffic may come, as `/readyz` says."""
    reasons: list[str] | UnsetType = UNSET
    """Why it may not, or what is degraded."""
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
    """The settings in force, secrets left out."""


class LedgerShown(ApiObject):
    """The accounting."""

    received: int
    stored: int
    spooled: int
    waiting: int
    sampled: int
    """Left out by a rule of capture (`[[capture.rules]]`)."""
    dropped: dict[str, int]
    """By reason. `message_limit`: messages of WebSockets and gRPC streams above their rate or their
    part of the ring, which are on the record of their exchange as a number; all other reasons have
    a gap record.
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
    """Return all metrics in the format the scraper accepts; while the store is away those of the
    ledger are missing.
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
    """Return the state of the processes, the queues and the store, and what `/readyz` says of it."""
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
    """Alerts, what fires, what waits for its receiver, and what was sent, the newest first. Times
    are Unix µs.
    """

    evaluator: str | None
    """The sidecar that evaluates them."""
    alerts: list[JsonObject]
    waiting: list[JsonObject]
    history: list[JsonObject]


class Silence(msgspec.Struct, forbid_unknown_fields=True):
    """For how long nothing is sent of an alert; 0: no longer."""

    # A whole number of JSON Schema may be written 60.0, which an `int` of msgspec refuses.
    seconds: Annotated[float, Meta(ge=0, le=366 * 86_400, multiple_of=1)]


_SILENCE: Final = msgspec.json.Decoder(Silence)


async def list_alerts(request: web.Request) -> web.Response:
    """List the alerts, what fires, and what was sent; nothing where none are evaluated."""
    alerts = services_of(request).alerts
    if alerts is None:
        return json_response(AlertsShown(evaluator=None, alerts=[], waiting=[], history=[]))
    return json_response(AlertsShown(**await alerts.describe()))


async def test_alert(request: web.Request) -> web.Response:
    """Evaluate an alert, and call its webhook with a message that says that it is a test."""
    return json_response(await _alerts_of(request).test(request.match_info["alert"]))


async def silence_alert(request: web.Request) -> web.Response:
    """Send nothing of an alert that begins to fire, for some seconds; what fires already is sent
    when it is over.
    """
    given = read_json_body(_SILENCE, await request.read(), "the silence")
    await _alerts_of(request).silence(request.match_info["alert"], int(given.seconds))
    return web.Response(status=204)


def _alerts_of(request: web.Request) -> Alerts:
    alerts = services_of(request).alerts
    if alerts is None:
        raise Refused(404, "no alerts are evaluated here")
    return alerts
