"""Small values by name that change. A change is a row with the next version; at most one writer
inserts it.

Strategy: of all inserts with the same token the server stores one, and a token names an entry and
its next version, so an insert is a compare-and-set. The writer then reads whose row is stored. An
empty value marks a removed entry.

In a cluster all replicas of the first shard hold it. Its coordinator has the tokens, so there is
one register for all shards.

Invariant: each version of an entry was decided in view of the version before it. `uses` are
different: their greatest version counts, so they need no order.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from storage.clickhouse.engine.server import Server
from storage.clickhouse.replicas import find_rows
from storage.clickhouse.tables import REGISTER_TYPES
from storage.clickhouse.wire.answers import AlreadyThere
from storage.clickhouse.wire.link import LIMIT_S, Link
from storage.clickhouse.wire.native import Column
from storage.errors import StorageRejected, StorageUnavailable

T = TypeVar("T")

_ENTRY: Final = "SELECT max(version), argMax(value, version) FROM register WHERE name = $1"
_ENTRIES: Final = (
    "SELECT name, max(version), argMax(value, version) FROM register "
    "WHERE substring(name, 1, $1) = $2 GROUP BY name"
)
_AUTHORS: Final = "SELECT attempt FROM register WHERE name = $1 AND version = $2"
_THIN_EVERY: Final = 500
_KEPT_VERSIONS: Final = 100
"""Versions of an entry that are kept, so that a writer can still see that its change was stored."""
STORES_TWICE: Final = (
    "the server stores two inserts with the same insert_deduplication_token, so records would be "
    "stored twice; sidelog does not write to it"
)


class Entry(NamedTuple):
    """Version and value of a name."""

    version: int
    """0 if the name was never used."""
    value: str
    """Empty without an entry."""


class Register:
    """The entries of one database; any number of programs may change them."""

    def __init__(self, link: Link, server: Server) -> None:
        self._link = link
        self._server = server

    async def entry(self, name: str) -> Entry:
        return Entry(*(await self._link.fetch(_ENTRY, (name,)))[0])

    async def entries(self, prefix: str) -> dict[str, Entry]:
        """Return the entries whose name begins with a prefix, by the rest of the name, including
        removed ones.
        """
        rows = await self._link.fetch(_ENTRIES, (len(prefix.encode()), prefix))
        return {name.removeprefix(prefix): Entry(version, value) for name, version, value in rows}

    async def change(self, name: str, decide: Callable[[str], tuple[str | None, T]]) -> T:
        """Change an entry.

        Args:
            name: Name of the entry.
            decide: Called with the value; returns the new value, None for no change, and the result. Called again when
                another writer was first. May raise.

        Raises:
            StorageUnavailable: Not changed, or the outcome is unknown.
            StorageRejected: A text cannot be stored.
        """
        ends_at = time.monotonic() + LIMIT_S
        lost = 0
        while time.monotonic() < ends_at:
            before = await self.entry(name)
            value, answer = decide(before.value)
            version = max(before.version, lost) + 1
            if value is None or value == before.value:
                return answer

            is_own = await self._set(name, version, value)
            if is_own:
                await self._thin(name, version)
                return answer

            if is_own is None:
                lost = version

        raise StorageUnavailable(
            f"clickhouse: other sidecars kept changing {name} for {LIMIT_S:g} s"
        )

    async def check_tokens(self) -> None:
        """Check once for each version of the server that two inserts with one token are stored as
        one.

        Raises:
            StorageUnavailable: Both are stored.
        """
        if not self._server.has_tokens:
            return
        name = "tokens/" + ".".join(map(str, self._server.version))
        tried = await self._link.fetch(_AUTHORS, (name, 1))
        if not tried:
            for attempt in (1, 2):
                await self._insert([name], [1], "", attempt, self._server.once(f"register/{name}"))
            tried = await self._link.fetch(_AUTHORS, (name, 1))

        if len(tried) > 1:
            raise StorageUnavailable(f"clickhouse: {STORES_TWICE}")

    async def note_uses(self, uses: dict[str, int]) -> None:
        """Store versions of entries without a value; a version that is not greater changes nothing."""
        if uses:
            await self._insert(list(uses), list(uses.values()), "", secrets.randbits(63), {})

    async def _set(self, name: str, version: int, value: str) -> bool | None:
        """Insert the next version; return whether it is our own, None if its token was spent
        without storing a row.
        """
        attempt = secrets.randbits(63)
        token = f"register/{name}/{version}"
        reason: StorageUnavailable | None = None

        try:
            if not self._server.has_tokens:
                address = self._link.address
                if self._link.is_replicated:
                    replicas = f"{address.cluster}/{address.database}"
                else:
                    replicas = ""
                await self._link.execute(f"CREATE TABLE {self._server.claim(token, replicas)}")

            await self._insert([name], [version], value, attempt, self._server.once(token))
        except AlreadyThere:
            pass
        except StorageUnavailable as error:
            reason = error

        place = (name, version)
        if reason is None:
            _, rows = await find_rows(self._link, "register", _AUTHORS, place)
        else:
            rows = await self._link.current.fetch(_AUTHORS, place)
            if not rows:
                raise reason

        if rows:
            return (attempt,) in rows
        return None

    async def _insert(
        self,
        names: list[str],
        versions: list[int],
        value: str,
        attempt: int,
        settings: dict[str, str],
    ) -> None:
        rows = len(names)
        made: dict[str, Sequence[Any]] = {
            "name": names,
            "version": versions,
            "value": [value] * rows,
            "attempt": [attempt] * rows,
        }
        columns = [Column(column, type, made[column]) for column, type in REGISTER_TYPES.items()]
        await self._link.insert("register", columns, settings=settings)

    async def _thin(self, name: str, version: int) -> None:
        """Delete superseded versions of a value from the register, once in `_THIN_EVERY` versions."""
        if version % _THIN_EVERY == 0:
            sql = "ALTER TABLE register DELETE WHERE name = $1 AND version < $2"
            await self._link.execute(sql, (name, version - _KEPT_VERSIONS))


def encoded(value: object) -> str:
    """Encode a value as JSON.

    Raises:
        StorageRejected: A text is not Unicode.
    """
    try:
        return msgspec.json.encode(value).decode()
    except ValueError as error:
        raise StorageRejected(f"a value cannot be stored: {error}") from error
