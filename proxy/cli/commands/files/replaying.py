"""Sends a suite: decides which requests are sent and when, and judges each answer.

The suite is read twice. The first time, shapes are learned, and missing values of redacted parts
are reported. The second time, each request is sent and its answer judged, one after the other or at
a pace. Invariant: redacted parts are never sent, unsafe requests only on demand, and values from
the environment are not written anywhere.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from api.compare.ignored import Place, read_places
from api.native.files.cut_bodies import describe_loss
from api.native.projection import field_of
from api.replay.judge import Judge
from api.replay.request import (
    SAFE_METHODS,
    Given,
    Outgoing,
    is_call,
    outgoing_of,
    refusal_of,
    replay_of,
)
from api.replay.sender import Answer, NoAnswer, Sender, Unreached
from api.replay.suite import Recorded, SuiteError, read_ignored
from proxy.cli.commands.client import RECORD_ID
from proxy.cli.commands.files.call_messages import schema_in
from proxy.cli.commands.files.calls import Calls, with_status_in_trailers
from proxy.cli.commands.files.progress import Progress
from proxy.cli.commands.files.results import Result, Results
from proxy.cli.commands.files.source import recorded_in, template_of
from proxy.cli.commands.output import CommandError, complain, failing
from proxy.enrich.endpoints.endpoints import UNKNOWN
from proxy.enrich.http.answer import recorded_answer
from proxy.enrich.redact.redactor import Redactor
from proxy.process.tls import upstream_context
from proxy.settings.addresses import parse_upstream
from storage.record import Payload, Record

MAX_OPEN: Final = 64
"""Default number of open requests when requests begin at a pace."""
MAX_UNREACHED: Final = 10
"""Number of consecutive requests without a listening server after which the rest is not sent."""
_IS_REPLAY: Final = "it was a replay itself"
_UNSAFE: Final = "its method is not safe: --unsafe sends it"
_UNANSWERED: Final = "it had no answer that another could be compared with"


@dataclass(frozen=True, slots=True)
class Pace:
    """When requests begin."""

    rate: int | None
    """Requests a second; None: each begins when the previous one is answered."""
    speed: float
    """Speed relative to the recording; 0: the recorded times do not count."""
    rounds: int
    concurrency: int | None
    """None: the default."""
    timeout_s: float

    @property
    def max_open(self) -> int:
        """Return how many requests may be open at once: one by default, or `MAX_OPEN` at a pace."""
        return self.concurrency or (MAX_OPEN if self.rate or self.speed else 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a suite is replayed."""

    suite: Path
    hosts: frozenset[str]
    """Hosts to which requests are sent; empty: all."""
    against: str
    is_insecure: bool
    given: Given
    pace: Pace
    is_unsafe: bool
    calls: Calls

    def recorded(self) -> Iterator[Recorded]:
        """Yield the exchanges of the suite."""
        for recorded in recorded_in(self.suite):
            payload = recorded.payload
            if payload is not None and is_call(payload):
                recorded = recorded._replace(payload=with_status_in_trailers(payload))
            if not self.hosts or recorded.record.host in self.hosts:
                yield recorded

    def refusal(self, recorded: Recorded) -> str:
        """Return the reason why a request is not sent; empty if it is sent."""
        if replay_of(recorded):
            reason = _IS_REPLAY
        else:
            reason = refusal_of(recorded, may_call=True)
        if not reason and _is_call(recorded):
            reason = self.calls.refusal(recorded)
        if not reason and recorded.record.status is None:
            reason = _UNANSWERED
        return reason or (
            "" if self.is_unsafe or recorded.record.method in SAFE_METHODS else _UNSAFE
        )


def calls_to(against: str, is_insecure: bool, timeout_s: float, protobuf: Path | None) -> Calls:
    """Return a client that sends gRPC calls to a service.

    Raises:
        CommandError: its URL is invalid, or the schema cannot be read.
    """
    try:
        address = parse_upstream(against)
    except ValueError:
        address = None

    if address is None or address.scheme == "unix":
        text = f"--against {against!r} is not a URL; expected one such as http://127.0.0.1:3000"
        raise CommandError(text, exit_code=2)

    tls = None
    if address.scheme == "https":
        tls = upstream_context("", "h2", is_verified=not is_insecure)
    return Calls(address, tls, timeout_s, schema_in(protobuf), Redactor())


def ignored_places(suite: Path, given: tuple[str, ...]) -> frozenset[Place]:
    """Return the paths to ignore that the suite and the command line name."""
    with failing("", SuiteError, exit_code=2):
        ignored = read_ignored(suite)
    with failing(f"--ignore, or the first line of {suite}", ValueError, exit_code=2):
        return read_places([*ignored, *given])


def prepare(plan: Plan, judge: Judge) -> int:
    """Learn shapes, and return the number of exchanges.

    Raises:
        CommandError: values of redacted parts are missing, or an edit matches no part of any request.
    """
    missing: Counter[str] = Counter()
    unused = set(plan.given.edits)
    expected = 0
    bodiless = 0
    judge.learn(plan.recorded())

    for recorded in plan.recorded():
        expected += 1
        if not plan.refusal(recorded):
            missing.update(_outgoing(plan, recorded, plan.given).missing)
            payload = recorded.payload
            if payload is None:
                body = None
            else:
                body = payload.response_body
            bodiless += body is not None and describe_loss(body) != ""
            for name in [*unused]:
                only = Given({}, {name: plan.given.edits[name]})
                if _outgoing(plan, recorded, only) != _outgoing(plan, recorded, Given()):
                    unused.discard(name)

    if not expected:
        raise CommandError("no exchanges match: there is nothing to send")
    if missing:
        raise CommandError(_missing_text(missing), exit_code=2)
    if unused:
        raise CommandError(
            f"no request that is sent has {', '.join(sorted(unused))}, or it is the same",
            exit_code=2,
        )

    if bodiless:
        complain(f"{bodiless:,} recorded answers are without their whole body, which is not judged")
    return expected


def _missing_text(missing: Mapping[str, int]) -> str:
    lines = ["nothing was sent: parts were redacted when they were recorded, and must be given"]
    for part, times in sorted(missing.items()):
        kind, _, name = part.partition(" ")
        if name:
            option = f"--set-header {name}=env:NAME, or {name}= to leave it out"
        else:
            option = f"--edit {kind}=env:NAME"
        lines.append(f"  {part} in {times:,} request{'s' * (times > 1)}: {option}")

    return "\n".join(lines)


def _is_call(recorded: Recorded) -> bool:
    return recorded.payload is not None and is_call(recorded.payload)


def _outgoing(plan: Plan, recorded: Recorded, given: Given) -> Outgoing:
    with failing(f"{recorded.id} cannot be edited so", ValueError, exit_code=2):
        made = outgoing_of(recorded, given)
        if _is_call(recorded):
            return plan.calls.outgoing(recorded, made)
        return made


class Replay:
    """Sends the requests of a suite, each at its time."""

    def __init__(self, plan: Plan, judge: Judge, results: Results, progress: Progress) -> None:
        self._plan = plan
        self._judge = judge
        self._results = results
        self._progress = progress
        self._redactor = Redactor()
        self._unreached = 0
        """Number of consecutive requests that reached no server."""
        self._room = asyncio.Semaphore(plan.pace.max_open)

    async def run(self) -> None:
        """Send the requests, and note how each answer is judged."""
        plan = self._plan
        loop = asyncio.get_running_loop()
        tls: ssl.SSLContext | bool = True
        if plan.against.startswith("https:"):
            tls = upstream_context("", is_verified=not plan.is_insecure)
        async with (
            Sender(plan.against, tls, timeout_s=plan.pace.timeout_s) as sender,
            asyncio.TaskGroup() as group,
        ):
            for number in range(1, plan.pace.rounds + 1):
                began_s = loop.time()
                for after_s, recorded in self._due(number):
                    pause_s = began_s + after_s - loop.time()
                    if pause_s > 0 and self._unreached < MAX_UNREACHED:
                        await asyncio.sleep(pause_s)
                    await self._room.acquire()
                    if self._unreached >= MAX_UNREACHED:
                        self._room.release()
                        text = f"nothing listens at {plan.against}, as {MAX_UNREACHED} requests say"
                        self._results.leave(text)
                        continue
                    group.create_task(
                        self._send(sender, recorded, number), name=f"replay {recorded.id}"
                    )

    def _due(self, number: int) -> Iterator[tuple[float, Recorded]]:
        """Yield the requests of a round, each with its time since the round's beginning."""
        pace = self._plan.pace
        first_us = None
        place = 0

        for recorded in self._plan.recorded():
            if self._results.has(recorded.id, number):
                continue
            if reason := self._plan.refusal(recorded):
                if number == 1:
                    self._add(_result(recorded, number, "not_sent", reason))
                continue

            if first_us is None:
                first_us = recorded.record.started_at_us
            after_s = 0.0
            if pace.speed:
                after_s = (recorded.record.started_at_us - first_us) / 1e6 / pace.speed
            elif pace.rate:
                after_s = place / pace.rate

            yield after_s, recorded
            place += 1

    async def _send(self, sender: Sender, recorded: Recorded, number: int) -> None:
        try:
            if recorded.record.method not in SAFE_METHODS:
                self._results.begin(recorded.id, number)
            outgoing = _outgoing(self._plan, recorded, self._plan.given)
            answer, payload = await self._answered(sender, recorded, outgoing)
        except NoAnswer as error:
            if isinstance(error, Unreached):
                self._unreached = self._unreached + 1
            else:
                self._unreached = 0
            text = str(error)
            for secret in self._plan.given.secrets:
                text = text.replace(secret, "[REDACTED]")
            self._add(_result(recorded, number, "failed", text))
        else:
            self._unreached = 0
            self._add(self._judged(recorded, number, answer, payload))
        finally:
            self._room.release()

    async def _answered(
        self, sender: Sender, recorded: Recorded, outgoing: Outgoing
    ) -> tuple[Answer, Payload]:
        """Send a request; return the answer, and its payload as it would be recorded."""
        secrets = self._plan.given.secrets
        if _is_call(recorded):
            answer, trailers = await self._plan.calls.send(outgoing)
            return answer, self._plan.calls.payload(recorded, answer, trailers, secrets)

        answer = await sender.send(outgoing)
        _, head, body, is_whole, *_ = answer
        return answer, recorded_answer(
            recorded.payload, head, body, is_whole, self._redactor, secrets
        )

    def _judged(self, recorded: Recorded, number: int, answer: Answer, payload: Payload) -> Result:
        record = _record(answer, len(answer.body))
        parts = [part for part in self._judge.judge(recorded, record, payload) if not part.equal]
        result = _result(recorded, number, "different" if parts else "equal")
        result.status = answer.status
        result.duration_us = answer.duration_us
        result.record = field_of(payload.response_head, RECORD_ID)
        result.parts = [msgspec.to_builtins(part) for part in parts]
        return result

    def _add(self, result: Result) -> None:
        self._results.add(result)
        counts = self._results.counts
        shown = ", ".join(f"{times:,} {name.replace('_', ' ')}" for name, times in counts.items())
        self._progress.show(counts.total(), shown)


def _record(answer: Answer, size: int) -> Record:
    ended_at_us = answer.started_at_us + answer.duration_us
    return Record(
        1,
        b"",
        "",
        "exchange",
        answer.started_at_us,
        ended_at_us,
        status=answer.status,
        response_bytes=size,
    )


def _result(recorded: Recorded, number: int, verdict: Any, reason: str = "") -> Result:
    record = recorded.record
    target = (record.path or "") + ("" if record.query is None else f"?{record.query}")
    result = Result(
        recorded.id, verdict, record.method, target, record.status, reason=reason, round=number
    )
    result.endpoint = record.endpoint or UNKNOWN
    if result.endpoint == UNKNOWN:
        result.endpoint = template_of(record.path or "")
    result.recorded_duration_us = record.duration_us
    return result
