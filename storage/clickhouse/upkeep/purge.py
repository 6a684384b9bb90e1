"""Retention by age: deletes rows below the purge floor, and bodies below theirs.

Strategy: a day without a row that is shown is dropped. From a day that has some, the rows below the
floor are deleted while it is small; a larger one waits until it can be dropped. Bodies are deleted
by whole days, so that each day is written anew once. All of it happens in one call; the calls
behind it report the number of deleted records in slices of the size asked for.

Invariant: only rows that no reader sees any more are deleted.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

from typing import Final

from msgspec.structs import replace

from storage.clickhouse.cluster import Shards
from storage.clickhouse.numbers import DAY
from storage.clickhouse.register.register import Register
from storage.clickhouse.upkeep.parts import WITHOUT_BODIES, drop_hidden_days, list_days, mutate
from storage.clickhouse.upkeep.state import Upkeep, change_upkeep, read_upkeep
from storage.clickhouse.wire.link import Link
from storage.clickhouse.writes.rows import CALL, WAITING
from storage.purge import Purged, RetentionState
from storage.relational.time_ranges import DAY_US

REWRITTEN_BYTES: Final = 256 << 20
"""Largest day from which single rows are deleted: the server writes all of it anew."""
MUTATION_S: Final = 30.0
_BELOW: Final = (
    f"SELECT intDiv(seq, {DAY}), countIf(kind < {CALL} AND seq > $2) FROM records "
    f"WHERE started_at_us < $1 AND writer = '' GROUP BY intDiv(seq, {DAY})"
)
"""Each day with rows below the floor, and how many of these are records that are not purged yet."""
_FIRST: Final = (
    f"SELECT seq, started_at_us FROM records WHERE kind < {CALL} AND seq > $1 "
    "AND started_at_us >= $2 ORDER BY seq LIMIT 1"
)
_SIZE: Final = (
    "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND active"
)
_OLDEST: Final = (
    "SELECT count(), min(started_at_us), toInt64(toUnixTimestamp(now())) FROM records "
    f"WHERE kind < {CALL} AND seq < (SELECT min(seq) FROM records WHERE kind < {CALL}) + {DAY}"
)
"""Of the records of the first day: their number and oldest start. And the server's clock."""


class Purge:
    """Deletes what is below the floors of one store."""

    def __init__(self, shards: Shards, register: Register) -> None:
        self._shards = shards
        self._register = register
        self._unreported = 0
        """Deleted records that no call has reported yet."""

    async def purge(self, last_seq: int, max_rows: int) -> Purged:
        """Delete everything below the floors, or report more of it; see `Storage.purge`.

        Args:
            last_seq: The end of the stable prefix.
            max_rows: Most records that are reported.
        """
        if not self._unreported:
            upkeep = await read_upkeep(self._register)
            # The purge floor is never above the one of bodies.
            if upkeep.body_floor_us:
                await self._delete(upkeep, last_seq)

        rows = min(self._unreported, max_rows)
        self._unreported -= rows
        return Purged(rows, 0, is_done=not rows)

    async def _delete(self, upkeep: Upkeep, last_seq: int) -> None:
        deleted = await self._shards.on_each(lambda link: self._delete_rows(link, upkeep))
        self._unreported = sum(deleted)
        await self._delete_bodies(upkeep)
        if self._unreported:
            await self._raise_purged_through(upkeep, last_seq)

    async def _delete_rows(self, link: Link, upkeep: Upkeep) -> int:
        """Delete rows of a shard that are below the floor; return the number of records."""
        floor_us = upkeep.first_shown_us
        found = await link.fetch(_BELOW, (floor_us, upkeep.purged_through_seq))
        below: dict[int, int] = dict(found)
        dropped = await drop_hidden_days(link, self._shards.server, upkeep)

        small = [
            day
            for day in await list_days(link)
            if day.number in below and day.size_bytes <= REWRITTEN_BYTES
        ]
        if small:
            of_days = " OR ".join("seq BETWEEN {} AND {}".format(*day.seqs) for day in small)
            where = f"started_at_us < $1 AND writer = '' AND ({of_days})"
            await mutate(link, f"DELETE WHERE {where}", (floor_us,), limit_s=MUTATION_S)

        return sum(below.get(number, 0) for number in (*dropped, *(day.number for day in small)))

    async def _delete_bodies(self, upkeep: Upkeep) -> None:
        """Delete the bodies of the days that have come below the floor of bodies since last time."""
        first_us = upkeep.bodies_gone_us
        until_us = upkeep.body_floor_us // DAY_US * DAY_US
        if until_us <= max(first_us, upkeep.purge_floor_us):
            return

        where = f"started_at_us >= {first_us} AND started_at_us < {until_us} AND writer = ''"
        commands = (
            f"{WITHOUT_BODIES} WHERE {where} AND kind <> {WAITING}, "
            f"DELETE WHERE {where} AND kind = {WAITING}"
        )
        await self._shards.on_each(lambda link: mutate(link, commands, limit_s=MUTATION_S))
        await change_upkeep(
            self._register,
            lambda now: replace(now, bodies_gone_us=max(now.bodies_gone_us, until_us)),
        )

    async def _raise_purged_through(self, upkeep: Upkeep, last_seq: int) -> None:
        """Hide all before the first record that is shown, but nothing beyond the stable prefix:
        records with a lower `seq` may still come there.
        """
        first = await first_record(self._shards.reads, upkeep)
        if first is None:
            through = last_seq
        else:
            through = min(last_seq, first[0] - 1)
        await change_upkeep(
            self._register,
            lambda now: replace(now, purged_through_seq=max(now.purged_through_seq, through)),
        )


async def first_record(link: Link, upkeep: Upkeep) -> tuple[int, int] | None:
    """Return `seq` and start of the first record that is shown."""
    marks = (upkeep.purged_through_seq, upkeep.first_shown_us)
    found = await link.fetch(_FIRST, marks)
    if found:
        return (found[0][0], found[0][1])
    return None


async def size_bytes(shards: Shards) -> int:
    """Add up the sizes of all shards that answer, with one replica of each."""
    return sum(int(size or 0) for (size,) in await shards.there(_SIZE))


async def retention(shards: Shards, upkeep: Upkeep, last_seq: int) -> RetentionState:
    """Return the state of a store whose stable prefix ends at `last_seq`."""
    first = await first_record(shards.reads, upkeep)
    [(rows, oldest_us, now_s)] = await shards.reads.fetch(_OLDEST)
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
