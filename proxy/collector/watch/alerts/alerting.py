"""The task that evaluates alerts and calls webhooks.

Strategy: the state of all alerts is one value beside the records in the store (`state.py`), read at
the beginning of each look and written before a message is sent, and again behind each that was
taken. So a kill at any moment loses no message and repeats at most the one that was under way,
under its id. Of sidecars that share a store one evaluates: who renewed last, until it has not for
`LEASE_S`. Two that take over at once make the same messages with the same ids.

Invariant: nothing follows from figures that are incomplete, and nothing is sent that is not stored.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import aiohttp
import msgspec
from prometheus_client.metrics_core import Metric
from yarl import URL

from api.access.principal import ADMIN
from api.access.query_gate import QueryGate
from api.access.scoped import ScopedStorage
from api.http.errors import Refused
from api.metrics.metrics import counters, gauge, gauges, keyed
from proxy.collector.watch.alerts.figures import IncompleteFigures, read_examples, read_figures
from proxy.collector.watch.alerts.payloads import Notice, call_of
from proxy.collector.watch.alerts.state import Message, State, message_id
from proxy.network.retry_after import retry_after_s
from proxy.process.version import VERSION
from proxy.settings.alert_model import AlertSettings
from proxy.settings.model import Settings
from storage.backends import is_shared
from storage.base import Storage
from storage.errors import StorageError
from storage.record import now_us as wall_us

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
MAX_REST_S: Final = 60.0
"""An alert is evaluated a hundred times in its window, and once a minute at least."""
MIN_RESTS: Final = 20
"""Times that an evaluation took, in which its alert rests: the store has others to serve."""
LEASE_S: Final = 30.0
TIMEOUT_S: Final = 10.0
MAX_PAUSE_S: Final = 300.0
"""Pauses between tries double up to here."""
MAX_WANTED_PAUSE_S: Final = 3600.0
"""The longest pause that a receiver may ask for (`Retry-After`); a message that is later is of no
use.
"""
MAX_FAILURES: Final = 3
"""Of one look: a receiver that is away is not called for all that waits."""
STATE: Final = "alerts"
SILENCES: Final = "alert_silences"
"""Apart from the state, as any sidecar may be asked to silence."""
MAX_MESSAGES_WITH_IDS: Final = 10
"""Of one evaluation, as the requests of each are one search."""
_HIDDEN: Final = ("url", "secret", "headers", "body")
"""Of an alert: they are secrets, or may hold one."""
_DECODER: Final = msgspec.json.Decoder(State)
_SILENCES: Final = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True, eq=False)
class Alerting:
    """Evaluates alerts until cancelled. Nothing that it needs is owned by it but its connections."""

    alerts: Sequence[AlertSettings]
    storage: Storage
    """Keeps the state."""
    reader: Storage
    """The same, with endpoints under their names of today."""
    instance: str
    is_shared: bool
    """Whether other sidecars may have the same alerts on the same store."""
    public_url: str = ""
    """Address of the web UI, for links; empty: messages have none."""
    look_every_s: float = LOOK_EVERY_S
    now_us: Callable[[], int] = wall_us
    state: State = field(default_factory=State, init=False)
    """As of the last look."""
    values: dict[str, dict[str, float | None]] = field(default_factory=dict, init=False)
    problems: dict[str, str] = field(default_factory=dict, init=False)
    """Why an alert could not be evaluated last time."""
    sent: dict[str, int] = field(default_factory=lambda: {"taken": 0, "failed": 0}, init=False)
    _kept: bytes = field(default=b"", init=False)
    _due_us: dict[str, int] = field(default_factory=dict, init=False)
    _rest_until_us: dict[str, int] = field(default_factory=dict, init=False)
    """Webhook → before when it does not want to be called."""
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self) -> None:
        """Look again and again."""
        if not self.alerts:
            return
        async with _client() as client:
            while True:
                try:
                    await self.look(client)
                except StorageError as error:
                    log.debug("alerts wait for the store: %s", error)
                except Exception:  # it must not end what it watches
                    log.exception("bug: the alerts could not be evaluated")

                await asyncio.sleep(self.look_every_s)

    async def look(self, client: aiohttp.ClientSession) -> None:
        """Evaluate every alert once, and send what waits."""
        kept = await self.storage.meta(STATE)
        self._kept = b"" if kept is None else kept.encode()
        self.state = _read(self._kept)
        if not await self._is_ours():
            return

        self.state.seed = self.state.seed or secrets.token_hex(8)
        silences = await self._silences()
        for alert in self.alerts:
            if self._due_us.get(alert.name, 0) <= self.now_us():
                await self._evaluate(alert, silences.get(alert.name, 0) > self.now_us())
        self.state.forget({alert.name for alert in self.alerts}, self.now_us())
        await self._save()
        try:
            async with asyncio.TaskGroup() as tasks:
                for alert in self.alerts:
                    tasks.create_task(self._deliver(client, alert), name=f"alert {alert.name}")
        except* StorageError as group:
            # What was taken is sent again: the next look reads what is stored.
            log.debug("alerts wait for the store: %s", group.exceptions[0])

    async def _is_ours(self) -> bool:
        """Whether this sidecar evaluates, taking over from one that has not for too long."""
        if not self.is_shared:
            return True
        age_s = (self.now_us() - self.state.renewed_us) / 1e6
        if self.state.evaluator not in ("", self.instance) and 0 <= age_s < LEASE_S:
            return False

        is_taken_over = self.state.evaluator != self.instance
        if is_taken_over or age_s > LEASE_S / 3:
            self.state.evaluator, self.state.renewed_us = self.instance, self.now_us()
            await self._save()
        return not is_taken_over  # another may have taken it, too: the next look sees who was last

    async def _evaluate(self, alert: AlertSettings, is_silenced: bool) -> None:
        begun_s = time.monotonic()
        try:
            figures = await read_figures(self.reader, alert, self.now_us())
        except (IncompleteFigures, Refused) as error:
            self.problems[alert.name] = str(error)
            return
        finally:
            rest_s = max(
                min(alert.window_s / 100, MAX_REST_S), MIN_RESTS * (time.monotonic() - begun_s)
            )
            self._due_us[alert.name] = self.now_us() + round(rest_s * 1e6)

        self.problems.pop(alert.name, None)
        self.values[alert.name] = {group: figure.value for group, figure in figures.items()}
        made = self.state.advance(alert, figures, self.now_us(), is_silenced=is_silenced)
        for message in [each for each in made if each.status == "firing"][:MAX_MESSAGES_WITH_IDS]:
            await self._name_requests(message)

    async def _name_requests(self, message: Message) -> None:
        """Put the ids of some requests into a message that is about them."""
        try:
            period = (message.begin_us, message.at_us)
            message.ids = await read_examples(self.reader, message.search, *period)
        except Refused as error:
            log.debug("the search of the message %s finds nothing: %s", message.id, error)

    async def _save(self) -> None:
        """Store the state if it has changed."""
        async with self._saving:  # a later state is never overwritten by an earlier one
            document = msgspec.json.encode(self.state)
            if document != self._kept:
                await self.storage.put_meta(STATE, document.decode(), replace=True)
                self._kept = document

    async def _deliver(self, client: aiohttp.ClientSession, alert: AlertSettings) -> None:
        """Send what waits of one alert, the oldest first; behind what is not taken the same value
        waits.
        """
        held: set[str] = set()
        failures = 0
        for message in [each for each in self.state.outbox if each.alert == alert.name]:
            begin_us = max(message.next_us, self._rest_until_us.get(alert.url, 0))
            if message.group in held or begin_us > self.now_us():
                held.add(message.group)
                continue

            problem, retry_after_s = await self._send(client, alert, message)
            self.sent["failed" if problem else "taken"] += 1
            if not problem:
                self.state.settle(message, self.now_us())
                await self._save()
                continue

            held.add(message.group)
            message.tries += 1
            pause_s = min(MAX_PAUSE_S, self.look_every_s * 2.0 ** min(message.tries - 1, 10))
            message.next_us = self.now_us() + round(max(pause_s, retry_after_s) * 1e6)
            if retry_after_s:
                self._rest_until_us[alert.url] = message.next_us
            message.problem = problem
            log.warning(
                "the webhook of the alert %s did not take %s: %s", alert.name, message.id, problem
            )
            await self._save()
            failures += 1
            if failures == MAX_FAILURES:
                return

    async def _send(
        self, client: aiohttp.ClientSession, alert: AlertSettings, message: Message
    ) -> tuple[str, float]:
        """Call the webhook; return why it did not take the message, empty if it did, and for how
        long it wants rest.
        """
        now_s = self.now_us() / 1e6
        call = call_of(Notice(alert, message, self.public_url), int(now_s))
        headers = {"user-agent": f"sidelog/{VERSION}", **call.headers}

        url = URL(alert.url, encoded=alert.url.isascii())  # as written: its query may be signed
        try:
            async with client.post(
                url, data=call.body, headers=headers, allow_redirects=False
            ) as response:
                if response.status < 300:
                    return "", 0.0
                wanted_s = retry_after_s(response.headers.get("retry-after", ""), now_s) or 0.0
                return f"status {response.status}", min(wanted_s, MAX_WANTED_PAUSE_S)
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:g} s", 0.0
        except aiohttp.InvalidURL as error:  # its text would show a URL that is a secret
            return type(error).__name__, 0.0
        except (aiohttp.ClientError, OSError) as error:
            return str(error) or type(error).__name__, 0.0

    async def _silences(self) -> dict[str, int]:
        kept = await self.storage.meta(SILENCES)
        return {} if kept is None else _SILENCES.decode(kept)

    async def silence(self, name: str, seconds: int) -> None:
        """Send nothing of an alert that begins to fire, for some time; 0: no longer."""
        until_us = self.now_us() + seconds * 1_000_000
        silences = {
            known: us for known, us in (await self._silences()).items() if us > self.now_us()
        }
        silences[self._alert(name).name] = until_us
        await self.storage.put_meta(SILENCES, msgspec.json.encode(silences).decode(), replace=True)

    async def test(self, name: str) -> dict[str, Any]:
        """Evaluate one alert and send a message that says that it is a test; neither changes what
        fires.
        """
        alert = self._alert(name)
        at_us = self.now_us()
        try:
            figures = await read_figures(self.reader, alert, at_us)
        except IncompleteFigures:
            figures = {}

        known = [
            (figure.value, group) for group, figure in figures.items() if figure.value is not None
        ]
        value, group = max(known, default=(None, ""))
        message = Message(
            message_id(secrets.token_hex(8)), name, group, "test", value, at_us, at_us
        )
        message.begin_us = at_us - round(alert.window_s * 1e6)
        if group in figures:
            message.search = figures[group].search
        else:
            message.search = alert.query
        await self._name_requests(message)
        async with _client() as client:
            problem, _ = await self._send(client, alert, message)
        text = Notice(alert, message).text
        values = {group: figure.value for group, figure in figures.items()}
        return {"id": message.id, "text": text, "values": values, "problem": problem or None}

    def _alert(self, name: str) -> AlertSettings:
        for alert in self.alerts:
            if alert.name == name:
                return alert
        raise Refused(404, f"there is no alert {name[:100]!r} on this sidecar")

    async def describe(self) -> dict[str, Any]:
        """Describe alerts, what fires, what waits, and what was sent, as the store has it."""
        kept = await self.storage.meta(STATE)
        state = _read(b"" if kept is None else kept.encode())
        silences = await self._silences()
        return {
            "evaluator": state.evaluator or self.instance,
            "alerts": [
                {
                    name: value
                    for name, value in msgspec.to_builtins(alert).items()
                    if name not in _HIDDEN
                }
                | {
                    "silenced_until_us": us
                    if (us := silences.get(alert.name, 0)) > self.now_us()
                    else None
                }
                | {"firing": msgspec.to_builtins(state.firing.get(alert.name, {}))}
                | {"pending": state.pending.get(alert.name, {})}
                | {
                    "values": self.values.get(alert.name, {}),
                    "problem": self.problems.get(alert.name),
                }
                for alert in self.alerts
            ],
            "waiting": msgspec.to_builtins(state.outbox),
            "history": msgspec.to_builtins(state.history),
        }

    def families(self) -> Iterator[Metric]:
        """Yield the metrics; none without alerts."""
        if not self.alerts:
            return
        text = "Values of an alert beyond its threshold; 0: it does not fire."
        firing = {alert.name: len(self.state.firing.get(alert.name, ())) for alert in self.alerts}
        yield gauges("alerts_firing", text, "alert", firing)
        text = (
            "Calls of the webhooks of alerts: taken, failed (and tried again); given_up: messages "
            "never taken."
        )
        outcomes = keyed({**self.sent, "given_up": self.state.dropped})
        yield counters("alert_webhooks", text, ["outcome"], outcomes)
        yield gauge(
            "alert_messages_waiting", "Messages of alerts not taken yet.", len(self.state.outbox)
        )


def make_alerting(settings: Settings, instance: str, storage: Storage) -> Alerting:
    """Make the alerts of the settings over a store."""
    reader = cast(Storage, ScopedStorage(storage, ADMIN, QueryGate(max_queries=1)))
    is_fleet = is_shared(settings.storage.url)
    return Alerting(settings.alerts, storage, reader, instance, is_fleet, settings.admin.public_url)


def _client() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())


def _read(kept: bytes) -> State:
    try:
        return _DECODER.decode(kept) if kept else State()
    except msgspec.MsgspecError as error:
        log.error("cannot read the state of alerts, it begins anew: %s", error)
        return State()
