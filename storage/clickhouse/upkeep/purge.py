"""Retention by age: what is below the floors goes by the day; where a day is small, its rows go
before.

Strategy: a day of numbers is dropped when nothing in it is shown. Days of which some is shown would
have to be written anew: that is done while they are small, else what is hidden waits for the day's
end. Everything goes in the first call; how many rows that were is said in slices of the size asked
for. Bodies are taken out once a day.

Invariant: only rows that no reader sees any more are deleted.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from storage.clickhouse.cluster import Shards
from storage.clickhouse.numbers import DAY
from storage.clickhouse.upkeep.parts import WITHOUT_BODIES, Day, drop_days, listed, mutate
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.wire.link import LIMIT_S, Link
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Purged, RetentionState
from storage.relational.time_ranges import DAY_US

REWRITTEN_BYTES: Final = 256 << 20
"""A day of at most this size is written anew without the rows below a floor."""
QUIET_S: Final = 30.0
"""How long is waited for that."""
_BELOW: Final = (
    f"SELECT intDiv(seq, {DAY}), countIf(kind < {CALL} AND seq > $2), count() FROM records "
    f"WHERE started_at_us < $1 AND writer = '' GROUP BY intDiv(seq, {DAY})"
)
_FIRST: Final = (
    f"SELECT seq, started_at_us FROM records WHERE kind < {CALL} AND seq > $1 AND started_at_us "
    ">= $2 "
    "ORDER BY seq LIMIT 1"
)
_SIZE: Final = (
    "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active"
)
_OLDEST: Final = (
    "SELECT count(), min(started_at_us), toInt64(toUnixTimestamp(now())) FROM records WHERE kind "
    f"< {CALL} "
    f"AND seq < (SELECT min(seq) FROM records WHERE kind < {CALL}) + {DAY}"
)

Change = Callable[[Callable[[Upkeep], Upkeep]], Awaitable[None]]
"""Changes what is true of the store beside its rows."""


class Purge:
    """Deletes what is below the floors of one store."""

    def __init__(self, shards: Shards, change: Change) -> None:
        self._shards = shards
        self._change = change
        self._uncounted = 0
        """Rows that went, and were in no answer yet."""

    async def purge(self, upkeep: Upkeep, last_seq: int, max_rows: int) -> Purged:
        """Delete, or count more of what was deleted; see `Storage.purge`.

        Args:
            upkeep: What is true of the store.
            last_seq: The end of the stable prefix.
            max_rows: How many are counted at most.
        """
        if not self._uncounted:
            if upkeep.body_floor_us:
                self._uncounted = sum(
                    await self._shards.on_each(lambda link: self._delete(link, upkeep))
                )
                await self._take_bodies(upkeep)

            if self._uncounted:
                await self._note_first(upkeep, last_seq)

        rows = min(self._uncounted, max_rows)
        self._uncounted -= rows
        return Purged(rows, 0, is_done=not rows)

    async def _delete(self, link: Link, upkeep: Upkeep) -> int:
        floor_us = upkeep.first_shown_us
        found = await link.fetch(_BELOW, (floor_us, upkeep.purged_through_seq), limit_s=LIMIT_S)
        below = {day: (records, rows) for day, records, rows in found}
        gone = await drop_days(link, self._shards.server, upkeep)
        small = [
            day
            for day in await listed(link)
            if day.number in below and day.size_bytes <= REWRITTEN_BYTES
        ]
        if small:
            where = f"started_at_us < $1 AND writer = '' AND ({_of_days(small)})"
            await mutate(link, f"DELETE WHERE {where}", (floor_us,), limit_s=QUIET_S)
        return sum(below[day][0] for day in (*gone, *(day.number for day in small)) if day in below)

    async def _take_bodies(self, upkeep: Upkeep) -> None:
        """Take out the bodies of the days that have come below their floor since the last time."""
        before_us = upkeep.bodies_gone_us
        until_us = upkeep.body_floor_us // DAY_US * DAY_US
        if until_us <= max(before_us, upkeep.purge_floor_us):
            return

        where = f"started_at_us >= {before_us} AND started_at_us < {until_us} AND writer = ''"
        commands = (
            f"{WITHOUT_BODIES} WHERE {where} AND kind <> {WAITING}, DELETE WHERE {where} AND kind "
            f"= {WAITING}"
        )
        await self._shards.on_each(lambda link: mutate(link, commands, limit_s=QUIET_S))
        await self._change(
            lambda now: replace(now, bodies_gone_us=max(now.bodies_gone_us, until_us))
        )

    async def _note_first(self, upkeep: Upkeep, last_seq: int) -> None:
        """Note up to where nothing is left, and nothing will come."""
        first = await first_row(self._shards.reads, upkeep)
        through = last_seq if first is None else min(last_seq, first[0] - 1)
        await self._change(
            lambda now: replace(now, purged_through_seq=max(now.purged_through_seq, through))
        )


async def first_row(link: Link, upkeep: Upkeep) -> tuple[int, int] | None:
    """Find the first record that is shown, and when it started."""
    found = await link.fetch(
        _FIRST, (upkeep.purged_through_seq, upkeep.first_shown_us), limit_s=LIMIT_S
    )
    return (found[0][0], found[0][1]) if found else None


def _of_days(days: list[Day]) -> str:
    return " OR ".join(
        f"seq BETWEEN {first} AND {last}" for first, last in (day.ends for day in days)
    )


async def size_bytes(shards: Shards) -> int:
    """Measure what the shards that are there have, each of one replica."""
    return sum(int(size or 0) for (size,) in await shards.there(_SIZE))


async def retention(shards: Shards, upkeep: Upkeep, last_seq: int) -> RetentionState:
    """Describe the store, the end of whose stable prefix is `last_seq`."""
    first = await first_row(shards.reads, upkeep)
    [(rows, oldest_us, now_s)] = await shards.reads.fetch(_OLDEST, limit_s=LIMIT_S)
    return RetentionState(
        purge_floor_us=upkeep.purge_floor_us,
        body_floor_us=upkeep.body_floor_us,
        purged_through_seq=upkeep.purged_through_seq,
        oldest_us=int(oldest_us) if rows else None,
        used_bytes=max(0, await size_bytes(shards) - upkeep.hidden_bytes),
        last_seq=last_seq,
        reaches_back_us=None if first is None else first[1],
        server_now_us=int(now_s) * 1_000_000,
    )
