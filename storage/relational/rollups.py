"""Rollups of some records: counts per combination of dimensions, and the limits on values with
separate counts.

Strategy: there is a row per combination and hour, and one per combination and day, so that long
ranges read few rows. Further pairs of tables have other columns, to keep them small. One leaves out
key and method, the dimensions that make most rows, and has status and error type instead. Others
leave out the key and have the endpoint, or leave out both and have the host, the called model, or
the user. All have the weight in their key, too, and count stored records. Records are added up in
memory, and a backend merges the sums into hours in a transaction: that of the batch, or in SQLite a
later one. The database folds a past hour into its day; records that come later for it are added to
both: 50 instead of 90 us of CPU for a record that needs new rows (bench.micro.sqlite_write, varied).

Invariant: a rollup row is the exact sum of the counted records of its hour (or of the folded hours
of its day) and dimensions, without those that retention and erasure removed; minima and maxima of
latencies include removed records. In one hour `MAX_VALUES` values of a dimension have separate
counts, and all further ones count as `OTHER`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import Any, Final, TypeVar

from storage.aggregates import Latencies
from storage.query import ROLLUP_METHODS
from storage.record import Record
from storage.relational.time_ranges import DAY_HOURS, HOUR_US, Tier
from storage.relational.weights import HAS_WEIGHTS, weight_code

T = TypeVar("T")

DIMENSIONS: Final = (
    "project", "container", "client", "service", "route_id", "key_id", "source", "level", "method", "kind", "instance",
)  # fmt: skip
"""The columns of a record that are keys of rollups, besides time and status class, in the order of
its row.
"""
TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("rollups", "hour"),
    "day": ("rollups_daily", "day"),
}
"""Tier → its table, and the column with the numbers of its hours or days since the epoch."""
OTHER: Final = -1
"""The dictionary id for all values beyond the limit."""
MAX_VALUES: Final = 10_000
MAX_FOLDED_HOURS: Final = 8
"""Hours folded at once, 60,000 rows of each table in one or two seconds; the next batch folds more.
"""
LIMITED: Final = ("project", "container", "client", "service", "route_id", "key_id")
"""Dimensions with values that clients choose; each has a bit in the store's `capped_dimensions`."""
LIMITED_BY_HOST: Final = ("host", "error_type")
"""The same of the rollups by host; their bits follow."""
LIMITED_BY_ENDPOINT: Final = ("endpoint",)
"""The same of the rollups by endpoint."""
LIMITED_BY_MODEL: Final = ("provider", "model", "resolved_model")
LIMITED_BY_USER: Final = ("user_id",)
ALL_LIMITED: Final = (
    *LIMITED,
    *LIMITED_BY_HOST,
    *LIMITED_BY_ENDPOINT,
    *LIMITED_BY_MODEL,
    *LIMITED_BY_USER,
)
KEYS: Final = (*DIMENSIONS, "status_class", "weight")
"""The columns of the tables' keys, after the period."""
STATUS_TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("status_rollups", "hour"),
    "day": ("status_rollups_daily", "day"),
}
_SMALL: Final = tuple(name for name in DIMENSIONS if name not in ("key_id", "method"))
BY_STATUS: Final = (*_SMALL, "error_type")
STATUS_KEYS: Final = (*BY_STATUS, "keyed", "status", "status_class", "weight")
"""The same of the rollups by status; they include the class, so that the same conditions fit all
tables.
"""

HOST_TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("host_rollups", "hour"),
    "day": ("host_rollups_daily", "day"),
}
BY_HOST: Final = (*_SMALL, *LIMITED_BY_HOST)
HOST_KEYS: Final = (*BY_HOST, "keyed", "status", "status_class", "weight")

ENDPOINT_TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("endpoint_rollups", "hour"),
    "day": ("endpoint_rollups_daily", "day"),
}
BY_ENDPOINT: Final = (*(name for name in DIMENSIONS if name != "key_id"), *LIMITED_BY_ENDPOINT)
ENDPOINT_KEYS: Final = (*BY_ENDPOINT, "status_class", "weight")

MODEL_TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("model_rollups", "hour"),
    "day": ("model_rollups_daily", "day"),
}
MODEL_KEYS: Final = (*_SMALL, *LIMITED_BY_MODEL, "status_class", "weight")

USER_TABLES: Final[dict[Tier, tuple[str, str]]] = {
    "hour": ("user_rollups", "hour"),
    "day": ("user_rollups_daily", "day"),
}
USER_KEYS: Final = (*_SMALL, *LIMITED_BY_USER, "status_class", "weight")

CUBES: Final = (
    (STATUS_TABLES, STATUS_KEYS),
    (MODEL_TABLES, MODEL_KEYS),
    (TABLES, KEYS),
    (ENDPOINT_TABLES, ENDPOINT_KEYS),
    (HOST_TABLES, HOST_KEYS),
    (USER_TABLES, USER_KEYS),
)
"""All tables and the columns of their keys after the period, the smallest tables first."""
LEARNED: Final = (
    (LIMITED, TABLES),
    (LIMITED_BY_HOST, HOST_TABLES),
    (LIMITED_BY_ENDPOINT, ENDPOINT_TABLES),
    (LIMITED_BY_MODEL, MODEL_TABLES),
    (LIMITED_BY_USER, USER_TABLES),
)
"""Limited dimensions, and the tables that contain their values."""

MEASURES: Final = (
    "exchanges", "events", "request_bytes", "response_bytes", "input_tokens", "output_tokens", "cost_nano_usd",
)  # fmt: skip
"""Whole numbers, so that subtraction leaves no remainder."""
NANO: Final = 10**9
MAX_TOKENS: Final = 10**12
MAX_COST_USD: Final = 1000
"""The most that one call adds: nine million responses that claim as much do not overflow a sum."""
LEAST: Final = ("duration_least_us", "first_byte_least_us")
MOST: Final = ("duration_most_us", "first_byte_most_us")
HISTOGRAMS: Final = ("durations", "first_bytes")
"""Latencies by bucket, in a form of each backend; the columns above are their minima and maxima,
null without any.
"""
COLUMNS: Final = (*MEASURES, *LEAST, *MOST, *HISTOGRAMS)
"""The columns of the tables besides their keys."""
_METHOD: Final = DIMENSIONS.index("method")
_ADMITTED: Final = (*DIMENSIONS, *ALL_LIMITED[len(LIMITED) :])
_LIMITED_PLACES: Final = tuple(_ADMITTED.index(dimension) for dimension in ALL_LIMITED)
_STATUS_PLACES: Final = tuple(_ADMITTED.index(dimension) for dimension in BY_STATUS)
_HOST_PLACES: Final = tuple(_ADMITTED.index(dimension) for dimension in BY_HOST)
_ENDPOINT_PLACES: Final = tuple(_ADMITTED.index(dimension) for dimension in BY_ENDPOINT[:-1])
_SMALL_PLACES: Final = tuple(_ADMITTED.index(dimension) for dimension in _SMALL)
_NAMES: Final = (*LIMITED_BY_ENDPOINT, *LIMITED_BY_USER, *LIMITED_BY_MODEL)
_NAME_BITS: Final = tuple(ALL_LIMITED.index(name) for name in _NAMES)
_REMEMBERED_HOURS: Final = 4
"""Records come roughly in the order of their time: the current hour, and the one before."""

Dimensions = tuple[int, ...]
Counted = tuple[int, Dimensions, int, int, str | None, bool, int]
"""Hour, dimensions, status, error type, host, is a key required, weight: the keys by which records
are counted.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measures of some records; latencies are lists, counted by bucket once per row instead of at
    each addition.
    """

    numbers: list[int]
    """In the order of `MEASURES`."""
    durations: list[int]
    first_bytes: list[int]

    def copy(self) -> "Measured":
        return Measured(self.numbers.copy(), self.durations.copy(), self.first_bytes.copy())

    def sort(self) -> None:
        """Sort latencies, before they are copied to sums that sort them again."""
        self.durations.sort()
        self.first_bytes.sort()

    def add(self, other: "Measured") -> None:
        self.numbers[:] = map(add, self.numbers, other.numbers)
        self.durations.extend(other.durations)
        self.first_bytes.extend(other.first_bytes)

    def row(
        self, sign: int, pack: Callable[[Mapping[int, Any], int], T]
    ) -> tuple[int | T | None, ...]:
        """Return the values of `COLUMNS`, to be added or, with a sign of -1, subtracted.

        `pack` makes the backend's form from counts by bucket, whole numbers here, and the sign.
        """
        duration = Latencies.of(self.durations)
        first_byte = Latencies.of(self.first_bytes)
        packed = pack(duration.counts, sign), pack(first_byte.counts, sign)
        if sign < 0:
            return (*[-number for number in self.numbers], None, None, None, None, *packed)

        ends = duration.least_us, first_byte.least_us, duration.most_us, first_byte.most_us
        return (*self.numbers, *ends, *packed)


NameTexts = tuple[str | None, ...]
"""Further keys of a record: the text of `_NAMES`."""
Sums = dict[tuple[int, ...], Measured]
"""Hour or day, and the columns of a key → measures of their records."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Sums within limits."""

    hours: Sums
    """By `KEYS`."""
    statuses: Sums
    """By `STATUS_KEYS`."""
    hosts: Sums
    """By `HOST_KEYS`."""
    endpoints: Sums
    """By `ENDPOINT_KEYS`."""
    models: Sums
    """By `MODEL_KEYS`."""
    users: Sums
    """By `USER_KEYS`."""
    capped: int
    """Bits of the dimensions that have `OTHER`."""

    def by_table(self, folded_until: int) -> Iterator[tuple[str, Sums]]:
        """Pair tables with the sums to be added; sums of folded hours are added to their days, too."""
        sums = self.statuses, self.models, self.hours, self.endpoints, self.hosts, self.users
        for (tables, _), hours in zip(CUBES, sums, strict=True):
            yield tables["hour"][0], hours
            folded = {key: counts for key, counts in hours.items() if key[0] < folded_until}
            if folded:
                yield tables["day"][0], by_day(folded)


def dimensions_of(ids: Sequence[int | None], method: str | None) -> Dimensions:
    """Make the dimensions of a record from its ids; null, and methods that clients invented, become
    0.
    """
    dimensions = [number or 0 for number in ids]
    if method not in ROLLUP_METHODS:
        dimensions[_METHOD] = 0
    return tuple(dimensions)


def by_day(hours: Sums) -> Sums:
    days: Sums = {}
    for (hour, *key), counts in hours.items():
        _merge(days, (hour // DAY_HOURS, *key), counts.copy())
    return days


class ValueLimits:
    """The values of each dimension with separate counts in an hour, for the one writer of a store."""

    def __init__(
        self, max_values: int = MAX_VALUES, places: Sequence[int] = _LIMITED_PLACES
    ) -> None:
        """Allow `max_values` separate counts for each dimension with its place in `places`."""
        self._max_values = max_values
        self._places = places
        self._hours: dict[int, list[set[int]]] = {}

    def forget(self) -> None:
        """Forget everything: a transaction failed, or rows were deleted."""
        self._hours.clear()

    def unknown(self, hours: Iterable[int]) -> list[int]:
        """Find the hours to be learned before their records are admitted; forget old ones."""
        wanted = set(hours)
        old = sorted(self._hours.keys() - wanted)
        for hour in old[
            : max(0, len(self._hours) + len(wanted - self._hours.keys()) - _REMEMBERED_HOURS)
        ]:
            del self._hours[hour]

        return sorted(wanted - self._hours.keys())

    def learn(self, hour: int, *found: Iterable[Iterable[int]]) -> None:
        """Note the values with separate counts in an hour.

        `found` has the combinations of the limited dimensions, table by table (`LEARNED`); tables
        at the end may be left out.
        """
        values: list[set[int]] = [set() for _ in self._places]
        first = 0
        for (dimensions, _), combinations in zip(LEARNED, found, strict=False):
            for row in combinations:
                for known, value in zip(values[first:], row, strict=False):
                    known.add(value)
            first += len(dimensions)

        self._hours[hour] = [known - {0} for known in values]

    def admit(self, hour: int, dimensions: Dimensions) -> tuple[Dimensions, int]:
        """Replace values beyond the limit by `OTHER`; return the dimensions, and the bits of the
        changed ones.

        Dimensions at the end may be left out.
        """
        kept = list(dimensions)
        bits = 0
        for bit, (place, values) in enumerate(zip(self._places, self._hours[hour], strict=True)):
            if place >= len(dimensions):
                break
            value = dimensions[place]
            if value and value not in values and self.admit_value(hour, bit, value) == OTHER:
                kept[place] = OTHER
                bits |= 1 << bit

        return tuple(kept), bits

    def admit_value(self, hour: int, bit: int, value: int) -> int:
        """Return the value, or `OTHER` if the dimension of the bit has too many."""
        values = self._hours[hour][bit]
        if value and value not in values:
            # Once an hour has `OTHER`, it gives no separate counts to new values, even when some
            # are erased.
            if len(values) >= self._max_values or OTHER in values:
                values.add(OTHER)
                return OTHER
            values.add(value)

        return value


class Rollups:
    """The counts of records that are added to the tables, or subtracted, in one transaction."""

    def __init__(self) -> None:
        self._sums: dict[Counted, dict[NameTexts, Measured]] = {}

    @property
    def hours(self) -> set[int]:
        return {key[0] for key in self._sums}

    @property
    def texts(self) -> dict[str, tuple[str, ...]]:
        """All text that needs ids, by column."""
        found: dict[str, set[str | None]] = {name: set() for name in _NAMES}
        for cells in self._sums.values():
            for cell in cells:
                for name, text in zip(_NAMES, cell, strict=True):
                    found[name].add(text)

        found["host"] = {host for *_, host, _, _ in self._sums}
        return {
            name: tuple(text for text in values if text is not None)
            for name, values in found.items()
        }

    def add(self, record: Record, dimensions: Dimensions, error_type: int = 0) -> None:
        first_byte_us = record.first_byte_us
        key = (
            record.started_at_us // HOUR_US, dimensions, record.status or 0, error_type, record.host, record.keyed,
            weight_code(record.weight),
        )  # fmt: skip
        cells = self._sums.get(key)
        if cells is None:
            cells = self._sums[key] = {}
        names = (
            record.endpoint,
            record.user_id,
            record.provider,
            record.model,
            record.resolved_model,
        )
        cell = cells.get(names)
        if cell is None:
            cell = cells[names] = Measured([0] * len(MEASURES), [], [])
        numbers = cell.numbers
        numbers[2] += record.request_bytes
        numbers[3] += record.response_bytes

        if (
            record.input_tokens is not None
            or record.output_tokens is not None
            or record.cost_usd is not None
        ):
            numbers[4] += min(record.input_tokens or 0, MAX_TOKENS)
            numbers[5] += min(record.output_tokens or 0, MAX_TOKENS)
            numbers[6] += cost_nano_usd(record)

        if record.kind == "event":
            numbers[1] += 1
            return

        numbers[0] += 1
        if record.latency_us is not None:
            cell.durations.append(record.latency_us)
        if first_byte_us is not None:
            cell.first_bytes.append(first_byte_us)

    def admitted(self, limits: ValueLimits, ids: Mapping[str, Mapping[str, int]]) -> Admitted:
        """Return the sums by hour within limits that have learned all `hours`. Call it once: it
        moves the counts.

        `ids` are the dictionary ids of `texts`.
        """
        admitted = Admitted({}, {}, {}, {}, {}, {}, 0)
        capped = 0
        for (
            hour,
            dimensions,
            status,
            error_type,
            host,
            is_keyed,
            weight,
        ), cells in self._sums.items():
            kept, bits = limits.admit(
                hour, (*dimensions, 0 if host is None else ids["host"][host], error_type)
            )
            capped |= bits | (HAS_WEIGHTS if weight else 0)
            class_ = status // 100, weight
            for counts in cells.values():
                counts.sort()
            total = _total(list(cells.values()))
            answered = int(is_keyed), status, *class_
            _merge(
                admitted.statuses,
                (hour, *[kept[place] for place in _STATUS_PLACES], *answered),
                total.copy(),
            )
            _merge(
                admitted.hosts,
                (hour, *[kept[place] for place in _HOST_PLACES], *answered),
                total.copy(),
            )
            _merge(admitted.hours, (hour, *kept[: len(DIMENSIONS)], *class_), total)
            by_endpoint = [kept[place] for place in _ENDPOINT_PLACES]
            small = [kept[place] for place in _SMALL_PLACES]

            for cell, counts in cells.items():
                (endpoint, user, *model), bits = _admitted_names(cell, limits, hour, ids)
                capped |= bits
                _merge(admitted.models, (hour, *small, *model, *class_), counts.copy())
                _merge(admitted.users, (hour, *small, user, *class_), counts.copy())
                _merge(admitted.endpoints, (hour, *by_endpoint, endpoint, *class_), counts)

        return replace(admitted, capped=capped)


def _admitted_names(
    cell: NameTexts, limits: ValueLimits, hour: int, ids: Mapping[str, Mapping[str, int]]
) -> tuple[list[int], int]:
    """Return the ids of a cell within limits, and the bits of those that became `OTHER`."""
    kept = []
    capped = 0
    for name, bit, text in zip(_NAMES, _NAME_BITS, cell, strict=True):
        if text is None:
            value = 0
        else:
            value = limits.admit_value(hour, bit, ids[name][text])
        if value == OTHER:
            capped |= 1 << bit
        kept.append(value)

    return kept, capped


def cost_nano_usd(record: Record) -> int:
    return round(min(record.cost_usd or 0.0, MAX_COST_USD) * NANO)


def _total(cells: list[Measured]) -> Measured:
    total = cells[0].copy()
    for counts in cells[1:]:
        total.add(counts)
    return total


def _merge(sums: Sums, key: tuple[int, ...], counts: Measured) -> None:
    """Add counts; they belong to the sums from then on."""
    found = sums.get(key)
    if found is None:
        sums[key] = counts
    else:
        found.add(counts)
