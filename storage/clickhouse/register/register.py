"""Small things that change, in an engine without updates and without compare-and-set: entries, a name and a content.

Strategy: a change is first a view, `change_N`, that holds all of it and is named by its number, because to create one
is the only step that every server does for exactly one of two who want it, and wholly. Then its entries are appended
to the table, with that number; of the rows of one name the newest counts. Who finds a change that is not in the table
appends it before anything else: its author may be gone. So each change is made of what the one before left.

Invariant: entries are those of changes 1 to N, all or nothing of each; a change is never applied to anything else than
what `decide` saw. A late `CREATE VIEW` of a number that is taken is void: the table is beyond it.
Beside changes stand `marks`, numbers of which the greatest counts: they need no order.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar
from uuid import uuid4

import msgspec

from storage.clickhouse.answers import AlreadyThere
from storage.clickhouse.cluster.engines import made_for
from storage.clickhouse.link import LIMIT_S, Link
from storage.clickhouse.native import Column
from storage.clickhouse.register.changes import SHIFT, Claimed, Views
from storage.clickhouse.register.changes import Changes as MadeChanges
from storage.errors import StorageRejected, StorageUnavailable

T = TypeVar("T")
Entries = dict[str, str]
"""Name → content."""
Changes = Mapping[str, str | None]
"""Name → its new content; None: it is gone."""

_TABLES: Final = (
    # The place is the number of the change, and below it that within the change.
    """CREATE TABLE IF NOT EXISTS register (place UInt64, token String, kind String, owner String, name String,
content String, is_gone UInt8) ENGINE = MergeTree ORDER BY (kind, owner, name, place)""",
    """CREATE TABLE IF NOT EXISTS register_marks (kind String, name String, value Int64)
ENGINE = ReplacingMergeTree(value) ORDER BY (kind, name)""",
)
_ENTRIES: Final = (
    "SELECT name, argMax(content, place) FROM register WHERE kind = $1 AND owner = $2 "
    "GROUP BY name HAVING argMax(is_gone, place) = 0"
)
_NEWEST: Final = "SELECT max(place) FROM register WHERE kind = $1"
_HAS_COUNTED: Final = "SELECT max(place), countIf(token = $1) FROM register"
# What says that a name is gone stays until nothing older is there: rows are not deleted at once.
_CURRENT: Final = (
    "SELECT max(place) FROM register GROUP BY kind, owner, name "
    "HAVING uniqExact(place) > 1 OR argMax(is_gone, place) = 0"
)
_KEPT_CHANGES: Final = 1000
"""Whose superseded rows stay, so that the author of one can still tell that it counted."""
_THIN_EVERY: Final = 500


class _Change(NamedTuple):
    """One change, as a view holds it."""

    token: str
    """Of this attempt."""
    kind: str
    owner: str
    entries: dict[str, str | None]


_decoder: Final = msgspec.json.Decoder(_Change)


class Register:
    """The entries of one database; any number of programs may change them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_cluster = bool(link.address.cluster)
        self._changes: MadeChanges = Claimed(link) if self._is_cluster else Views(link)

    async def create(self) -> None:
        """Make the tables where there are none."""
        for statement in _TABLES:
            await self._link.execute(made_for(self._link.address, statement), limit_s=LIMIT_S)

    async def entries(self, kind: str, owner: str = "") -> Entries:
        """Read the entries of an owner."""
        if self._is_cluster:
            # The replica that is asked may not have what another one has.
            await self._catch_up()
        return dict(await self._link.fetch(_ENTRIES, (kind, owner), limit_s=LIMIT_S))

    async def version(self, kind: str) -> int:
        """Read the number of the newest change of a kind; one whose author is gone is appended first."""
        await self._catch_up()
        [(place,)] = await self._link.fetch(_NEWEST, (kind,), limit_s=LIMIT_S)
        return int(place) >> SHIFT

    async def change(self, kind: str, owner: str, decide: Callable[[Entries], tuple[Changes, T]]) -> T:
        """Change entries of an owner.

        Args:
            kind: Of the entries.
            owner: Whose entries `decide` is given.
            decide: Answers what changes, and what to return; asked again when others were first. May raise.

        Raises:
            StorageUnavailable: Not changed, or nobody knows.
            StorageRejected: A text cannot be stored.
        """
        ends_at = time.monotonic() + LIMIT_S
        while time.monotonic() < ends_at:
            newest = await self._catch_up()
            changes, answer = decide(await self.entries(kind, owner))
            if not changes or await self._append(newest + 1, _Change(uuid4().hex, kind, owner, dict(changes))):
                return answer
        raise StorageUnavailable(f"clickhouse: others change the same for {LIMIT_S:g} s")

    async def marks(self, kind: str) -> dict[str, int]:
        """Read the greatest value of every name."""
        sql = "SELECT name, max(value) FROM register_marks WHERE kind = $1 GROUP BY name"
        return dict(await self._link.fetch(sql, (kind,), limit_s=LIMIT_S))

    async def mark(self, kind: str, values: Mapping[str, int]) -> None:
        """Note values; those that are not greater change nothing."""
        if values:
            kinds = Column("kind", "String", [kind] * len(values))
            names = Column("name", "String", list(values))
            numbers = Column("value", "Int64", list(values.values()))
            await self._link.insert("register_marks", (kinds, names, numbers), limit_s=LIMIT_S)

    async def _catch_up(self) -> int:
        """Append a change that is not in the table yet; returns the number of the newest."""
        ends_at = time.monotonic() + LIMIT_S
        while True:
            place, last = await self._changes.ends()
            version = place >> SHIFT
            if last <= version:
                return version
            if time.monotonic() > ends_at:
                raise StorageUnavailable(f"clickhouse: change {version + 1} of the register is not to be had")
            text = await self._changes.content(version + 1)
            if text is not None:
                await self._insert(version + 1, _decoder.decode(text))

    async def _append(self, version: int, change: _Change) -> bool:
        """Make a change the next one; False where another one is."""
        try:
            await self._changes.make(version, encoded(change))
        except AlreadyThere:
            return False
        [(newest, own)] = await self._link.fetch(_HAS_COUNTED, (change.token,), limit_s=LIMIT_S)
        if newest >> SHIFT < version:
            await self._insert(version, change)
        elif not own:
            # It came late.
            await self._changes.forget(version + 1)
            return False
        await self._forget(version)
        return True

    async def _insert(self, version: int, change: _Change) -> None:
        contents = change.entries.values()
        rows = len(change.entries)
        assert rows <= 1 << SHIFT, f"bug: a change of {rows} entries"
        columns = (
            Column("place", "UInt64", range(version << SHIFT, (version << SHIFT) + rows)),
            Column("token", "String", [change.token] * rows),
            Column("kind", "String", [change.kind] * rows),
            Column("owner", "String", [change.owner] * rows),
            Column("name", "String", list(change.entries)),
            Column("content", "String", [content or "" for content in contents]),
            Column("is_gone", "UInt8", [content is None for content in contents]),
        )
        await self._link.insert("register", columns, limit_s=LIMIT_S)

    async def _forget(self, version: int) -> None:
        """Drop the changes before, and now and then what is superseded.

        The newest stays: the server syncs what it knows of tables to the disk, but not their rows.
        """
        await self._changes.forget(version)
        if version % _THIN_EVERY == 0:
            await self._thin(version - _KEPT_CHANGES)

    async def _thin(self, before: int) -> None:
        kept = [place for (place,) in await self._link.fetch(_CURRENT, limit_s=LIMIT_S)]
        sql = "ALTER TABLE register DELETE WHERE place < $1 AND place NOT IN $2"
        await self._link.execute(sql, (max(0, before) << SHIFT, [0, *kept]), limit_s=LIMIT_S)


def encoded(value: object) -> str:
    """Write a value as JSON.

    Raises:
        StorageRejected: A text is not Unicode.
    """
    try:
        return msgspec.json.encode(value).decode()
    except ValueError as error:
        raise StorageRejected(f"a value cannot be stored: {error}") from error
