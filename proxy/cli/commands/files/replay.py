"""`sidelog replay`: send again what was recorded, and compare each answer with the recorded one.

Strategy: the suite is read twice. The first time nothing is sent: shapes are learned, and whatever must be given for a
redacted part is named. The second time each request is sent and its answer judged, one behind the other, or at a pace.
Invariant: nothing that was redacted is sent, nothing that is not safe unless it is asked for, and no value that came
from the environment is written anywhere.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.text import Text

from api.native.projection import field_of
from api.replay.judge import EXPECTATIONS, Judge
from api.replay.request import SAFE_METHODS, Given, Outgoing, outgoing_of, read_given, refusal_of, replay_of
from api.replay.sender import Answer, NoAnswer, Sender
from api.replay.suite import Recorded
from proxy.cli.commands.client import RECORD_ID, Filters
from proxy.cli.commands.compare import change_line
from proxy.cli.commands.files.progress import Progress
from proxy.cli.commands.files.results import Result, Results
from proxy.cli.commands.files.source import Reader, recorded_in, suite_of
from proxy.cli.commands.output import CommandError, complain, console, say_json
from proxy.enrich.http.answer import recorded_answer
from proxy.enrich.redact.redactor import Redactor
from proxy.process.terminal import visible_line
from proxy.process.tls import upstream_context
from proxy.settings.addresses import parse_upstream
from storage.record import Record

MAX_OPEN: Final = 64
"""Requests at a time, where they begin at a pace."""
MAX_SHOWN: Final = 100
"""Requests that are shown with what differs, and changes of each part; `--json` has all."""
_IS_REPLAY: Final = "it was a replay itself"
_UNSAFE: Final = "its method is not safe: --unsafe sends it"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a suite is replayed."""

    suite: Path
    against: str
    given: Given
    rate: int | None
    """Requests that begin in a second; None: each when the one before it is answered."""
    is_as_recorded: bool
    """Begin as far apart as they were."""
    is_unsafe: bool

    def refusal(self, recorded: Recorded) -> str:
        """Say why a request is not sent; empty if it is."""
        reason = _IS_REPLAY if replay_of(recorded) else refusal_of(recorded)
        return reason or ("" if self.is_unsafe or recorded.record.method in SAFE_METHODS else _UNSAFE)


def run(
    reader: Reader,
    filters: Filters,
    zone: tzinfo | None,
    *,
    against: str,
    expect: str,
    rate: int | None,
    as_recorded: bool,
    set_header: tuple[str, ...],
    edit: tuple[str, ...],
    unsafe: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Replay a suite, or what a search finds; 0 if something was sent and all answers are as expected."""
    try:
        is_reached = parse_upstream(against).scheme != "unix"
    except ValueError:
        is_reached = False
    if not is_reached:
        raise CommandError(f"--against {against!r} is no URL such as http://127.0.0.1:3000", exit_code=2)
    if rate and as_recorded:
        raise CommandError("--rate and --as-recorded are two paces: give one", exit_code=2)
    try:
        given = read_given(set_header, edit, os.environ)
    except ValueError as error:
        raise CommandError(str(error), exit_code=2) from error
    judge = Judge(next(each for each in EXPECTATIONS if each == expect))
    with suite_of(reader, filters) as suite:
        plan = Plan(suite, against, given, rate, as_recorded, unsafe)
        expected = _prepare(plan, judge)
        results = Results(output, {"of": str(filters.get("query", "")), "against": against, "expect": expect})
        progress = Progress(expected)
        try:
            asyncio.run(_Replay(plan, judge, results, progress).run())
        finally:
            progress.end(is_kept=False)
            results.close()
    return _report(results, as_json=as_json)


def _prepare(plan: Plan, judge: Judge) -> int:
    """Learn shapes, and return how many exchanges there are.

    Raises:
        CommandError: redacted parts are not given, or an edit is of no part of any request.
    """
    missing: Counter[str] = Counter()
    unused, expected = set(plan.given.edits), 0
    judge.learn(recorded_in(plan.suite))
    for recorded in recorded_in(plan.suite):
        expected += 1
        if not plan.refusal(recorded):
            missing.update(_outgoing(recorded, plan.given).missing)
            for name in [*unused]:
                only = Given({}, {name: plan.given.edits[name]})
                if _outgoing(recorded, only) != _outgoing(recorded, Given()):
                    unused.discard(name)
    if not expected:
        raise CommandError("no exchanges match: there is nothing to send")
    if missing:
        raise CommandError(_missing_text(missing), exit_code=2)
    if unused:
        raise CommandError(f"no request that is sent has {', '.join(sorted(unused))}, or it is the same", exit_code=2)
    return expected


def _missing_text(missing: Mapping[str, int]) -> str:
    lines = ["nothing was sent: parts were redacted when they were recorded, and must be given"]
    for part, times in sorted(missing.items()):
        kind, _, name = part.partition(" ")
        option = f"--set-header {name}=env:NAME, or {name}= to leave it out" if name else f"--edit {kind}=env:NAME"
        lines.append(f"  {part} in {times:,} request{'s' * (times > 1)}: {option}")
    return "\n".join(lines)


def _outgoing(recorded: Recorded, given: Given) -> Outgoing:
    try:
        return outgoing_of(recorded, given)
    except ValueError as error:
        raise CommandError(f"{recorded.id} cannot be edited so: {error}", exit_code=2) from error


class _Replay:
    """Sends the requests of a suite, each at its time."""

    def __init__(self, plan: Plan, judge: Judge, results: Results, progress: Progress) -> None:
        self._plan, self._judge, self._results, self._progress = plan, judge, results, progress
        self._redactor = Redactor()
        self._room = asyncio.Semaphore(MAX_OPEN if plan.rate or plan.is_as_recorded else 1)

    async def run(self) -> None:
        tls = upstream_context("", is_verified=True) if self._plan.against.startswith("https:") else True
        loop = asyncio.get_running_loop()
        async with Sender(self._plan.against, tls) as sender, asyncio.TaskGroup() as group:
            began_s = loop.time()
            for after_s, recorded in self._due():
                if (pause_s := began_s + after_s - loop.time()) > 0:
                    await asyncio.sleep(pause_s)
                await self._room.acquire()
                group.create_task(self._send(sender, recorded), name=f"replay {recorded.id}")

    def _due(self) -> Iterator[tuple[float, Recorded]]:
        """Yield what is to be sent, and when, from the beginning on."""
        first_us, number = None, 0
        for recorded in recorded_in(self._plan.suite):
            if self._results.has(recorded.id):
                continue
            if reason := self._plan.refusal(recorded):
                self._add(_result(recorded, "not_sent", reason))
                continue
            first_us = recorded.record.started_at_us if first_us is None else first_us
            after_s = (recorded.record.started_at_us - first_us) / 1e6 if self._plan.is_as_recorded else 0
            yield (number / self._plan.rate if self._plan.rate else after_s), recorded
            number += 1

    async def _send(self, sender: Sender, recorded: Recorded) -> None:
        try:
            if recorded.record.method not in SAFE_METHODS:
                self._results.begin(recorded.id)
            answer = await sender.send(_outgoing(recorded, self._plan.given))
        except NoAnswer as error:
            text = str(error)
            for secret in self._plan.given.secrets:
                text = text.replace(secret, "[REDACTED]")
            self._add(_result(recorded, "failed", text))
        else:
            self._add(self._judged(recorded, answer))
        finally:
            self._room.release()

    def _judged(self, recorded: Recorded, answer: Answer) -> Result:
        _, head, body, is_whole, _, duration_us = answer
        payload = recorded_answer(recorded.payload, head, body, is_whole, self._redactor, self._plan.given.secrets)
        record = _record(answer, len(body))
        parts = [part for part in self._judge.judge(recorded, record, payload) if not part.equal]
        result = _result(recorded, "different" if parts else "equal")
        result.status, result.duration_us = answer.status, duration_us
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
    return Record(1, b"", "", "exchange", answer.started_at_us, ended_at_us, status=answer.status, response_bytes=size)


def _result(recorded: Recorded, verdict: Any, reason: str = "") -> Result:
    record = recorded.record
    target = (record.path or "") + ("" if record.query is None else f"?{record.query}")
    return Result(recorded.id, verdict, record.method, target, record.status, reason=reason)


def _report(results: Results, *, as_json: bool) -> int:
    """Print what differs and how much does; return the exit code."""
    counts = results.counts
    is_good = counts["equal"] > 0 and not counts["different"] and not counts["failed"]
    if as_json:
        shown = {name: counts[name] for name in ("equal", "different", "failed", "not_sent")}
        others = [msgspec.to_builtins(result) for result in results.others]
        say_json({**shown, "reasons": dict(results.reasons), "results": others})
        return 0 if is_good else 1
    out = console()
    for result in results.others[:MAX_SHOWN]:
        for line in _lines(result):
            out.print(line)
    if (more := len(results.others) - MAX_SHOWN) > 0:
        out.print(f"… {more:,} more")
    sent = counts["equal"] + counts["different"] + counts["failed"]
    out.print(
        f"{sent:,} sent: {counts['equal']:,} equal, {counts['different']:,} different, {counts['failed']:,} failed"
    )
    for reason, times in results.reasons.most_common():
        complain(f"{times:,} not sent: {visible_line(reason)}")
    return 0 if is_good else 1


def _lines(result: Result) -> Iterator[Text]:
    """Write a result: the request and both statuses, then each change."""
    status = result.recorded_status if result.status in (None, result.recorded_status) else result.status
    codes = f"{result.recorded_status}" + (f" -> {status}" if status != result.recorded_status else "")
    took = "" if result.duration_us is None else f"  {result.duration_us / 1000:,.1f} ms"
    style = "red" if result.verdict == "failed" else "yellow"
    line = Text(visible_line(f"{result.verdict}  {result.method} {result.target}"), style)
    yield line.append(visible_line(f"  {codes}{took}  {result.id}"), "dim")
    if result.reason:
        yield Text(visible_line(f"  {result.reason}"))
    for part in result.parts:
        for change in part["changes"][:MAX_SHOWN]:
            yield Text(f"  {part['part'].replace('_', ' ')}").append(change_line(change))
