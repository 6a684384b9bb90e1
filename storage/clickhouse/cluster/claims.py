"""Numbered entries of which a whole cluster accepts one for each number: what is decided once, for all replicas.

Strategy: an entry is a replicated table whose path in ZooKeeper (or Keeper) is named by its number, and whose content
is the default of a column. The servers write path and columns in one transaction, so of two who claim a number one has
made the content, and the other is told that its table differs. The path lies below that of the journal, and goes with
it. Entries before the newest are dropped by whoever has their tables.

Invariant: a number that was claimed has one content for ever; what comes late is behind the newest, and is void.
Source: ClickHouse, StorageReplicatedMergeTree::createTableIfNotExists, from version 18 on.
"""

from contextlib import suppress
from functools import partial
from typing import Final
from uuid import uuid4

from storage.clickhouse.answers import AlreadyThere
from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.clickhouse.literals import literal
from storage.errors import StorageUnavailable

TABLE: Final = (
    "CREATE TABLE {name} (x UInt8, content String DEFAULT 'entry:{content}') "
    "ENGINE = ReplicatedMergeTree({path}, 'one') ORDER BY x"
)
"""An entry, as a table."""
_ROOT: Final = "SELECT zookeeper_path FROM system.replicas WHERE database = currentDatabase() AND table = 'commits'"
_NUMBERS: Final = "SELECT max(toInt64(name)) FROM system.zookeeper WHERE path = $1"
_CONTENT: Final = (
    "SELECT extract(value, 'entry:([0-9a-f]*)') FROM system.zookeeper WHERE path = $1 AND name = 'columns'"
)
_OWN: Final = "SELECT name FROM system.tables WHERE database = currentDatabase() AND substring(name, 1, $1) = $2"
_TRIES: Final = 5


class Overtaken(StorageUnavailable):
    """There is a newer entry already: whether the claimed one was made before, or came late, nobody knows."""


class Claims:
    """The entries of one name; any number of programs may claim them."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._prefix = f"claim_{name}_"
        self._name = name
        self._root = ""

    async def create(self) -> None:
        """Make the entry with which numbers begin, 0, where there is none."""
        with suppress(AlreadyThere):
            await self._create(0, b"")

    async def newest(self) -> tuple[int, bytes]:
        """Read the newest entry; number 0 has no content.

        It may be an older one where the server's ZooKeeper is behind: a claim behind it is refused.
        """
        for _ in range(_TRIES):
            number = await self._last()
            content = await self.content(number)
            if content is not None:
                return number, content
        raise StorageUnavailable(f"clickhouse: the newest {self._name} changes faster than it is read")

    async def content(self, number: int) -> bytes | None:
        """Read an entry; None where it was dropped, or not made."""
        try:
            rows = await self._link.fetch(_CONTENT, (f"{await self._path()}/{number}",), limit_s=LIMIT_S)
        except StorageUnavailable as error:
            if "No node" in str(error):
                return None
            raise
        return bytes.fromhex(rows[0][0]) if rows else None

    async def claim(self, number: int, content: bytes) -> None:
        """Make the entry that follows the newest.

        Raises:
            AlreadyThere: Another one has this number.
            Overtaken: There is a newer one.
            StorageUnavailable: Nobody knows whether it was made.
        """
        await self._create(number, content)
        if await self._last() != number:
            raise Overtaken(f"clickhouse: {self._name} {number} was made by this sidecar or by another")

    async def forget(self, before: int) -> None:
        """Drop entries before a number, as far as this server has their tables; the newest stays."""
        before = min(before, await self._last())
        look = partial(self._link.fetch, _OWN, (len(self._prefix), self._prefix), limit_s=LIMIT_S)
        for (table,) in await over_tables(look):
            if 0 < int(table.removeprefix(self._prefix).partition("_")[0]) < before:
                await self._link.execute(f"DROP TABLE IF EXISTS {table}", limit_s=LIMIT_S)

    async def _create(self, number: int, content: bytes) -> None:
        path = literal(f"{await self._path()}/{number}")
        name = f"{self._prefix}{number}_{uuid4().hex[:8]}"
        await self._link.execute(TABLE.format(name=name, content=content.hex(), path=path), limit_s=LIMIT_S)

    async def _last(self) -> int:
        rows = await self._link.fetch(_NUMBERS, (await self._path(),), limit_s=LIMIT_S)
        return int(rows[0][0])

    async def _path(self) -> str:
        if not self._root:
            rows = await self._link.fetch(_ROOT, limit_s=LIMIT_S)
            if not rows:
                raise StorageUnavailable("clickhouse: the table commits is not there, or not replicated")
            self._root = rows[0][0]
        return f"{self._root}/sidelog/{self._name}"
