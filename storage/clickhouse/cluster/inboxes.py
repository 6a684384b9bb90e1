"""What sidecars of a cluster hand in to whoever commits next: each on the replica that it asks.

Strategy: tables in a server's memory, as on one server (`storage.clickhouse.writes.inbox`), named by the newest term
when they were made; whoever begins a term reads those of every replica that has everything. A batch on one that does
not answer is left to its writer, and committed when that has a turn itself.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.clickhouse.writes.group import HandedIn
from storage.clickhouse.writes.inbox import COLUMNS, Lying, handed, pending, table_of
from storage.clickhouse.writes.waiting import epochs_of
from storage.errors import StorageUnavailable

MAX_POSITIONS_BYTES: Final = 64 << 10
"""Of all batches of a turn: they stand in one node of ZooKeeper, twice as long, and 1 MiB is the most it takes."""
_LIMIT_S: Final = 2.0
"""How long a replica is asked for what lies there, while all wait."""
_NAMES: Final = "SELECT name FROM system.tables WHERE database = currentDatabase() AND substring(name, 1, 6) = 'epoch_'"


class Inboxes:
    """The inboxes of one database."""

    def __init__(self, link: ClusterLink) -> None:
        self._link = link

    async def open(self, term: int) -> None:
        """Make that of a term, on the replica that is asked."""
        await self._link.execute(
            f"CREATE TABLE IF NOT EXISTS {table_of(term)} ({COLUMNS}) ENGINE = Memory", limit_s=LIMIT_S
        )

    async def read(self, replicas: Sequence[str], before: int, but: str) -> list[HandedIn]:
        """Read batches that were handed in and are not committed; to be asked when nobody else can commit.

        Args:
            replicas: Where to look.
            before: The newest term before the own one: inboxes of older ones were read by that, and are dropped.
            but: The sidecar of who asks: it has its batch itself.
        """
        found = list[Lying]()
        for copy in self._link.copies:
            with suppress(StorageUnavailable):
                if await copy.name() in replicas:
                    found += await _read(copy.link, before)
        return await pending(self._link, found, but, MAX_POSITIONS_BYTES)


async def _read(link: Link, before: int) -> list[Lying]:
    names = await over_tables(lambda: link.fetch(_NAMES, limit_s=_LIMIT_S))
    terms = [term for term in epochs_of([name for (name,) in names]) if term <= before]
    found = await handed(link, terms, _LIMIT_S)
    for term in terms:
        if term < before:
            await link.execute(f"DROP TABLE IF EXISTS {table_of(term)}", limit_s=LIMIT_S)
    return found
