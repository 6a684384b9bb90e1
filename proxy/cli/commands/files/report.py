"""What a replay found, by endpoint and then by change, and how long answers took. Pure.

Invariant: what is kept does not grow with the number of requests beyond `MAX_CHANGES` changes of an
endpoint and `MAX_TIMES` durations.
"""

import re
from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from api.replay.judge import is_alike
from proxy.cli.commands.files.results import Result

MAX_CHANGES: Final = 200
MAX_TIMES: Final = 20_000
"""Durations of an endpoint, of the first answers."""
MIN_FOR_P95: Final = 100
"""Fewer answers have no 95th percentile that says anything."""
MIN_SLOWER_US: Final = 5_000
"""A smaller difference is that of two clocks, whatever its factor."""
_SHOWN_CHARACTERS: Final = 60
_INDEX: Final = re.compile(r"\[[0-9]+\]")
_NUMBERED: Final = re.compile(r"(line|byte) [0-9]+")
_LAST_STEP: Final = re.compile(r'(?:\.(?:"(?:[^"\\]|\\.)*+"|[^.\[\]"]++)|\[\*\])\Z')
_NOUNS: Final = {"headers": "header ", "trailers": "trailer ", "events": "event "}


class Times(msgspec.Struct):
    """Percentiles of durations; null without any."""

    p50_us: int | None
    p95_us: int | None


class Latency(msgspec.Struct):
    """How long the answers of an endpoint took when they were recorded, and now."""

    before: Times
    now: Times
    factor: float | None
    """By which the median grew; null where one is not known."""
    slower: bool
    """By more than was allowed."""


class Change(msgspec.Struct):
    """The same change in several answers of an endpoint."""

    part: str
    change: str
    path: str
    """With all indices left open."""
    text: str
    """In words."""
    times: int
    """In so many answers."""
    example: str
    """Id of a recorded exchange in whose answer it is."""


class Endpoint(msgspec.Struct):
    """What became of the requests of an endpoint."""

    method: str | None
    endpoint: str
    sent: int
    equal: int
    different: int
    failed: int
    latency: Latency
    changes: list[Change]
    more: int
    """Changes that were not kept."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.endpoint}"

    @property
    def is_good(self) -> bool:
        return not (self.different or self.failed or self.latency.slower)


class _Key(NamedTuple):
    part: str
    change: str
    path: str
    values: tuple[str | None, str | None]
    """Only of what is grouped by them."""


class _Gathered:
    """One endpoint while results come."""

    def __init__(self) -> None:
        self.counts = {"equal": 0, "different": 0, "failed": 0}
        self.before = array("q")
        self.now = array("q")
        self.changes: dict[_Key, Change] = {}
        self.more = 0

    def add(self, result: Result) -> None:
        self.counts[result.verdict] += 1
        has_both = result.duration_us is not None and result.recorded_duration_us is not None
        if has_both and len(self.now) < MAX_TIMES:
            self.before.append(result.recorded_duration_us or 0)
            self.now.append(result.duration_us or 0)
        seen: set[_Key] = set()
        for key, text in _changes_of(result):
            known = self.changes.get(key)
            if known is None and len(self.changes) >= MAX_CHANGES:
                self.more += 1
            elif known is None:
                self.changes[key] = Change(key.part, key.change, key.path, text, 1, result.id)
            elif key not in seen:
                known.times += 1

            seen.add(key)


class Report:
    """Gathers results by endpoint."""

    def __init__(self, slower: float | None = None) -> None:
        """Judge latency by the factor by which it may grow; without one it is only shown."""
        self._slower = slower
        self._gathered: dict[tuple[str | None, str], _Gathered] = {}

    def add(self, result: Result) -> None:
        """Add what became of a request; what was not sent is of no endpoint."""
        if result.verdict in ("equal", "different", "failed"):
            name = result.method, result.endpoint or result.target
            self._gathered.setdefault(name, _Gathered()).add(result)

    def endpoints(self) -> list[Endpoint]:
        """Return what was found, in the order in which endpoints came first."""
        return [
            Endpoint(
                *name,
                sent=sum(each.counts.values()),
                equal=each.counts["equal"],
                different=each.counts["different"],
                failed=each.counts["failed"],
                latency=_latency(each.before, each.now, self._slower),
                changes=_joined([*each.changes.values()]),
                more=each.more,
            )
            for name, each in self._gathered.items()
        ]


def lines_of(endpoint: Endpoint) -> Iterator[str]:
    """Write the changes of an endpoint, a line each: in how many answers, what, and an example."""
    for change in endpoint.changes:
        many = f"{change.times:,} of {endpoint.sent:,}"
        joint = " " if change.part in ("status", "failed") else ": "
        yield f"{many}{joint}{change.text}  (example: {change.example})"
    if endpoint.more:
        yield f"… {endpoint.more:,} more"


def milliseconds(times: Times) -> str:
    """Write percentiles: `12.0/30.1 ms`."""
    p50, p95 = ("?" if us is None else f"{us / 1000:,.1f}" for us in (times.p50_us, times.p95_us))
    return f"{p50}/{p95} ms"


def _latency(before: "array[int]", now: "array[int]", slower: float | None) -> Latency:
    old = _times(before)
    new = _times(now)
    if old.p50_us is None or new.p50_us is None:
        return Latency(old, new, None, False)

    pairs = [(old.p50_us, new.p50_us)]
    if len(now) >= MIN_FOR_P95 and old.p95_us is not None and new.p95_us is not None:
        pairs.append((old.p95_us, new.p95_us))
    is_slower = slower is not None and any(
        after > was * slower and after - was >= MIN_SLOWER_US for was, after in pairs
    )
    return Latency(old, new, round(new.p50_us / max(1, old.p50_us), 2), is_slower)


def _times(durations: "array[int]") -> Times:
    """Return percentiles by nearest rank."""
    if not durations:
        return Times(None, None)
    ranked = sorted(durations)
    p50, p95 = (ranked[-(-len(ranked) * share // 100) - 1] for share in (50, 95))
    return Times(p50, p95)


def _changes_of(result: Result) -> Iterator[tuple[_Key, str]]:
    """Yield what is different, as it is grouped, and in words.

    Of an answer whose status is of another class, its status alone: all else follows from that.
    """
    if result.verdict == "failed":
        key = _Key("failed", "failed", "", (result.reason, None))
        yield key, f"have no answer: {result.reason}"
        return

    statuses = [part["changes"] for part in result.parts if part["part"] == "status"]
    is_other = any(not is_alike(each["a"], each["b"]) for found in statuses for each in found)
    for part in result.parts:
        if is_other and part["part"] != "status":
            continue
        for change in part["changes"]:
            yield _key(part["part"], change), _words(part["part"], change)


def _key(part: str, change: Mapping[str, Any]) -> _Key:
    if part == "status":
        values = (change["a"], change["b"])
    else:
        values = (None, None)
    return _Key(part, change["change"], _general(change["path"]), values)


def _general(path: str) -> str:
    return _NUMBERED.sub(r"\1 *", _INDEX.sub("[*]", path))


def _words(part: str, change: Mapping[str, Any]) -> str:
    """Say what changed."""
    kind = change["change"]
    path = _general(change["path"])
    was, now = (None if value is None else _short(value) for value in (change["a"], change["b"]))
    if part == "status":
        return f"answer {now} instead of {was}"

    place = "the body" if path in (".", "all of it") else path
    place = _NOUNS.get(part.rpartition("_")[2], "") + place
    if kind == "removed":
        return f"{place} is gone"
    if kind == "added":
        return f"{place} is new"
    if kind == "moved":
        is_whole = change["old_path"] is None
        return f"{place} {'is in another order' if is_whole else 'was at another index'}"

    return f"{place} {'is of another type' if kind == 'type' else 'differs'} ({was} -> {now})"


def _short(value: str) -> str:
    if len(value) <= _SHOWN_CHARACTERS:
        return value
    return value[: _SHOWN_CHARACTERS - 1] + "…"


def _joined(changes: list[Change]) -> list[Change]:
    """Say in one what is gone and what is new in an object: a member that was renamed."""
    joined: list[Change] = []
    for change in changes:
        at = next((at for at, each in enumerate(joined) if _is_pair(each, change)), None)
        if at is None:
            joined.append(change)
            continue

        new, gone = sorted((joined[at], change), key=lambda each: each.change)
        path = f"{gone.path} {new.path}"
        text = f"{gone.text}, {new.text}"
        joined[at] = Change(gone.part, "renamed", path, text, gone.times, gone.example)

    return joined


def _is_pair(one: Change, other: Change) -> bool:
    """Whether one is gone and the other new, in the same object of the same answers."""
    return (
        {one.change, other.change} == {"added", "removed"}
        and (one.part, one.times, one.example) == (other.part, other.times, other.example)
        and _parent(one.path) == _parent(other.path)
    )


def _parent(path: str) -> str:
    return _LAST_STEP.sub("", path)
