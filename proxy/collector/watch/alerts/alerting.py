"""The task that evaluates alerts and calls webhooks.

The state of all alerts is one value in the store (`state.py`). Each round reads it first, writes it
before any message is sent, and writes it again after each delivery or failure. A kill therefore
loses no message and repeats at most the current one, under its id. If several sidecars share a
store, the holder of a lease evaluates. If two take the lease at once, they make the same messages
with the same ids.

Invariant: incomplete metrics change nothing, and only stored messages are sent.
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
from api.metrics.metrics import gauge, gauges, totals
from proxy.collector.watch.alerts.figures import IncompleteFigures, read_examples, read_figures
from proxy.collector.watch.alerts.payloads import Notice, call_of
from proxy.collector.watch.alerts.state import Message, State, message_id
from proxy.network.answers import retry_after_s, why_unanswered
from proxy.process.version import VERSION
from proxy.settings.model import AlertSettings, Settings
from storage.backends import is_shared
from storage.base import Storage
from storage.errors import StorageError
from storage.record import now_us as wall_us

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
MAX_REST_S: Final = 60.0
"""Longest pause between two evaluations of an alert; short windows have a hundredth of the window.
"""
MIN_RESTS: Final = 20
"""The pause is at least this many times as long as the evaluation, since the store serves others,
too.
"""
LEASE_S: Final = 30.0
"""Time after which a lease ends that was not renewed."""
TIMEOUT_S: Final = 10.0
MAX_PAUSE_S: Final = 300.0
"""Longest pause between tries; pauses double up to it."""
MAX_WANTED_PAUSE_S: Final = 3600.0
"""Longest pause that a receiver may ask for (`Retry-After`): a later message would be useless."""
MAX_FAILURES: Final = 3
"""Number of failed calls after which a webhook is left alone for the rest of the round."""
STATE: Final = "alerts"
"""Name of the state in the store."""
SILENCES: Final = "alert_silences"
"""Name of the silences in the store. They are a value of their own, since a sidecar without the
lease may be asked to silence.
"""
MAX_MESSAGES_WITH_IDS: Final = 10
"""Largest number of messages per evaluation that name requests: each needs a search."""
_HIDDEN: Final = ("url", "secret", "headers", "body")
"""Settings that are secrets, or may hold one."""
_DECODER: Final = msgspec.json.Decoder(State)
_SILENCES: Final = msgspec.json.Decoder(dict[str, int])


@dataclass(slots=True, eq=False)
class Alerting:
    """Evaluates alerts and sends messages, until cancelled."""

    alerts: Sequence[AlertSettings]
    storage: Storage
    """The store that has the state."""
    reader: Storage
    """The same store, with endpoints under their current names."""
    instance: str
    is_shared: bool
    """Whether other sidecars may evaluate the same alerts on the same store."""
    public_url: str = ""
    """Address of the web UI, for links; empty for messages without."""
    look_every_s: float = LOOK_EVERY_S
    now_us: Callable[[], int] = wall_us
    state: State = field(default_factory=State, init=False)
    """The state as of the last round."""
    values: dict[str, dict[str, float | None]] = field(default_factory=dict, init=False)
    """Alert → group → value of the last evaluation."""
    problems: dict[str, str] = field(default_factory=dict, init=False)
    """Alert → reason why its last evaluation failed."""
    sent: dict[str, int] = field(default_factory=lambda: {"taken": 0, "failed": 0}, init=False)
    """Calls of webhooks, by outcome."""
    _stored: bytes = field(default=b"", init=False)
    """The state as it is in the store."""
    _due_us: dict[str, int] = field(default_factory=dict, init=False)
    """Alert → time of its next evaluation, Unix µs."""
    _rest_until_us: dict[str, int] = field(default_factory=dict, init=False)
    """Webhook → time until which it asked not to be called, Unix µs."""
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self) -> None:
        """Evaluate the alerts that are due and send their messages, again and again until
        cancelled.
        """
        if not self.alerts:
            return
        async with _client() as client:
            while True:
                try:
                    await self.look(client)
                except StorageError as error:
                    log.debug("alerts wait for the store: %s", error)
                except Exception:
                    # A bug here must not end the collector.
                    log.exception("bug: the alerts could not be evaluated")

                await asyncio.sleep(self.look_every_s)

    async def look(self, client: aiohttp.ClientSession) -> None:
        """Evaluate the alerts that are due, and send the waiting messages."""
        self._stored = await self._read_state()
        self.state = _decoded(self._stored)
        if not await self._has_lease():
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
            # A message that was taken is sent again, as the next look reads the stored state.
            log.debug("alerts wait for the store: %s", group.exceptions[0])

    async def _has_lease(self) -> bool:
        """Return True if this sidecar holds the lease on evaluating the alerts. Renew the lease, or
        take it if it has expired.
        """
        if not self.is_shared:
            return True
        age_s = (self.now_us() - self.state.renewed_us) / 1e6
        is_ours = self.state.evaluator == self.instance
        if not is_ours and self.state.evaluator and 0 <= age_s < LEASE_S:
            return False

        if not is_ours or age_s > LEASE_S / 3:
            self.state.evaluator = self.instance
            self.state.renewed_us = self.now_us()
            await self._save()
        # Others may have taken it at the same time: the next look sees who was last.
        return is_ours

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
        firing = [message for message in made if message.status == "firing"]
        for message in firing[:MAX_MESSAGES_WITH_IDS]:
            await self._add_ids(message)

    async def _add_ids(self, message: Message) -> None:
        """Add the ids of some matching requests to an alert's message."""
        try:
            message.ids = await read_examples(
                self.reader, message.search, message.begin_us, message.at_us
            )
        except Refused as error:
            log.debug("the search of the message %s finds nothing: %s", message.id, error)

    async def _save(self) -> None:
        """Store the state of the alerts if it has changed."""
        # One at a time, so that an earlier state never overwrites a later one.
        async with self._saving:
            document = msgspec.json.encode(self.state)
            if document != self._stored:
                await self.storage.put_meta(STATE, document.decode(), replace=True)
                self._stored = document

    async def _deliver(self, client: aiohttp.ClientSession, alert: AlertSettings) -> None:
        """Send the messages of one alert, oldest first. After a failure, later messages of its
        group wait.
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
            if problem:
                held.add(message.group)
                failures += 1
                self._postpone(alert, message, problem, retry_after_s)
            else:
                self.state.settle(message, self.now_us())
            await self._save()
            if failures == MAX_FAILURES:
                return

    def _postpone(
        self, alert: AlertSettings, message: Message, problem: str, retry_after_s: float
    ) -> None:
        """Schedule the next try of a message that was not delivered."""
        message.tries += 1
        message.problem = problem
        pause_s = min(MAX_PAUSE_S, self.look_every_s * 2.0 ** min(message.tries - 1, 10))
        message.next_us = self.now_us() + round(max(pause_s, retry_after_s) * 1e6)
        if retry_after_s:
            self._rest_until_us[alert.url] = message.next_us
        log.warning(
            "the webhook of the alert %s did not take %s: %s", alert.name, message.id, problem
        )

    async def _send(
        self, client: aiohttp.ClientSession, alert: AlertSettings, message: Message
    ) -> tuple[str, float]:
        """Call the webhook. Return the reason of a failure (empty if delivered), and the pause in
        seconds that the receiver asked for.
        """
        now_s = self.now_us() / 1e6
        call = call_of(Notice(alert, message, self.public_url), int(now_s))
        headers = {"user-agent": f"sidelog/{VERSION}", **call.headers}
        # The address is used as it is written, because its query may be signed.
        url = URL(alert.url, encoded=alert.url.isascii())

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
        except aiohttp.InvalidURL as error:
            # Its text has the URL, which is a secret.
            return type(error).__name__, 0.0
        except (aiohttp.ClientError, OSError) as error:
            return why_unanswered(error), 0.0

    async def _read_state(self) -> bytes:
        stored = await self.storage.meta(STATE)
        if stored is None:
            return b""
        return stored.encode()

    async def _silences(self) -> dict[str, int]:
        stored = await self.storage.meta(SILENCES)
        if stored is None:
            return {}
        return _SILENCES.decode(stored)

    async def silence(self, name: str, seconds: int) -> None:
        """Silence the firing groups of an alert for `seconds`; 0 ends a silence."""
        until_us = self.now_us() + seconds * 1_000_000
        silences = {
            known: us for known, us in (await self._silences()).items() if us > self.now_us()
        }
        silences[self._alert(name).name] = until_us
        await self.storage.put_meta(SILENCES, msgspec.json.encode(silences).decode(), replace=True)

    async def test(self, name: str) -> dict[str, Any]:
        """Evaluate one alert and send a test message, without changing the alert's state."""
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
        id = message_id(secrets.token_hex(8))
        message = Message(id, name, group, "test", value, at_us, at_us)
        message.begin_us = at_us - round(alert.window_s * 1e6)
        if group in figures:
            message.search = figures[group].search
        else:
            message.search = alert.query
        message.sampled = group in figures and figures[group].sampled
        await self._add_ids(message)
        async with _client() as client:
            problem, _ = await self._send(client, alert, message)

        text = Notice(alert, message).text
        values = {group: figure.value for group, figure in figures.items()}
        return {"id": message.id, "text": text, "values": values, "problem": problem or None}

    def _alert(self, name: str) -> AlertSettings:
        for alert in self.alerts:
            if alert.name == name:
                return alert
        names = ", ".join(alert.name for alert in self.alerts) or "none is configured"
        raise Refused(404, f"there is no alert {name[:100]!r} on this sidecar: {names}")

    async def describe(self) -> dict[str, Any]:
        """Return the alerts with their states, the notifications that wait to be sent, and those of the
        past, for the API.
        """
        state = _decoded(await self._read_state())
        silences = await self._silences()
        return {
            "evaluator": state.evaluator or self.instance,
            "alerts": [
                self._describe_alert(alert, state, silences.get(alert.name, 0))
                for alert in self.alerts
            ],
            "waiting": msgspec.to_builtins(state.outbox),
            "history": msgspec.to_builtins(state.history),
        }

    def _describe_alert(
        self, alert: AlertSettings, state: State, silenced_until_us: int
    ) -> dict[str, Any]:
        settings = msgspec.to_builtins(alert)
        is_silenced = silenced_until_us > self.now_us()
        return {
            **{name: value for name, value in settings.items() if name not in _HIDDEN},
            "silenced_until_us": silenced_until_us if is_silenced else None,
            "firing": msgspec.to_builtins(state.firing.get(alert.name, {})),
            "pending": state.pending.get(alert.name, {}),
            "values": self.values.get(alert.name, {}),
            "problem": self.problems.get(alert.name),
        }

    def families(self) -> Iterator[Metric]:
        """Yield the metrics of the alerts; nothing without alerts."""
        if not self.alerts:
            return
        text = "Values of an alert beyond its threshold; 0: it does not fire."
        firing = {alert.name: len(self.state.firing.get(alert.name, ())) for alert in self.alerts}
        yield gauges("alerts_firing", text, "alert", firing)
        text = (
            "Calls of the webhooks of alerts: taken, failed (and tried again); given_up: messages "
            "never taken."
        )
        outcomes = {**self.sent, "given_up": self.state.dropped}
        yield totals("alert_webhooks", text, "outcome", outcomes)
        yield gauge(
            "alert_messages_waiting", "Messages of alerts not taken yet.", len(self.state.outbox)
        )


def make_alerting(settings: Settings, instance: str, storage: Storage) -> Alerting:
    """Make the alerts of some settings over a store."""
    reader = cast(Storage, ScopedStorage(storage, ADMIN, QueryGate(max_queries=1)))
    is_fleet = is_shared(settings.storage.url)
    return Alerting(settings.alerts, storage, reader, instance, is_fleet, settings.admin.public_url)


def _client() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())


def _decoded(stored: bytes) -> State:
    try:
        if stored:
            return _DECODER.decode(stored)
        return State()
    except msgspec.MsgspecError as error:
        log.error("cannot read the state of alerts, it begins anew: %s", error)
        return State()
