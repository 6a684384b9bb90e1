"""The findings of a replay, by endpoint and change, and the durations of answers.

Invariant: memory is bounded by `MAX_CHANGES` changes per endpoint and `MAX_TIMES` durations,
however many requests there are.
"""

import re
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from api.replay.judge import is_alike
from proxy.cli.commands.files.results import Result
from proxy.cli.commands.output import Json

MAX_CHANGES: Final = 200
MAX_TIMES: Final = 20_000
"""Number of durations kept per endpoint: those of the first answers."""
MIN_FOR_P95: Final = 100
"""Smallest number of answers with a meaningful 95th percentile."""
MIN_SLOWER_US: Final = 5_000
"""Smallest difference that counts as slower; smaller ones may be due to two clocks."""
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
    """Durations of an endpoint's answers when they were recorded, and now."""

    before: Times
    now: Times
    factor: float | None
    """Growth of the median; null if either is unknown."""
    slower: bool
    """Whether it grew by more than allowed."""


class Change(msgspec.Struct):
    """The same change in several answers of an endpoint."""

    part: str
    change: str
    path: str
    """Path of the change, without indices."""
    text: str
    """The change in words."""
    times: int
    """Number of answers with this change."""
    example: str
    """Id of a recorded exchange whose answer has this change."""


class Endpoint(msgspec.Struct):
    """The results of an endpoint's requests."""

    method: str | None
    endpoint: str
    sent: int
    equal: int
    different: int
    failed: int
    latency: Latency
    changes: list[Change]
    more: int
    """Number of changes that were not kept."""

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
    """Old and new value, if changes are grouped by them."""


class _Gathered:
    """An endpoint while results arrive."""

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
        """Flag endpoints whose latency grew by more than the factor; without one, latency is only
        shown.
        """
        self._slower = slower
        self._gathered: dict[tuple[str | None, str], _Gathered] = {}

    def add(self, result: Result) -> None:
        """Add the result of a request. An unsent request has no endpoint."""
        if result.verdict in ("equal", "different", "failed"):
            name = result.method, result.endpoint or result.target
            self._gathered.setdefault(name, _Gathered()).add(result)

    def endpoints(self) -> list[Endpoint]:
        """Return the results by endpoint, in the order of their first request."""
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
    """Return the changes of an endpoint, one per line: number of answers, change, example."""
    for change in endpoint.changes:
        many = f"{change.times:,} of {endpoint.sent:,}"
        if change.part in ("status", "failed"):
            joint = " "
        else:
            joint = ": "
        yield f"{many}{joint}{change.text}  (example: {change.example})"
    if endpoint.more:
        yield f"… {endpoint.more:,} more"


def milliseconds(times: Times) -> str:
    """Return percentiles as text: `12.0/30.1 ms`."""
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
    """Yield each difference as it is grouped, and in words.

    If the class of the status differs, only the status is yielded: other differences follow from
    it.
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
            name = part["part"]
            if name == "status":
                values = (change["a"], change["b"])
            else:
                values = (None, None)
            key = _Key(name, change["change"], _general(change["path"]), values)
            yield key, _words(name, change)


def _general(path: str) -> str:
    return _NUMBERED.sub(r"\1 *", _INDEX.sub("[*]", path))


def _words(part: str, change: Json) -> str:
    """Return a change in words."""
    kind = change["change"]
    path = _general(change["path"])
    was, now = (None if value is None else _short(value) for value in (change["a"], change["b"]))
    if part == "status":
        return f"answer {now} instead of {was}"

    if path in (".", "all of it"):
        place = "the body"
    else:
        place = path
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
    """Merge a removed and an added member of an object into one change: a renamed member."""
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
    """Whether one member was removed and the other added, in the same object of the same answers."""
    return (
        {one.change, other.change} == {"added", "removed"}
        and (one.part, one.times, one.example) == (other.part, other.times, other.example)
        and _parent(one.path) == _parent(other.path)
    )


def _parent(path: str) -> str:
    return _LAST_STEP.sub("", path)
