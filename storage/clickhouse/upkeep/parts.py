"""Deletion from the server's parts: partitions are dropped, single rows and bodies take a mutation.

A partition is the day of a row's `seq`. Dropping one frees its space at once; for a mutation the
server writes parts anew, in its own time.

Invariant: the newest day stays, and so do those in which running sidecars have their newest
positions. The last row of each batch has these, and a `writer`, which is empty in all others.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter or a number

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from storage.clickhouse.engine.server import Server
from storage.clickhouse.numbers import DAY, DAY_MS
from storage.clickhouse.payloads import BODIES
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.wire.link import Link
from storage.errors import StorageUnavailable

KEPT_DAYS: Final = 2
"""Days before today that are never dropped: an idle sidecar writes its positions anew every day."""
OF_RECORDS: Final = "database = currentDatabase() AND table = 'records'"
"""Condition on rows of system tables."""
WITHOUT_BODIES: Final = "UPDATE " + ", ".join(f"{column} = ''" for column in BODIES)
_LOOK_AGAIN_S: Final = 0.05
_DAYS: Final = (
    f"SELECT toInt64(partition), sum(bytes_on_disk) FROM system.parts WHERE {OF_RECORDS} "
    "AND active GROUP BY partition ORDER BY toInt64(partition)"
)
_SHOWN: Final = (
    "SELECT seq FROM records WHERE seq BETWEEN $1 AND $2 AND seq > $3 AND started_at_us >= $4 "
    "AND writer = '' LIMIT 1"
)
_MUTATIONS: Final = (
    f"SELECT max(mutation_id), countIf(is_done = 0) FROM system.mutations WHERE {OF_RECORDS}"
)
"""The newest mutation that a server knows, and the number of those it has not finished."""
_REPLICA_PATH: Final = f"SELECT zookeeper_path FROM system.replicas WHERE {OF_RECORDS}"
_NEWEST: Final = "SELECT max(name) FROM system.zookeeper WHERE path = $1"


class Day(NamedTuple):
    """A partition: the rows whose `seq` is of one day."""

    number: int
    size_bytes: int

    @property
    def seqs(self) -> tuple[int, int]:
        """The first and the last `seq` that a row of the day can have."""
        return self.number * DAY, (self.number + 1) * DAY - 1


async def list_days(link: Link) -> list[Day]:
    """List the partitions of a shard, the oldest first."""
    return [Day(*row) for row in await link.fetch(_DAYS)]


async def drop_hidden_days(link: Link, server: Server, upkeep: Upkeep) -> list[int]:
    """Drop the oldest days, up to the first with a row that is shown; return their numbers."""
    [(now_ms,)] = await link.fetch(f"SELECT {server.now_ms}")
    first_kept = now_ms // DAY_MS - KEPT_DAYS
    days = await list_days(link)
    dropped: list[int] = []

    for day in days[:-1]:
        shown = (*day.seqs, upkeep.purged_through_seq, upkeep.first_shown_us)
        if day.number >= first_kept or await link.fetch(_SHOWN, shown):
            break
        await link.execute(f"ALTER TABLE records DROP PARTITION {day.number}")
        dropped.append(day.number)

    return dropped


async def mutate(
    link: Link, command: str, parameters: Sequence[Any] = (), *, limit_s: float
) -> None:
    """Run a mutation of the records of a shard, and wait until its replicas have finished it.

    Raises:
        StorageUnavailable: They have not within the limit. The servers go on by themselves.
    """
    await link.execute(f"ALTER TABLE records {command}", parameters)
    newest = await _newest_shared(link)
    ends_at = time.monotonic() + limit_s
    while not await _have_finished(link, newest):
        if time.monotonic() > ends_at:
            raise StorageUnavailable(
                f"clickhouse: the server still writes parts of records anew after {limit_s:g} s"
            )
        await asyncio.sleep(_LOOK_AGAIN_S)


async def is_mutating(link: Link) -> bool:
    """True if a replica that answers has an unfinished mutation."""
    answers = await link.fetch_each(_MUTATIONS)
    return any(unfinished for [(_, unfinished)] in filter(None, answers))


async def _newest_shared(link: Link) -> str:
    """Return the id of the newest mutation that the coordinator has; empty without replicas.

    Each replica learns of a mutation from there, in its own time, even the one that was asked for
    it. Until then it says that all of its mutations are finished.
    """
    found = await link.fetch(_REPLICA_PATH)
    if not found:
        return ""
    [(path,)] = found
    [(newest,)] = await link.fetch(_NEWEST, (f"{path}/mutations",))
    return str(newest)


async def _have_finished(link: Link, newest: str) -> bool:
    """True if all replicas that answer know the newest mutation, and have finished all."""
    answers = await link.fetch_each(_MUTATIONS)
    return all(
        known >= newest and not unfinished for [(known, unfinished)] in filter(None, answers)
    )
