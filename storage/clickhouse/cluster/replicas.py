"""The replicas of a database, and what is known to be on each of them.

Strategy: an operation asks one host, and none that comes after another in the middle: whoever has a host that fails
begins anew with the next. What was inserted is noted here, and before it is committed each replica is asked for it:
rows that a replica shows when they are counted there are on it, whatever a queue or ZooKeeper says.

Invariant: a replica that a commit names had all rows of that commit and of those before it, in every table.
"""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a parameter or a literal

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from storage.clickhouse.address import Address
from storage.clickhouse.link import LIMIT_S, Block, Link, Needed
from storage.clickhouse.literals import literal
from storage.clickhouse.native import Column
from storage.clickhouse.upkeep.parts import SEQ
from storage.errors import StorageUnavailable

SYNC_S: Final = 5.0
"""How long is waited for a replica that had everything until now, before it is left behind."""
_CHECK_S: Final = 1.0
_LOOK_AGAIN_S: Final = 0.01
_NAME: Final = "SELECT replica_name FROM system.replicas WHERE database = currentDatabase() AND table = 'commits'"


class NoReplica(StorageUnavailable):
    """A host has no tables yet."""


class Expected(NamedTuple):
    """Something that has to be on every replica."""

    table: str
    counted: str
    """What is counted, as an expression."""
    where: str
    least: int


class Copy:
    """One replica."""

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self._clock = clock
        self._name = ""
        self._next_check = 0.0

    @property
    def host(self) -> str:
        """Its server, as in the address."""
        return self.link.hosts[0].partition("://")[2]

    def is_check_due(self) -> bool:
        """Whether to look if it has everything, before it is read."""
        return self._clock() >= self._next_check

    def note_check(self) -> None:
        """Note that it has."""
        self._next_check = self._clock() + _CHECK_S

    async def name(self) -> str:
        """Ask for its name among the replicas."""
        if not self._name:
            rows = await self.link.fetch(_NAME, limit_s=LIMIT_S)
            if not rows:
                raise NoReplica(f"clickhouse: {self.link.hosts[0]} has no replica of the table commits")
            self._name = rows[0][0]
        return self._name

    async def has(self, expected: Sequence[Expected], limit_s: float) -> bool:
        """Wait until it has everything that is expected; False when that takes longer."""
        ends_at = self._clock() + limit_s
        left = list(expected)
        while left:
            sql = " UNION ALL ".join(
                f"SELECT {place}, toUInt64({one.counted}) FROM {one.table} WHERE {one.where}"
                for place, one in enumerate(left)
            )
            counts: dict[int, int] = dict(await self.link.fetch(sql, limit_s=max(1.0, limit_s)))
            left = [one for place, one in enumerate(left) if counts.get(place, 0) < one.least]
            if left and self._clock() > ends_at:
                return False
            if left:
                await asyncio.sleep(_LOOK_AGAIN_S)
        return True


class ClusterLink(Link):
    """A link to the replica that is asked at present; what it inserts is noted."""

    def __init__(self, address: Address, *, is_read_only: bool = False) -> None:
        super().__init__(address, is_read_only=is_read_only)
        self.copies = [Copy(Link(replace(address, hosts=(host,)), is_read_only=is_read_only)) for host in address.hosts]
        self.turns = 0
        """Rises when another host is asked from now on."""
        self._rows: dict[str, int] = {}
        self._slices: list[Expected] = []
        """Of records that the attempt erases: where it comes to nothing, others may have forgotten them soon."""
        self._needed: list[Needed] = []
        self._needed_by_others: Sequence[Needed] = ()

    @property
    def current(self) -> Copy:
        """The replica that is asked at present."""
        return next(copy for copy in self.copies if copy.link.address.hosts[0] == self.hosts[0])

    def everywhere(self) -> list[Link]:
        return [copy.link for copy in self.copies]

    def turn(self, host: str) -> None:
        """Ask the next host from now on, if this one was asked until now."""
        if self.hosts[0] == host:
            self.hosts = [*self.hosts[1:], host]
            self.turns += 1

    @property
    def needed(self) -> Sequence[Needed]:
        return tuple(self._needed)

    def expect(self, table: str, key: str, values: Sequence[int]) -> None:
        if values:
            self._needed.append(Needed(table, key, list(values)))

    def forget(self, needed: Collection[Needed]) -> None:
        self._needed = [one for one in self._needed if one not in needed]

    def begin_attempt(self, needed: Sequence[Needed] = ()) -> None:
        """Forget the rows of an attempt that came to nothing."""
        self._rows.clear()
        self._slices.clear()
        self._needed_by_others = needed

    def expected(self, attempts: tuple[int, int], first_seq: int) -> list[Expected]:
        """Tell what has to be on a replica that has everything, when attempts are committed, first and last of them."""
        inserted = "attempt BETWEEN {} AND {}".format(*attempts)
        rows = [
            Expected(table, "count()", f"{SEQ[table]} >= {first_seq} AND {inserted}", rows)
            for table, rows in self._rows.items()
        ]
        return rows + self._slices + _expected([*self._needed, *self._needed_by_others])

    def settle(self) -> None:
        """Forget what was expected: it is there."""
        self.begin_attempt()
        self._needed.clear()

    async def insert(
        self, table: str, columns: Sequence[Column], *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        await super().insert(table, columns, limit_s=limit_s, settings=settings)
        if table == "erased":
            slices = dict(zip((column.name for column in columns), (column.values for column in columns), strict=True))
            where = f"slice = {slices['slice'][0]}"
            self._slices.append(Expected(table, "count()", where, len(slices["seq"])))

    async def send(
        self, table: str, blocks: Sequence[Block], *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        await super().send(table, blocks, limit_s=limit_s, settings=settings)
        if table in SEQ:
            self._rows[table] = self._rows.get(table, 0) + sum(parts[0].rows for parts in blocks)

    async def close(self) -> None:
        await super().close()
        for copy in self.copies:
            await copy.link.close()

    async def _post(self, sql: str, data: bytes, limit_s: float, settings: dict[str, str]) -> bytes:
        host = self.hosts[0]
        try:
            return await super()._post(sql, data, limit_s, settings)
        except StorageUnavailable as error:
            # Of its kinds each says something of a table or a statement; this one may be the host's fault.
            if type(error) is StorageUnavailable:
                self.turn(host)
            raise

    def _tried(self) -> list[str]:
        return self.hosts[:1]

    def _prefer(self, host: str) -> None:
        pass


def _expected(needed: Sequence[Needed]) -> list[Expected]:
    every = defaultdict[tuple[str, str], set[int]](set)
    for table, key, values in needed:
        every[table, key].update(values)
    return [
        Expected(table, f"uniqExact({key})", f"{key} IN {literal(sorted(values))}", len(values))
        for (table, key), values in every.items()
    ]
